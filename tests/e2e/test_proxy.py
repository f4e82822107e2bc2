"""End to end: the relay behind a real HTTP proxy, tinyproxy."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.domain.channel_types import WebhookChannel
from relay.domain.outcomes import Reason, Retry, Sent
from relay.notify.registry import NOTIFIERS
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.proxy import ProxySettings
from tests.fixtures.certificates import Authority
from tests.fixtures.daemons import daemon
from tests.fixtures.platforms import Platform, listening
from tests.fixtures.processes import free_port
from tests.notify.factories import channel, notification

TINYPROXY = shutil.which("tinyproxy")
LOGIN = "relay:s3cret-password"
CONFIG = """
Port {port}
Listen 127.0.0.1
Timeout 30
BasicAuth relay s3cret-password
ConnectPort {connect_port}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TINYPROXY is None, reason="tinyproxy is missing: apt-get install tinyproxy"),
]


@asynccontextmanager
async def tinyproxy(folder: Path, connect_port: int = 443) -> AsyncIterator[int]:
    """The port of a proxy that requires a login, and allows TLS to one port."""
    assert TINYPROXY is not None
    port = free_port()
    config = folder / "tinyproxy.conf"
    config.write_text(CONFIG.format(port=port, connect_port=connect_port))
    async with daemon(f"http://127.0.0.1:{port}", TINYPROXY, "-d", "-c", str(config), status=407):
        yield port


def through(
    port: int, *, login: str = LOGIN, allowed: tuple[str, ...] = (), no_proxy: tuple[str, ...] = ()
) -> Sender:
    """A sender behind the proxy."""
    return Sender(EgressPolicy(allowed), 10.0, proxies=ProxySettings(f"http://{login}@127.0.0.1:{port}", no_proxy))


async def attempt(sender: Sender, url: str, **settings: Any) -> Any:
    """One attempt to deliver a message to a URL."""
    async with sender:
        return await sender.attempt(
            NOTIFIERS[WebhookChannel], channel(WebhookChannel, url, **settings), notification()
        )


LOOPBACK = ("127.0.0.0/8",)


async def test_a_message_is_delivered_through_the_proxy(tmp_path: Path, platform: Platform) -> None:
    authority = Authority()
    async with (
        listening(authority.server_context(tmp_path)) as encrypted,
        tinyproxy(tmp_path, int(encrypted.url.rpartition(":")[2])) as port,
    ):
        if True:
            plain = await attempt(through(port, allowed=LOOPBACK), f"{platform.url}/hook?next=%2F")
            tls = await attempt(
                through(port, allowed=LOOPBACK), f"{encrypted.url}/hook", tls_ca=authority.certificate
            )
            direct = await attempt(through(port, allowed=LOOPBACK, no_proxy=LOOPBACK), f"{platform.url}/direct")
            denied = await attempt(through(port, login="relay:wrong", allowed=LOOPBACK), f"{encrypted.url}/x")

    assert [isinstance(outcome, Sent) for outcome in (plain, tls, direct)] == [True] * 3
    by_path = {request.path: request.headers for request in platform.received}
    assert set(by_path) == {"/hook?next=%2F", "/direct"}
    assert "via" in by_path["/hook?next=%2F"]
    assert "via" not in by_path["/direct"]
    assert len(encrypted.received) == 1
    assert isinstance(denied, Retry)
    assert denied.detail.startswith("the proxy refused the connection: 4")


async def test_a_proxy_that_is_away_is_retried(platform: Platform) -> None:
    outcome = await attempt(through(free_port(), allowed=LOOPBACK), platform.url)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.unconfirmed) == (Reason.CONNECTION_ERROR, False)
    assert outcome.detail.startswith("the proxy cannot be reached: ")
    assert platform.received == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:7f00:1]"]
)
async def test_a_private_address_is_refused_also_through_the_proxy(host: str, tmp_path: Path) -> None:
    async with tinyproxy(tmp_path) as port:
        outcome = await attempt(through(port), f"https://{host}/hook")
        name = await attempt(through(port), "https://does-not-exist.invalid/hook")

    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.BLOCKED_TARGET
    # A name is resolved by the proxy.
    assert isinstance(name, Retry)
    assert name.reason is Reason.CONNECTION_ERROR
