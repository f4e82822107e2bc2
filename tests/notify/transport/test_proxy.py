"""Which hosts are connected to through the proxy. tests/e2e/test_proxy.py has a real one."""

import base64

import pytest
import yarl

from relay.domain.errors import SettingsError
from relay.notify.transport.proxy import ProxySettings

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ((), [], ["https://example.com/", "http://10.0.0.1/"]),
        (("*",), ["https://example.com/"], []),
        (("example.com",), ["https://example.com/", "https://a.EXAMPLE.com/"], ["https://myexample.com/"]),
        ((".example.com",), ["https://a.example.com/"], ["https://example.com/"]),
        (("*.example.com",), ["https://a.example.com/"], ["https://example.com/"]),
        (
            ("10.0.0.0/8", "::1"),
            ["http://10.1.2.3/", "http://[::1]:80/"],
            ["http://11.0.0.1/", "https://ten.example/"],
        ),
        (("example.com:8443",), ["https://example.com:8443/"], ["https://example.com/"]),
        (("[::1]:8080", "127.0.0.1:80"), ["http://[::1]:8080/", "http://127.0.0.1/"], ["http://[::1]/"]),
        (("localhost", " "), ["http://localhost:1/"], ["http://127.0.0.1/"]),
    ],
)
def test_hosts_in_no_proxy_are_connected_to_directly(
    no_proxy: tuple[str, ...], direct: list[str], proxied: list[str]
) -> None:
    settings = ProxySettings(PROXY, no_proxy)
    assert [url for url in direct if settings.proxy_for(yarl.URL(url)) is not None] == []
    assert [url for url in proxied if settings.proxy_for(yarl.URL(url)) is None] == []


def test_the_credentials_of_the_proxy_are_utf8() -> None:
    proxy = ProxySettings("http://jürgen:p%40ss@proxy.example.com:3128", ()).proxy_for(
        yarl.URL("https://a.example/")
    )
    assert proxy is not None
    assert proxy.url == yarl.URL(PROXY)
    credentials = proxy.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(credentials).decode() == "jürgen:p@ss"


@pytest.mark.parametrize(
    "url", ["proxy:3128", "socks5://proxy", "https://proxy", "http://", "http://proxy/path", "x"]
)
def test_the_url_of_no_http_proxy_is_rejected(url: str) -> None:
    with pytest.raises(SettingsError, match="RELAY_PROXY"):
        ProxySettings(url, ())
