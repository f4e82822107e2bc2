"""A strict Twilio: a reader of forms, and a server of the Messages resource.

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
"""

import re
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BasicAuth, web

from tests.notify.strict.platform import PostedMessage, StrictPlatform

ALPHABET = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = set("^{}\\[~]|€\f")
NUMBER = re.compile(r"\+[1-9]\d{6,14}")


class Refused(Exception):
    """Twilio refuses the request: code and message."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text


def segments(text: str) -> int:
    """The number of segments that Twilio bills."""
    if set(text) <= ALPHABET | EXTENSION:
        length = sum(2 if one in EXTENSION else 1 for one in text)
        return 1 if length <= 160 else -(-length // 153)
    length = len(text.encode("utf-16-le")) // 2
    return 1 if length <= 70 else -(-length // 67)


def read_twilio(body: bytes) -> str:
    """The text of a message.

    Raises:
        Refused: Twilio would refuse it.
        AssertionError: Twilio would accept it, but as more than two segments.
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
    """An account. `refused` has numbers with the error code of each; the reference of a message is its number."""

    def __init__(self, account: str, token: str, refused: dict[str, int] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.account, self.token = account, token
        self.refused = refused or {}

    async def respond(self, request: web.Request) -> web.Response:
        login = BasicAuth.decode(request.headers.get("Authorization", "Basic Og=="))
        if (login.login, login.password) != (self.account, self.token):
            return error_response(401, 20003, "Authenticate")
        if request.path != f"/2010-04-01/Accounts/{self.account}/Messages.json":
            return error_response(404, 20404, f"The requested resource {request.path} was not found")
        if request.content_type != "application/x-www-form-urlencoded":
            return error_response(400, 21604, "A 'To' phone number is required.")
        body = await request.read()
        try:
            text = read_twilio(body)
        except Refused as refused:
            return error_response(400, refused.code, refused.text)
        number = dict(parse_qsl(body.decode()))["To"]
        if number in self.refused:
            return error_response(400, self.refused[number], "no")
        window = self.window(self.account, 30, 1)  # Twilio does not document the number
        if window is not None and not window.allow():
            return error_response(429, 20429, "Too Many Requests")
        self.messages.append(PostedMessage(number, [text]))
        return web.json_response({"sid": "SM" + "0" * 32, "status": "queued", "to": number}, status=201)


def error_response(status: int, code: int, text: str) -> web.Response:
    """An error response of Twilio."""
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    response = {"code": code, "message": text, "more_info": more_info, "status": status}
    return web.json_response(response, status=status)
