"""The policy for addresses that channels may connect to.

A channel's URL comes from a caller of the API, so the relay must not give access to its own network. Addresses are
checked when a connection is made, and the connection uses the checked address, so a name that resolves
differently the second time (DNS rebinding) does not bypass the check.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final

import yarl

from relay.domain.errors import InvalidInput, SettingsError

MAX_URL: Final = 4096
HOST_PUNCTUATION: Final = "-._"
INVALID_HOST: Final = "must be a host name or an address"
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""Contains an IPv4 address in its last four bytes. https://www.rfc-editor.org/rfc/rfc6052#section-2.1"""
BLOCKED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments; 192.0.0.192 has the metadata of Oracle's cloud
        "192.88.99.0/24",  # relays of 6to4, which nobody runs any longer, RFC 7526
        "168.63.129.16/32",  # Azure's virtual public address, with metadata and host services
        "64:ff9b:1::/48",  # local NAT64 prefixes, RFC 8215
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # segment routing, RFC 9602
    )
)
"""Networks that Python takes for public. https://www.iana.org/assignments/iana-ipv6-special-registry"""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_number = re.compile(r"[0-9]+|0x[0-9a-f]*")


class BlockedAddress(OSError):
    """The policy does not allow connections to the address."""


class EgressCheck:
    """The state of the policy's check during one attempt.

    The HTTP library opens sockets in its own tasks, which share this object through a context variable.
    """

    def __init__(self, egress_policy: "EgressPolicy") -> None:
        """No host is exempt before `set_url`."""
        self._policy = egress_policy
        self._host = ""
        self.exempt = False
        self.opened_socket = False
        self.blocked: str | None = None
        """The error, if all addresses so far were blocked."""

    def set_url(self, url: str) -> None:
        """Set the URL of the attempt, whose host name may be exempt.

        Raises:
            ValueError: the URL is malformed.
        """
        self._host = _host(yarl.URL(url))
        self._host.encode("idna")
        self.exempt = self._policy.exempts_host(self._host)

    def use_proxy(self) -> None:
        """Allow the connection to the proxy, which resolves the host's name itself.

        Raises:
            BlockedAddress: the host is an address that the policy does not allow.
        """
        address = ipaddress.ip_address("127.0.0.1") if self._host == "localhost" else _parse_address(self._host)
        if not self.exempt and address is not None and not self._policy.allows(address):
            self.blocked = _blocked(self._host)
            raise BlockedAddress(self.blocked)
        self.exempt = True


_current: ContextVar[EgressCheck] = ContextVar("egress_check")


class EgressPolicy:
    """Allows public addresses over HTTPS, and the exemptions in RELAY_ALLOWED_TARGETS."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """`allowed` contains networks (`10.0.0.0/8`, `127.0.0.1`) and host names (`hooks.internal`, `*.internal`).

        Raises:
            SettingsError: an entry is neither.
        """
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: set[str] = set()
        self._suffixes: tuple[str, ...] = ()
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError:
                self._add_host(entry.lower().rstrip("."))

    def _add_host(self, host: str) -> None:
        if not host or host == "*" or any(character in host for character in "/:@ "):
            raise SettingsError(f"RELAY_ALLOWED_TARGETS: {host!r} is neither a network nor a host name")
        if host.startswith("*."):
            self._suffixes += (host[1:],)
        else:
            self._hosts.add(host)

    def check_url(self, field: str, url: str) -> None:
        """Reject a URL that the policy never allows, as far as that is known without resolving its host name.

        Raises:
            InvalidInput: names the field, without the URL, which may contain a secret.
        """
        parts = _parse_url(field, url)
        self._check(field, _host(parts), parts.scheme == "https", "must start with https://")

    def check_host(self, field: str, host: str, *, encrypted: bool) -> None:
        """Reject a host, a name or an address, in the same way.

        Raises:
            InvalidInput: names the field.
        """
        named = all(character.isalnum() or character in HOST_PUNCTUATION for character in host)
        if "%" in host or not (named or _parse_address(host)):
            raise InvalidInput(field, INVALID_HOST)
        try:
            parts = _parse_url(field, host_url("https", host))
        except InvalidInput:
            raise InvalidInput(field, INVALID_HOST) from None
        self._check(field, _host(parts), encrypted, "must be encrypted")

    def _check(self, field: str, host: str, encrypted: bool, requirement: str) -> None:
        if self.exempts_host(host):
            return
        address = _parse_address(host)
        if address is not None and not self.allows(address):
            raise InvalidInput(field, _blocked(str(address)))
        if host == "localhost" and not self.allows(ipaddress.ip_address("127.0.0.1")):
            raise InvalidInput(field, _blocked("localhost"))
        listed = address is not None and any(address in network for network in self._networks)
        if not encrypted and not listed and host != "localhost":
            raise InvalidInput(field, f"{requirement} unless the host is listed in RELAY_ALLOWED_TARGETS")

    def allows(self, address: Address) -> bool:
        """Whether connections to the address are allowed."""
        address = _embedded_ipv4(address)
        if any(address in network for network in self._networks):
            return True
        if any(address in network for network in BLOCKED):
            return False
        site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
        return address.is_global and not address.is_multicast and not address.is_reserved and not site_local

    def begin_check(self) -> EgressCheck:
        """Start the check of an attempt in the current task."""
        check = EgressCheck(self)
        _current.set(check)
        return check

    def open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Open the socket for a resolved address, `(family, type, protocol, canonical name, socket address)`.

        Raises:
            BlockedAddress: the policy does not allow the address.
        """
        family, socket_type, protocol, _, socket_address = address
        host = socket_address[0]
        check = _current.get()
        if not check.exempt and not self.allows(ipaddress.ip_address(host.partition("%")[0])):
            if not check.opened_socket:
                check.blocked = _blocked(host)
            raise BlockedAddress(_blocked(host))
        # A name may have several addresses. If one of them is allowed, it decides the outcome of the attempt.
        check.opened_socket, check.blocked = True, None
        opened = socket.socket(family, socket_type, protocol)
        opened.setblocking(False)
        return opened

    def exempts_host(self, host: str) -> bool:
        """Whether the host name is listed. Its addresses then do not matter; an IPv6 address is never a name."""
        return ":" not in host and (host in self._hosts or host.endswith(self._suffixes or ("\0",)))


def host_url(scheme: str, host: str, port: int | None = None) -> str:
    """The URL of a host name or address."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"


def is_address(host: str) -> bool:
    """Whether the host is an address or `localhost`, as opposed to a name that must be resolved."""
    return host == "localhost" or _parse_address(host) is not None


def _parse_url(field: str, url: str) -> yarl.URL:
    """Parse a URL as the HTTP library does, so that the checked host is the one that is connected to.

    Raises:
        InvalidInput: names the field.
    """
    if len(url) > MAX_URL:
        raise InvalidInput(field, f"must not be longer than {MAX_URL} characters")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidInput(field, "must not contain spaces or control characters")
    try:
        parts = yarl.URL(url)
        _host(parts).encode("idna")  # as the resolver does, which rejects labels that are empty or too long
        malformed = parts.port == 0 or not _host(parts) or _is_number(_host(parts))
    except ValueError:
        malformed = True
        parts = yarl.URL()
    if malformed or parts.scheme not in ("https", "http"):
        raise InvalidInput(field, "must be a URL such as https://example.com/path")
    return parts


def _host(url: yarl.URL) -> str:
    return (url.raw_host or "").rstrip(".")


def _is_number(host: str) -> bool:
    """Whether it is an IPv4 address in a form that only some parsers accept: `2130706433`, `0x7f.1`, `127.1`."""
    return _number.fullmatch(host.rpartition(".")[2]) is not None and _parse_address(host) is None


def _parse_address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _embedded_ipv4(address: Address) -> Address:
    """The IPv4 address that an IPv6 address contains, or else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _blocked(host: str) -> str:
    return f"{host} is not a public address; list it in RELAY_ALLOWED_TARGETS to allow it"
