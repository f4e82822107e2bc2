"""The proxy for outgoing HTTP requests, and the hosts that are connected to directly."""

import ipaddress
from collections.abc import Iterable

import msgspec
import yarl

from relay.domain.errors import SettingsError
from relay.notify.redact import basic_credentials


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy. `url` contains no credentials.

    `headers` do: aiohttp sends their Authorization as Proxy-Authorization, with or without TLS to the host.
    """

    url: yarl.URL
    headers: dict[str, str]


class ProxySettings:
    """Which proxy is used for which host."""

    def __init__(self, url: str | None, no_proxy: Iterable[str]) -> None:
        """`url` is `http://[user:password@]host[:port]`, None for no proxy.

        `no_proxy` lists host names, which include their subdomains, `.suffixes`, addresses, networks and `*`, each
        optionally with a port.

        Raises:
            SettingsError: the URL is none of an HTTP proxy.
        """
        self._proxy = None if url is None else _parse(url)
        self._direct = [entry.strip().lower() for entry in no_proxy if entry.strip()]

    def proxy_for(self, url: yarl.URL) -> Proxy | None:
        """The proxy for a URL; None for a direct connection."""
        host = (url.raw_host or "").rstrip(".").lower()
        if self._proxy is None or any(_matches(entry, host, url.port) for entry in self._direct):
            return None
        return self._proxy


def _parse(text: str) -> Proxy:
    try:
        url = yarl.URL(text)
    except ValueError:
        url = yarl.URL()
    if url.scheme != "http" or not url.raw_host or url.raw_path != "/" or url.query_string:
        raise SettingsError("RELAY_PROXY must be the URL of an HTTP proxy, such as http://proxy.example.com:3128")
    if url.user is None:
        return Proxy(url, {})
    credentials = basic_credentials(url.user, url.password or "")
    return Proxy(url.with_user(None), {"Authorization": f"Basic {credentials}"})


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, separator, entry_port = entry.rpartition(":")
    if separator and entry_port.isdecimal() and (":" not in name or name.endswith("]")):
        if int(entry_port) != port:
            return False
        entry = name.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        suffix = entry.removeprefix("*").removeprefix(".").rstrip(".")
        return host.endswith("." + suffix) or (host == suffix and suffix == entry.rstrip("."))
