"""The base class of all notifiers."""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar
from urllib.parse import urlsplit

from relay.domain.channel_types import BaseChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome
from relay.notify.classify import classify
from relay.notify.requests import AnyRequest, Request, Response
from relay.notify.text.markup import PLAIN, Markup

C = TypeVar("C", bound=BaseChannel)


class Notifier(Generic[C]):
    """One platform. Stateless: one instance serves all channels of its type."""

    rate_limit: ClassVar[RateLimit | None] = None
    """The platform's rate limit for one channel, which the channel's own setting overrides; None if unlimited."""
    markup: ClassVar[Markup] = PLAIN
    """The markup of message templates."""

    def check(self, channel: C) -> None:
        """Reject settings that this platform does not accept.

        Raises:
            InvalidInput: names the field.
        """

    def rate_limit_for(self, channel: C) -> RateLimit | None:
        """The platform's rate limit for this channel; overridden where it depends on the channel."""
        return self.rate_limit

    def urls(self, channel: C) -> dict[str, str]:
        """The URLs that this channel connects to, by field."""
        return {"webhook_url": channel.webhook_url}  # type: ignore[attr-defined]

    def hosts(self, channel: C) -> dict[str, tuple[str, bool]]:
        """The other hosts that this channel connects to, by field, and whether the connection is encrypted."""
        return {}

    def edit_destination(self, channel: C) -> str | None:
        """Identifies where this channel's messages are, if they are edited later; else None.

        A message reference is valid only for the same destination. The value may contain secrets.
        """
        return None

    def body_template(self, channel: C) -> str | None:
        """The channel's template for the whole body, if it has one; its result becomes the message's `body`."""
        return None

    def requests(self, channel: C, message: Message) -> Sequence[AnyRequest]:
        """The requests that send the message, in order. Pure, so that they can be previewed.

        They are built again for a retry, which skips those already sent, as long as all of them are unchanged.
        """
        return (self.request(channel, message),)

    def request(self, channel: C, message: Message) -> AnyRequest:
        """The request that sends the message, for platforms that need only one."""
        raise NotImplementedError

    def verdict(self, request: Request, response: Response) -> Outcome:
        """Classify the response to a request. SMTP and Apprise classify their own responses.

        A platform that defines its success accepts nothing else: see `relay.notify.classify.failure`.
        """
        return classify(response)


def require_url_without_secrets(field: str, url: str) -> None:
    """Reject a URL with secret parts, for a field that is stored in plain text and visible in the API.

    Raises:
        InvalidInput: names the field.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidInput(field, "must not contain credentials, a query or a fragment: the field is not secret")
