"""What does every notifier share: classification of answers, redaction, and one attempt from end to end?"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import yarl

from relay.domain.channel_types import BaseChannel, RateLimit
from relay.domain.channels import MASK
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.markup import PLAIN, Markup
from relay.notify.pauses import pause_after_refusal, until_reset
from relay.notify.signing import Signing

MAX_DETAIL: Final = 500
"""Characters of a platform's words that are kept."""
SHORTEST_SECRET: Final = 6
TOO_EARLY: Final = 425
OF_THE_MOMENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
OF_THE_DESTINATION: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.GONE,
    }
)
"""What people can mend in the channel or at the platform, and then the same message is taken."""

JSON: Final = {"Content-Type": "application/json"}

_token = re.compile(r"[\w-]{16,}", re.ASCII)
"""What only a secret looks like, by itself."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent to a platform.

    `signing` adds headers when it is sent, for they hold the time, and a request itself must not.
    """

    url: str
    body: bytes
    headers: dict[str, str] = msgspec.field(default_factory=JSON.copy)
    method: str = "POST"
    signing: Signing | None = None
    independent: bool = False
    """Whether the requests after this one are sent even if the platform says no to it for good."""
    lasting: bool = False
    """Whether the message that it makes may be edited later, so that its reference is kept."""
    edits: str | None = None
    """The reference of the message that it edits."""
    anew: "Request | None" = None
    """Is sent instead if that message is gone."""
    needless_when_gone: bool = False
    """Whether nobody needs it when the message that it edits, or replies to, is gone."""
    plain: "Request | None" = None
    """Is sent instead if the platform refuses this one, which a template made."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """What is handed to a mail server. `url` is `smtp://host:port`; `body` is the message but for its date.

    `security` is that of an EmailChannel. The date is set when it is sent, so that the body stays the same.
    """

    url: str
    security: str
    username: str | None
    password: str | None
    sender: str
    recipients: tuple[str, ...]
    body: bytes


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to Apprise: plain text, and how bad it is, in Apprise's word."""

    url: str
    title: str
    text: str
    kind: str

    @property
    def body(self) -> bytes:
        """All that it says."""
        return f"{self.title}\n\n{self.text}".encode()


AnyRequest = Request | Mail | Notice


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What a platform answered; header names in lower case, the body cut to what was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def words(self) -> str:
        """The body as text for people, in one line; whole, so that a secret in it can be told before it is cut."""
        return " ".join(self.body.decode(errors="replace").split())


C = TypeVar("C", bound=BaseChannel)


class Notifier(Generic[C]):
    """One platform. Stateless: one instance serves all channels of its type."""

    rate_limit: ClassVar[RateLimit | None] = None
    """What the platform takes from one channel, unless the channel says otherwise; None: no limit."""
    markup: ClassVar[Markup] = PLAIN
    """What message templates write in."""

    def check(self, channel: C) -> None:
        """Refuse settings that this platform can't work with.

        Raises:
            InvalidInput: names the field.
        """

    def limit(self, channel: C) -> RateLimit | None:
        """What the platform takes from this channel, for those that part their channels."""
        return self.rate_limit

    def urls(self, channel: C) -> dict[str, str]:
        """The URLs that this channel connects to, by field."""
        return {"webhook_url": channel.webhook_url}  # type: ignore[attr-defined]

    def hosts(self, channel: C) -> dict[str, tuple[str, bool]]:
        """The hosts that this channel connects to otherwise than by a URL, by field; and whether encrypted."""
        return {}

    def lives_at(self, channel: C) -> str | None:
        """What names the place of this channel's messages, if a group's message there is edited; else None.

        A reference is of use in the same place alone. It may hold secrets.
        """
        return None

    def body_template(self, channel: C) -> str | None:
        """A template of the whole body, if the channel has one: what comes of it is the message's `body`."""
        return None

    def requests(self, channel: C, message: Message) -> Sequence[AnyRequest]:
        """The requests that tell the message, one after the other. Pure, so that they can be shown unsent.

        On a retry they are made anew; those that were taken before are left out, if they are all still the same.
        """
        return (self.request(channel, message),)

    def request(self, channel: C, message: Message) -> AnyRequest:
        """The one request that tells the message, where one is enough."""
        raise NotImplementedError

    def verdict(self, response: Response) -> Outcome:
        """Read the platform's answer to a Request; what carries the other kinds reads the answers itself."""
        return classify(response)


def require_open_url(field: str, url: str) -> None:
    """Refuse a URL that holds what should be secret: one that is not sealed is shown to all who see the channel.

    Raises:
        InvalidInput: names the field.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidInput(field, "must hold no login, no query and no fragment, for it is not kept secret")


def classify(response: Response, now: datetime | None = None) -> Outcome:
    """Read an answer by its status: 2xx is a yes, and a 4xx that speaks of the message is a no.

    All else speaks of the destination or of the moment, so that the same message may be taken later.
    """
    status, words = response.status, response.words
    if 200 <= status < 300:
        return Sent(status, words, until_reset(response.headers))
    if 400 <= status < 500 and status not in OF_THE_MOMENT | OF_THE_DESTINATION:
        return Rejected(reason_of(status), f"{status} {words}".strip(), status)
    if 300 <= status < 400:
        words = f"redirects are not followed {words}"
    return retry(reason_of(status), f"{status} {words}".strip(), response, now)


def retry(reason: Reason, detail: str, response: Response, now: datetime | None = None) -> Retry:
    """An answer that leaves the message to a later attempt, with the wait that it asks for."""
    after = pause_after_refusal(response.status, response.headers, response.body, now)
    return Retry(reason, detail, response.status, after)


def gone(response: Response) -> Retry:
    """An answer that says that the destination is no more."""
    return retry(Reason.DESTINATION_GONE, f"{response.status} {response.words}".strip(), response)


def reason_of(status: int) -> Reason:
    """Alertmanager's word for a status, and ours for 410."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Reason.RATE_LIMITED
    if status == HTTPStatus.GONE:
        return Reason.DESTINATION_GONE
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Reason.AUTH_ERROR
    if 400 <= status < 500:
        return Reason.CLIENT_ERROR
    return Reason.SERVER_ERROR if status >= 500 else Reason.OTHER


def redact(text: str, channel: BaseChannel) -> str:
    """Mask the channel's secrets in text that may leave the process."""
    if len(text) < SHORTEST_SECRET:
        return text
    return _masked(text, (shown for secret in secrets_of(channel) for shown in _shown_as(secret)))


def redact_own(text: str, channel: BaseChannel) -> str:
    """Mask the channel's secrets in what a notifier wrote, which says them whole or not at all.

    A word of a URL, such as `alerts`, is there a word like any other.
    """
    return _masked(text, (shown for secret in secrets_of(channel) for shown in _shown_whole(secret)))


def basic_login(user: str, password: str) -> str:
    """A user and password as HTTP's basic authentication sends them (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def secrets_of(channel: BaseChannel) -> Iterator[str]:
    """All that is secret of a channel, whole."""
    if channel.LOGIN is not None:
        yield basic_login(*(getattr(channel, name) for name in channel.LOGIN))
    for name in channel.SECRET:
        value: Any = getattr(channel, name)
        for secret in value.values() if isinstance(value, dict) else (value,):
            if isinstance(secret, str):
                yield secret


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text


@lru_cache(maxsize=1024)
def _shown_as(secret: str) -> tuple[str, ...]:
    return tuple(spelling for part in _parts(secret) for spelling in _spellings(part))


def _shown_whole(secret: str) -> Iterator[str]:
    """A secret, and what in it only a secret looks like."""
    return (spelling for part in (secret, *_token.findall(secret)) for spelling in _spellings(part))


def _parts(secret: str) -> Iterator[str]:
    """A secret, and what of it another may show: the path of a URL, the token of a header."""
    yield secret
    yield from secret.split()
    if "://" not in secret:
        yield from _token.findall(secret)
        return
    try:
        url = yarl.URL(secret)
    except ValueError:
        return
    path = secret.partition("://")[2].partition("/")[2]
    yield from (str(url), path, url.raw_path_qs.lstrip("/"), *_token.findall(path))
    yield from url.query.values()
    if url.password:
        yield url.password
        yield basic_login(url.user or "", url.password)


def _spellings(text: str) -> Iterator[str]:
    """Text as it is, and as JSON, HTML or a server's own decoding of URLs spells it."""
    quoted = json.dumps(text)[1:-1]
    yield from (text, quoted, quoted.replace("/", "\\/"), html.escape(text), unquote(text))
