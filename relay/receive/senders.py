"""The source and the sender of a webhook, from its URL and its connection."""

from collections.abc import Sequence
from typing import Final

from relay.domain.client_address import Network, client_address
from relay.domain.errors import InvalidInput, InvalidWebhook
from relay.domain.identity import require_source

RESERVED_SOURCE: Final = "relay"
"""The source of the relay's own alerts."""


def source_of(name: str) -> str:
    """Check the source that a webhook names; empty if it names none.

    Raises:
        InvalidWebhook: the name is malformed or reserved.
    """
    if name == RESERVED_SOURCE:
        raise InvalidWebhook("source", f"`{RESERVED_SOURCE}` is reserved for the relay's own alerts")
    return _checked("source", name)


def sender_address(
    name: str, client: str, forwarded_for: Sequence[str], trusted_proxies: Sequence[Network]
) -> str:
    """The address of a sender, or the name that the webhook gives in its place.

    Raises:
        InvalidWebhook: the name is malformed.
    """
    return _checked("sender", name) if name else client_address(client, forwarded_for, trusted_proxies)


def _checked(field: str, name: str) -> str:
    if name:
        try:
            require_source(field, name)
        except InvalidInput as error:
            raise InvalidWebhook(error.field, error.message) from None
    return name
