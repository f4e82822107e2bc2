"""How is a message told in a text message, over Twilio?

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource

Two segments at most: what counts, how bad it is, and the names. A text that can be said in GSM's alphabet is.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from relay.domain.alerts import severity_rank
from relay.domain.channel_types import RateLimit, SmsChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message
from relay.domain.outcomes import Outcome, Reason
from relay.notify.classify import classify, retry
from relay.notify.notifier import Notifier, require_url_without_secrets
from relay.notify.platforms.gsm7 import SEGMENT, UCS2_SEGMENT, cut, is_gsm, places, plain
from relay.notify.redact import basic_credentials
from relay.notify.requests import Request, Response
from relay.notify.text.content import Content, content_of

SEGMENTS: Final = 2
MAX_GSM: Final = SEGMENTS * SEGMENT
MAX_UCS2: Final = SEGMENTS * UCS2_SEGMENT
"""Twilio takes 1600 characters, and asks for 320 at most, which would be a third segment.

https://www.twilio.com/docs/api/errors/21617
"""
RATE_LIMIT: Final = RateLimit(per_second=1, burst=5)
"""One segment a second from a long code; Twilio queues what is more.

https://help.twilio.com/articles/115002943027
"""
MAX_RECIPIENTS: Final = 20
MAX_TEXT: Final = 400
"""Characters of a piece that are looked at."""
MAX_NOTE: Final = 60
MAX_TITLE: Final = 100
MAX_BODY: Final = 130
MAX_ALERT: Final = 130
"""Places of what a template made: of each, there is something left for the others."""
MAX_NAME: Final = 40
MAX_SEVERITY: Final = 20
MAX_NAMES: Final = 12
MIN_SUMMARY: Final = 15
"""Less of a summary would say nothing."""
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

RATE_LIMITED: Final = frozenset({14107, 20429, 21611})
AUTH_ERRORS: Final = frozenset({20003, 20005, 20008, 20404, 21408, 21608})
SENDER_ERRORS: Final = frozenset({21212, 21603, 21606, 21659, 21660, 21661, 21701, 21703, 21705})
"""The number or the service that texts are sent from can't: people can mend the channel.

https://www.twilio.com/docs/api/errors
"""

_account = re.compile(r"AC[0-9a-fA-F]{32}")
_service = re.compile(r"MG[0-9a-fA-F]{32}")
_number = re.compile(r"\+[1-9][0-9]{6,14}")
_sender = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}")


class SmsNotifier(Notifier[SmsChannel]):
    """Twilio, and servers that speak its API."""

    rate_limit = RATE_LIMIT

    def check(self, channel: SmsChannel) -> None:
        """Account, sender and numbers must look like such, and the API's URL must hold no secret."""
        require_url_without_secrets("twilio_url", channel.twilio_url)
        if not _account.fullmatch(channel.account_sid):
            raise InvalidInput("account_sid", "must be AC and 32 hexadecimal digits")
        if not channel.auth_token.strip():
            raise InvalidInput("auth_token", "must not be empty")
        _check_sender(channel)
        if not 1 <= len(channel.sms_to) <= MAX_RECIPIENTS:
            raise InvalidInput("sms_to", f"must hold 1 to {MAX_RECIPIENTS} numbers")
        for at, number in enumerate(channel.sms_to):
            if not _number.fullmatch(number):
                raise InvalidInput(f"sms_to[{at}]", "must be an E.164 number such as +4915112345678")
            if number in channel.sms_to[:at]:
                raise InvalidInput(f"sms_to[{at}]", "is there twice")

    def urls(self, channel: SmsChannel) -> dict[str, str]:
        """The API's."""
        return {"twilio_url": channel.twilio_url}

    def requests(self, channel: SmsChannel, message: Message) -> Sequence[Request]:
        """The same text to each number; one that takes none keeps it from nobody else."""
        url = f"{channel.twilio_url.rstrip('/')}/2010-04-01/Accounts/{channel.account_sid}/Messages.json"
        login = {"Authorization": f"Basic {basic_credentials(channel.account_sid, channel.auth_token)}"}
        sender = (
            {"From": channel.sms_from}
            if channel.sms_from is not None
            else {"MessagingServiceSid": channel.messaging_service_sid}
        )
        text = text_of(message)
        return [
            Request(
                url=url,
                body=urlencode({"To": number, **sender, "Body": text}).encode(),
                headers=FORM | login,
                independent=True,
            )
            for number in channel.sms_to
        ]

    def verdict(self, response: Response) -> Outcome:
        """Twilio names the error by a number: `{"code": 21211, "message": "…", "status": 400}`.

        What speaks of the one who is texted (no number, a landline, one that unsubscribed) is a 400, and final.
        """
        code = response.json_object().get("code")
        if not 400 <= response.status < 500 or not isinstance(code, int):
            return classify(response)
        detail = f"{response.status} {response.text}"
        for codes, reason in (
            (RATE_LIMITED, Reason.RATE_LIMITED),
            (AUTH_ERRORS, Reason.AUTH_ERROR),
            (SENDER_ERRORS, Reason.CLIENT_ERROR),
        ):
            if code in codes:
                return retry(reason, detail, response)
        return classify(response)


def _check_sender(channel: SmsChannel) -> None:
    if (channel.sms_from is None) == (channel.messaging_service_sid is None):
        raise InvalidInput("sms_from", "is what texts are sent from, unless messaging_service_sid is: give one")
    if channel.sms_from is not None and not _sender.fullmatch(channel.sms_from):
        raise InvalidInput("sms_from", "must be an E.164 number, a short code, or a name of up to 11 characters")
    service = channel.messaging_service_sid
    if service is not None and not _service.fullmatch(service):
        raise InvalidInput("messaging_service_sid", "must be MG and 32 hexadecimal digits")


def text_of(message: Message) -> str:
    """The message in two segments: counts, severity, names, and what else there is room for."""
    content = content_of(message)
    title = _line(content.title)
    told = [_line(alert.rendered or alert.title) for alert in content.alerts if content.alerts[0].rendered]
    names = _names(message)
    words = [(_line(name)[: MAX_NAME + 1], number) for name, number in names[:MAX_NAMES]]
    notes = _notes(message, content)
    summary = "" if told else _summary(message)
    body = _line(content.body or "")
    severity = _line(content.severity)[: MAX_SEVERITY + 1]
    said = (title, body, *told[:MAX_NAMES]) if told else (title, body, *(word for word, _ in words))
    gsm = all(is_gsm(plain(piece)) for piece in (*said, *notes, summary, severity))

    def say(text: str) -> str:
        return " ".join(plain(text).split()) if gsm else text

    text = _Text(MAX_GSM if gsm else MAX_UCS2, gsm)
    if title:
        text.start(cut(say(title), MAX_TITLE))
    else:
        text.start(f"{_start(message)} {cut(say(severity), MAX_SEVERITY)}".rstrip())
    for note in notes:
        text.add(f" ({cut(say(note), MAX_NOTE)})")
    # Alerts that are counted are told in full there, so that room is kept for it before names are listed.
    in_full = content.links if isinstance(message, Digest) else content.history
    history = "".join(f" {url}" for _, url in in_full) if content.total > 1 else ""
    kept = text.size(history) if text.size(history) <= text.left else 0
    text.limit -= kept
    if body:
        text.add("\n" + cut(say(body), MAX_BODY))
    if told:
        text.list("\n", [cut(say(one), MAX_ALERT) for one in told[:MAX_NAMES]], content.total, "\n")
    else:
        text.list(": ", [cut(say(word), MAX_NAME) + number for word, number in words], len(names))
    if summary and text.left >= MIN_SUMMARY:
        text.add(" - " + cut(say(summary)[:MAX_GSM], text.left - len(" - ")))
    text.limit += kept
    for link in [history] if kept else [f" {url}" for _, url in content.links[:1]]:
        text.add(link)
    return text.said


class _Text:
    """A text of limited size; what does not fit is left out whole."""

    def __init__(self, limit: int, gsm: bool) -> None:
        self.limit, self._gsm = limit, gsm
        self.said = ""

    @property
    def left(self) -> int:
        return self.limit - self.size(self.said)

    def size(self, text: str) -> int:
        return places(text) if self._gsm else len(text.encode("utf-16-le", "surrogatepass")) // 2

    def start(self, text: str) -> None:
        self.said = text

    def add(self, text: str) -> bool:
        fits = self.size(text) <= self.left
        self.said += text if fits else ""
        return fits

    def list(self, before: str, words: Sequence[str], total: int, between: str = ", ") -> None:
        """As many of the words as fit, and how many there are besides, of `total`."""
        for at, word in enumerate(words):
            if self.size(before + word + _more(total - at - 1)) > self.left:
                self.add(_more(total - at) if at else "")
                return
            self.add(before + word)
            before = between
        self.add(_more(total - len(words)))


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


def _start(message: Message) -> str:
    if isinstance(message, Digest):
        counts = (message.firing, message.resolved)
    else:
        counts = (len(message.firing), len(message.resolved))
    tally = ", ".join(
        f"{word}:{count}" for word, count in zip(("FIRING", "RESOLVED"), counts, strict=True) if count
    )
    return f"DIGEST of {message.groups} groups, {tally}" if isinstance(message, Digest) else tally


def _names(message: Message) -> list[tuple[str, str]]:
    """The names that are told, worst and most frequent first, each with its number."""
    if isinstance(message, Digest):
        found = [
            (one.alertname, one.firing or one.resolved)
            for one in message.counts
            if one.firing or not message.firing
        ]
    else:
        alerts = message.firing or message.alerts
        counts = Counter(alert.name for alert in alerts)
        ranks: dict[str, int] = {}
        for alert in alerts:
            ranks[alert.name] = min(severity_rank(alert.severity), ranks.get(alert.name, 99))
        found = sorted(counts.items(), key=lambda one: (ranks[one[0]], -one[1], one[0]))
    return [(name or "no name", f" x{count}" if count > 1 else "") for name, count in found]


def _notes(message: Message, content: Content) -> list[str]:
    notes = []
    if message.fallback_for is not None:
        notes.append(f"for {message.fallback_for.channel_id}: {_line(message.fallback_for.reason)}")
    if isinstance(message, Digest):
        return notes
    if message.group.truncated:
        notes.append(f"{message.group.truncated} more left out by Alertmanager")
    if unnotified := sum(not message.alerts[at].firing for at in message.unnotified):
        notes.append(f"{unnotified} fired and ended untold")
    return notes


def _summary(message: Message) -> str:
    """What the one alert says, if there is but one and it says more than its name."""
    if isinstance(message, Digest) or len(message.alerts) != 1:
        return ""
    summary = _line(message.alerts[0].annotations.get("summary", ""))
    return summary if summary != message.alerts[0].name else ""


def _line(text: str) -> str:
    return " ".join(text[:MAX_TEXT].split())
