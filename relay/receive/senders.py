"""The source and the sender of a webhook, from its URL and its connection."""

import ipaddress
from collections.abc import Sequence
from typing import Final

from relay.domain.errors import InvalidInput, InvalidWebhook
from relay.domain.identity import require_source

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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

    `client` is the address of the connection. If it is a trusted proxy, the address is the last one in
    X-Forwarded-For that is no trusted proxy; what stands before it may be forged.

    Raises:
        InvalidWebhook: the name is malformed.
    """
    if name:
        return _checked("sender", name)
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    address = client
    while hops and _is_trusted(address, trusted_proxies):
        address = hops.pop()
    return address[:64]


def _is_trusted(address: str, trusted_proxies: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted_proxies)


def _checked(field: str, name: str) -> str:
    if name:
        try:
            require_source(field, name)
        except InvalidInput as error:
            raise InvalidWebhook(error.field, error.message) from None
    return name
