"""Connections to blocked targets, in every spelling of the URL."""

import ipaddress
import socket
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from relay.domain.channel_types import SlackChannel
from relay.domain.outcomes import Outcome, Reason, Retry, Sent
from relay.notify.registry import NOTIFIERS
from relay.notify.transport.egress_policy import BlockedAddress, EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.channel_types import ChannelType, each_http_type
from tests.notify.factories import channel, notification
from tests.notify.sending import LOOPBACK, local_sender, send

SPELLINGS = [
    "127.0.0.1",
    "127.1.2.3",
    "0x7f000001",
    "0x7f.1",
    "0.0.0.0",
    "localhost",
    "LocalHost",
    "[::ffff:7f00:1]",
]
ODD_SPELLINGS = ["127.1", "2130706433", "0177.0.0.1", "0", "127.0.0.1.", "0x7f.1", "0x7f000001", "localhost."]


def is_blocked(outcome: Outcome) -> bool:
    return (
        isinstance(outcome, Retry)
        and outcome.reason is Reason.BLOCKED_TARGET
        and "RELAY_ALLOWED_TARGETS" in outcome.detail
    )


def url_at(sink: Sink, host: str) -> str:
    return f"http://{host}:{urlsplit(sink.url).port}/hidden-path"


@pytest.mark.parametrize("host", SPELLINGS)
async def test_loopback_is_blocked_in_every_spelling(host: str, sink: Sink) -> None:
    outcome = await send(SlackChannel, url_at(sink, host), allowed=())
    assert is_blocked(outcome), outcome
    assert "hidden-path" not in repr(outcome)
    assert sink.received == []


@pytest.mark.parametrize("host", ODD_SPELLINGS)
async def test_odd_spellings_of_loopback_do_not_connect(host: str, sink: Sink) -> None:
    outcome = await send(SlackChannel, url_at(sink, host), allowed=())
    assert isinstance(outcome, Retry)
    assert sink.received == []


@each_http_type
async def test_every_type_is_blocked(channel_type: ChannelType, sink: Sink) -> None:
    assert is_blocked(await send(channel_type, sink.url, allowed=()))
    assert sink.received == []


async def test_a_name_that_resolves_to_a_private_address_is_blocked(sink: Sink) -> None:
    name = socket.gethostname()
    try:
        found = {ipaddress.ip_address(entry[4][0]) for entry in socket.getaddrinfo(name, None, socket.AF_INET)}
    except socket.gaierror:
        pytest.skip("this machine does not know its own name")
    if any(address.is_global for address in found):
        pytest.skip("this machine's own name is a public address")
    assert is_blocked(await send(SlackChannel, url_at(sink, name), allowed=("192.0.2.0/24",)))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("localhost", "127.0.0.0/8"),
        ("localhost", "localhost"),
        ("LOCALHOST", "Localhost"),
    ],
)
async def test_an_allowed_target_is_connected_to(host: str, allowed: str, sink: Sink) -> None:
    assert isinstance(await send(SlackChannel, url_at(sink, host), allowed=(allowed,)), Sent)
    assert len(sink.received) == 1


@pytest.mark.parametrize("allowed", ["example.com", "*.example.com", "10.0.0.0/8"])
async def test_an_exemption_of_another_target_does_not_apply(allowed: str, sink: Sink) -> None:
    assert is_blocked(await send(SlackChannel, sink.url, allowed=(allowed,)))


async def test_an_exemption_ends_with_its_attempt(sink: Sink) -> None:
    async with local_sender(["localhost"]) as sender:
        outcomes = [
            await sender.attempt(
                NOTIFIERS[SlackChannel], channel(SlackChannel, url_at(sink, host)), notification()
            )
            for host in ("localhost", "127.0.0.1", "localhost")
        ]
    assert isinstance(outcomes[0], Sent)
    assert is_blocked(outcomes[1])
    assert isinstance(outcomes[2], Sent)


def test_one_permitted_address_of_a_name_is_enough() -> None:
    egress_policy = EgressPolicy(LOOPBACK)
    check = egress_policy.begin_check()
    blocked = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))
    with pytest.raises(BlockedAddress):
        egress_policy.open_socket(blocked)
    assert check.blocked
    egress_policy.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))).close()
    with pytest.raises(BlockedAddress):
        egress_policy.open_socket(blocked)
    assert check.blocked is None, "a later failure is that of the permitted address and is retried"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_no_proxy_of_the_environment_is_used(
    variable: str, monkeypatch: pytest.MonkeyPatch, sink: Sink
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert isinstance(await send(SlackChannel, sink.url), Sent)


async def test_cookies_are_not_kept(sink: Sink) -> None:
    sink.script = lambda _: web.Response(text="ok", headers={"Set-Cookie": "session=1; Path=/"})
    one = channel(SlackChannel, url_at(sink, "localhost"))
    async with local_sender() as sender:
        for _ in range(2):
            await sender.attempt(NOTIFIERS[SlackChannel], one, notification())
    assert [received.headers.get("Cookie") for received in sink.received] == [None, None]


@each_http_type
async def test_a_name_too_long_to_resolve_is_retried(channel_type: ChannelType) -> None:
    assert isinstance(await send(channel_type, f"https://{'a.' * 130}invalid/"), Retry)
