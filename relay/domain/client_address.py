"""The address of a client, behind proxies that are trusted to state it."""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_ADDRESS = 64
"""Characters; an address that a proxy forwards may be anything."""


def client_address(client: str, forwarded_for: Sequence[str], trusted_proxies: Sequence[Network]) -> str:
    """Return the address of the client of a connection from `client`.

    If that is a trusted proxy, it is the last address in X-Forwarded-For that is no trusted proxy; what stands
    before it may be forged.
    """
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")] if trusted_proxies else []
    address = client
    while hops and is_within(address, trusted_proxies):
        address = hops.pop()
    return address[:MAX_ADDRESS]


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; a text that is no address is not."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        # A socket for both families reports IPv4 clients in this form.
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed in network for network in networks)


def is_loopback(host: str) -> bool:
    """Whether only the machine itself can connect to a host's address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
