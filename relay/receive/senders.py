"""The source and the sender of a webhook, from its URL and its connection."""

from collections.abc import Callable, Sequence

from relay.domain.client_address import Network, client_address
from relay.domain.errors import InvalidInput, InvalidWebhook
from relay.domain.identity import require_sending_source, require_source


def source_of(name: str) -> str:
    """Check the source that a webhook names; empty if it names none.

    Raises:
        InvalidWebhook: the name is malformed or reserved.
    """
    return _checked("source", name, require_sending_source)


def sender_address(
    name: str, client: str, forwarded_for: Sequence[str], trusted_proxies: Sequence[Network]
) -> str:
    """The address of a sender, or the name that the webhook gives in its place.

    Raises:
        InvalidWebhook: the name is malformed.
    """
    if name:
        return _checked("sender", name, require_source)
    return client_address(client, forwarded_for, trusted_proxies)


def _checked(field: str, name: str, require: Callable[[str, str], None]) -> str:
    if name:
        try:
            require(field, name)
        except InvalidInput as error:
            raise InvalidWebhook(error.field, error.message) from None
    return name
