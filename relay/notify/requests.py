"""Requests to a platform, and its response."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.notify.signing import Signing

JSON: Final = {"Content-Type": "application/json"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request.

    `signing` adds headers at the time of sending: they contain the time, which a request itself must not.
    """

    url: str
    body: bytes
    headers: dict[str, str] = msgspec.field(default_factory=JSON.copy)
    method: str = "POST"
    signing: Signing | None = None
    independent: bool = False
    """Whether the requests after this one are sent even if the platform rejects it."""
    editable: bool = False
    """Whether the created message may be edited later, so that its reference is stored."""
    edits: str | None = None
    """The reference of the message that this request edits."""
    replacement: "Request | None" = None
    """Sent instead if the edited message no longer exists."""
    optional: bool = False
    """Whether the request counts as sent if the message that it edits or replies to no longer exists."""
    announces: bool = False
    """Whether the request only makes edits heard, so that it is not sent once a new message was posted instead."""
    built_in: "Request | None" = None
    """Sent instead if the platform rejects this request, which was made by a template."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """An email for an SMTP server. `url` is `smtp://host:port`; `security` is that of an EmailChannel.

    `body` lacks the Date header, which is added at the time of sending, so that all attempts have the same body.
    """

    url: str
    security: str
    username: str | None
    password: str | None
    sender: str
    recipients: tuple[str, ...]
    body: bytes
    hello: str | None = None
    """The argument of EHLO; by default the relay's address."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notification for the Apprise library: plain text and Apprise's `notify_type`."""

    url: str
    title: str
    text: str
    notify_type: str

    @property
    def body(self) -> bytes:
        """Title and text, which identify the notice as a body does other requests."""
        return f"{self.title}\n\n{self.text}".encode()


AnyRequest = Request | Mail | Notice


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A platform's HTTP response: header names in lower case, the body up to the size limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as one line of text. Not shortened, because a secret cut in two could not be masked."""
        return " ".join(self.body.decode(errors="replace").split())

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is not one."""
        if not self.body.lstrip().startswith(b"{"):
            return {}
        try:
            decoded: dict[str, Any] = msgspec.json.decode(self.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return decoded
