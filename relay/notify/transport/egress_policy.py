"""Where may a channel connect to?

A channel's URL comes from a caller, so the relay must not be a way into its own network. Addresses are
checked when a connection is made, and the connection goes to the very address that was checked: a name that
resolves differently the second time changes nothing.
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
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HOST_SIGNS: Final = "-._"
NO_HOST: Final = "must be a host name or an address"
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""Carries an IPv4 address in its last four bytes (RFC 6052)."""

_number = re.compile(r"[0-9]+|0x[0-9a-f]*")


class BlockedAddress(OSError):
    """The address is one that channels may not connect to."""


class EgressCheck:
    """What the current attempt connects to.

    The HTTP library makes its sockets in tasks of its own, which share this with the attempt.
    """

    def __init__(self, egress_policy: "EgressPolicy") -> None:
        """Nothing is exempt before `set_url`."""
        self._policy = egress_policy
        self.exempt = False
        self.begun = False
        self.blocked: str | None = None

    def set_url(self, url: str) -> None:
        """Say which URL is connected to, so that its host's name may be exempt.

        Raises:
            ValueError: it is no URL that a resolver would take.
        """
        host = _host(yarl.URL(url))
        host.encode("idna")
        self.exempt = self._policy.host_exempt(host)


_current: ContextVar[EgressCheck] = ContextVar("connecting")


class EgressPolicy:
    """The policy: public addresses over https, and whatever RELAY_ALLOWED_TARGETS exempts."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """Read networks (`10.0.0.0/8`, `127.0.0.1`) and host names (`hooks.internal`, `*.internal`).

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
        """Refuse a URL that no connection would be made to anyway, as far as the URL itself tells.

        Raises:
            InvalidInput: names the field; never shows the URL, which may hold a secret.
        """
        parts = _split(field, url)
        self._check(field, _host(parts), parts.scheme == "https", "must start with https://")

    def check_host(self, field: str, host: str, *, encrypted: bool) -> None:
        """The same for a host that is given by itself, as a name or an address.

        Raises:
            InvalidInput: names the field.
        """
        named = all(character.isalnum() or character in HOST_SIGNS for character in host)
        if "%" in host or not (named or _literal(host)):
            raise InvalidInput(field, NO_HOST)
        try:
            parts = _split(field, host_url("https", host))
        except InvalidInput:
            raise InvalidInput(field, NO_HOST) from None
        self._check(field, _host(parts), encrypted, "must be encrypted")

    def _check(self, field: str, host: str, encrypted: bool, wanted: str) -> None:
        if self.host_exempt(host):
            return
        address = _literal(host)
        exempt = address is not None and self.permits(address)
        if address is not None and not exempt:
            raise InvalidInput(field, _blocked(str(address)))
        if host == "localhost" and not self.permits(ipaddress.ip_address("127.0.0.1")):
            raise InvalidInput(field, _blocked("localhost"))
        networked = address is not None and any(address in network for network in self._networks)
        if not encrypted and not networked and host != "localhost":
            raise InvalidInput(field, f"{wanted}, or its host be listed in RELAY_ALLOWED_TARGETS")

    def permits(self, address: Address) -> bool:
        """Whether a connection to the address may be made."""
        real = _unwrapped(address)
        if any(real in network for network in self._networks):
            return True
        site_local = isinstance(real, ipaddress.IPv6Address) and real.is_site_local
        return real.is_global and not real.is_multicast and not real.is_reserved and not site_local

    def begin_check(self) -> EgressCheck:
        """Begin an attempt in the current task."""
        begin_check = EgressCheck(self)
        _current.set(begin_check)
        return begin_check

    def open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make the socket for one resolved address, `(family, type, protocol, name, sockaddr)`.

        Raises:
            BlockedTarget: channels may not connect there.
        """
        family, kind, protocol, _, where = address
        begin_check = _current.get()
        if not begin_check.exempt and not self.permits(ipaddress.ip_address(where[0].partition("%")[0])):
            if not begin_check.begun:
                begin_check.blocked = _blocked(where[0])
            raise BlockedAddress(_blocked(where[0]))
        # A name may have several addresses: one that is permitted decides how the attempt ends.
        begin_check.begun, begin_check.blocked = True, None
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened

    def host_exempt(self, host: str) -> bool:
        """Whether the name is listed, whatever it resolves to. An address is no name, whatever its zone."""
        return ":" not in host and (host in self._hosts or host.endswith(self._suffixes or ("\0",)))


def host_url(scheme: str, host: str, port: int | None = None) -> str:
    """The URL of a host that is given by itself."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"


def is_address(host: str) -> bool:
    """Whether a host is given by its address, or is this machine by its usual name."""
    return host == "localhost" or _literal(host) is not None


def _split(field: str, url: str) -> yarl.URL:
    """Take a URL apart as the HTTP library does, so that what is checked is what is connected to.

    Raises:
        InvalidInput: names the field.
    """
    if len(url) > MAX_URL:
        raise InvalidInput(field, f"must not be longer than {MAX_URL} characters")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidInput(field, "must not hold spaces or control characters")
    try:
        parts = yarl.URL(url)
        _host(parts).encode("idna")  # as the resolver will: it refuses labels that are empty or too long
        malformed = parts.port == 0 or not _host(parts) or _is_odd_number(_host(parts))
    except ValueError:
        malformed = True
        parts = yarl.URL()
    if malformed or parts.scheme not in ("https", "http"):
        raise InvalidInput(field, "must be a URL such as https://example.com/path")
    return parts


def _host(url: yarl.URL) -> str:
    return (url.raw_host or "").rstrip(".")


def _is_odd_number(host: str) -> bool:
    """Whether it is an IPv4 address that only some read as one: `2130706433`, `0x7f.1`, `127.1`."""
    return _number.fullmatch(host.rpartition(".")[2]) is not None and _literal(host) is None


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where it carries one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _blocked(where: str) -> str:
    return f"{where} is not a public address; list it in RELAY_ALLOWED_TARGETS if channels may connect there"
