"""What is sent to a platform, and what it answers."""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay.notify.signing import Signing

JSON: Final = {"Content-Type": "application/json"}


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
    editable: bool = False
    """Whether the message that it makes may be edited later, so that its reference is kept."""
    edits: str | None = None
    """The reference of the message that it edits."""
    replacement: "Request | None" = None
    """Is sent instead if that message is gone."""
    optional: bool = False
    """Whether nobody needs it when the message that it edits, or replies to, is gone."""
    built_in: "Request | None" = None
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
