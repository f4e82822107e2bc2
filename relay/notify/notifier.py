"""The base class of all notifiers."""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar
from urllib.parse import urlsplit

from relay.domain.channel_types import BaseChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome
from relay.notify.classify import classify
from relay.notify.requests import AnyRequest, Response
from relay.notify.text.markup import PLAIN, Markup

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

    def rate_limit_for(self, channel: C) -> RateLimit | None:
        """What the platform takes from this channel, for those that part their channels."""
        return self.rate_limit

    def urls(self, channel: C) -> dict[str, str]:
        """The URLs that this channel connects to, by field."""
        return {"webhook_url": channel.webhook_url}  # type: ignore[attr-defined]

    def hosts(self, channel: C) -> dict[str, tuple[str, bool]]:
        """The hosts that this channel connects to otherwise than by a URL, by field; and whether encrypted."""
        return {}

    def edit_destination(self, channel: C) -> str | None:
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


def require_url_without_secrets(field: str, url: str) -> None:
    """Refuse a URL that holds what should be secret: one that is not sealed is shown to all who see the channel.

    Raises:
        InvalidInput: names the field.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidInput(field, "must hold no login, no query and no fragment, for it is not kept secret")
