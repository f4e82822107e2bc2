"""What does Twilio's Messages resource take? A strict reader of its form, and a server that refuses as it does.

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
"""

import re
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BasicAuth, web

from tests.notify.strict.platform import Shown, StrictPlatform

ALPHABET = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = set("^{}\\[~]|€\f")
NUMBER = re.compile(r"\+[1-9]\d{6,14}")


class Refused(Exception):
    """What Twilio says no to: its code and words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code} {words}")
        self.code, self.words = code, words


def segments(text: str) -> int:
    """How many segments Twilio bills."""
    if set(text) <= ALPHABET | EXTENSION:
        places = sum(2 if one in EXTENSION else 1 for one in text)
        return 1 if places <= 160 else -(-places // 153)
    places = len(text.encode("utf-16-le")) // 2
    return 1 if places <= 70 else -(-places // 67)


def read_twilio(body: bytes) -> str:
    """The text of a message.

    Raises:
        Refused: Twilio would refuse it.
        AssertionError: it would be taken, but as more than two segments.
    """
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    form = dict(pairs)
    assert len(form) == len(pairs)
    assert set(form) <= {"To", "From", "MessagingServiceSid", "Body"}
    if "To" not in form:
        raise Refused(21604, "A 'To' phone number is required.")
    if not NUMBER.fullmatch(form["To"]):
        raise Refused(21211, f"Invalid 'To' Phone Number: {form['To']}")
    if ("From" in form) == ("MessagingServiceSid" in form):
        raise Refused(21603, "A 'From' phone number is required.")
    text = form.get("Body", "")
    if not text.strip():
        raise Refused(21602, "Message body is required.")
    if len(text) > 1600:
        raise Refused(21617, "The concatenated message body exceeds the 1600 character limit.")
    assert len(text) <= 320
    assert segments(text) <= 2
    return text


class StrictTwilio(StrictPlatform):
    """An account, and numbers that take no text, each with the code of why. `messages` go by the number."""

    def __init__(self, account: str, token: str, refused: dict[str, int] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.account, self.token = account, token
        self.refused = refused or {}

    async def answer(self, request: web.Request) -> web.Response:
        login = BasicAuth.decode(request.headers.get("Authorization", "Basic Og=="))
        if (login.login, login.password) != (self.account, self.token):
            return refusal(401, 20003, "Authenticate")
        if request.path != f"/2010-04-01/Accounts/{self.account}/Messages.json":
            return refusal(404, 20404, f"The requested resource {request.path} was not found")
        if request.content_type != "application/x-www-form-urlencoded":
            return refusal(400, 21604, "A 'To' phone number is required.")
        body = await request.read()
        try:
            text = read_twilio(body)
        except Refused as no:
            return refusal(400, no.code, no.words)
        number = dict(parse_qsl(body.decode()))["To"]
        if number in self.refused:
            return refusal(400, self.refused[number], "no")
        window = self.window(self.account, 30, 1)  # no page has the number
        if window is not None and not window.passes():
            return refusal(429, 20429, "Too Many Requests")
        self.messages.append(Shown(number, [text]))
        return web.json_response({"sid": "SM" + "0" * 32, "status": "queued", "to": number}, status=201)


def refusal(status: int, code: int, words: str) -> web.Response:
    """An answer as Twilio words it."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    answer = {"code": code, "message": words, "more_info": more, "status": status}
    return web.json_response(answer, status=status)
