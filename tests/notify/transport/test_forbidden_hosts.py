"""No connection to an address that is not public, whatever the spelling, verified at the socket."""

import asyncio
import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from relay.domain.channel_types import AppriseChannel, SlackChannel, WebhookChannel
from relay.domain.errors import InvalidInput
from relay.domain.outcomes import Sent
from relay.notify.registry import check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.channel_types import ChannelType, each_http_type
from tests.notify.factories import channel
from tests.notify.forbidden import spellings
from tests.notify.sending import send, send_mail

FORMS = spellings()
MAIL_HOSTS = [form.strip("[]").replace("%25", "%") for form in FORMS]
SCHEMES = ("json", "ntfy", "matrix", "gotify", "rsyslog", "mailto", "mqtt", "mmost", "rocket", "xbmc")
"""Plugins of Apprise that connect to the host of their URL: over HTTP, with datagrams, SMTP and MQTT. Ntfy and
Matrix pause between messages, so that they get fewer forms."""

_recorders: list[list[Any]] = []


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        for recorder in _recorders:
            recorder.append(arguments[1])


sys.addaudithook(_record)


@contextlib.contextmanager
def connections() -> Iterator[list[Any]]:
    """The addresses that sockets of this process connect or send to in a block."""
    found: list[Any] = []
    _recorders.append(found)
    try:
        yield found
    finally:
        _recorders.remove(found)


def internet(found: list[Any]) -> list[str]:
    return [address[0] for address in found if isinstance(address, tuple)]


def test_there_are_at_least_200_forms_for_each_channel() -> None:
    assert len(FORMS) > 400
    assert len(set(MAIL_HOSTS)) > 200


async def test_no_form_is_connected_to_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to_loopback(monkeypatch)
    with connections() as found:
        for form in FORMS:
            for url in (f"http://{form}:8080/x", f"https://user:password@{form}/x"):
                with contextlib.suppress(InvalidInput):
                    outcome = await send(WebhookChannel, url, allowed=())
                    assert not isinstance(outcome, Sent), form
    assert internet(found) == []


@pytest.mark.slow
@each_http_type
async def test_no_form_is_accepted_or_connected_to(channel_type: ChannelType) -> None:
    with connections() as found:
        for form in FORMS:
            with contextlib.suppress(InvalidInput):
                destination = channel(channel_type, f"https://{form}/x")
                check_channel(destination, EgressPolicy(()))
                assert not isinstance(await send(channel_type, f"https://{form}/x", allowed=()), Sent), form
    assert internet(found) == []


async def test_no_form_is_connected_to_over_smtp(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to_loopback(monkeypatch)
    with connections() as found:
        for host in dict.fromkeys(MAIL_HOSTS):
            with contextlib.suppress(InvalidInput):
                outcome = await send_mail(2525, host=host, allowed=(), attempt_timeout=2.0)
                assert not isinstance(outcome, Sent), host
    assert internet(found) == []


@pytest.mark.parametrize(
    "scheme", [SCHEMES[0], *(pytest.param(one, marks=pytest.mark.slow) for one in SCHEMES[1:])]
)
async def test_no_form_is_connected_to_by_apprise(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to_loopback(monkeypatch)
    with connections() as found:
        for form in FORMS[:: {"json": 1, "ntfy": 100, "matrix": 50}.get(scheme, 7)]:
            for path in ("", "user:password@"):
                url = f"{scheme}://{path}{form}:8080/token/topic?smtp={form}&redirect=yes&from=a@b.c&to=a@b.c"
                with contextlib.suppress(InvalidInput):
                    outcome = await send(AppriseChannel, url, allowed=(), attempt_timeout=2.0)
                    assert not isinstance(outcome, Sent), url
    assert internet(found) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@each_http_type
async def test_a_redirect_is_not_followed(channel_type: ChannelType, status: int, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=status, headers={"Location": f"{sink.url}/elsewhere"})
    assert not isinstance(await send(channel_type, f"{sink.url}/first"), Sent)
    assert not [request for request in sink.received if "elsewhere" in request.path]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_apprise_follows_no_redirect_to_a_forbidden_address(status: int, sink: Sink) -> None:
    port = sink.url.rpartition(":")[2]
    sink.script = lambda _: web.Response(status=status, headers={"Location": f"http://127.0.0.2:{port}/elsewhere"})
    url = f"json://127.0.0.1:{port}/first?redirect=yes"
    assert not isinstance(await send(AppriseChannel, url, allowed=("127.0.0.1/32",)), Sent)
    assert not [request for request in sink.received if "elsewhere" in request.path]


async def test_a_name_that_is_bound_again_is_not_connected_to(monkeypatch: pytest.MonkeyPatch, sink: Sink) -> None:
    _resolve_to_loopback(monkeypatch)
    port = int(sink.url.rpartition(":")[2])
    check_channel(channel(SlackChannel, f"https://rebinding.example:{port}/x"), EgressPolicy(()))
    with connections() as found:
        for scheme in ("http", "https"):
            assert not isinstance(
                await send(SlackChannel, f"{scheme}://rebinding.example:{port}/x", allowed=()), Sent
            )
        assert not isinstance(
            await send_mail(port, host="rebinding.example", allowed=(), attempt_timeout=2.0), Sent
        )
        assert not isinstance(await send(AppriseChannel, f"json://rebinding.example:{port}/x", allowed=()), Sent)
    assert internet(found) == []
    assert sink.received == []


def _resolve_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that leads each name to loopback, and reads numbers as the system's does."""

    def resolve(host: Any, port: Any, *_: object, **__: object) -> list[Any]:
        try:
            address = socket.inet_ntoa(socket.inet_aton(str(host)))
        except OSError:
            address = "127.0.0.1"
        with contextlib.suppress(ValueError):
            address = str(ipaddress.ip_address(str(host).partition("%")[0]))
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        ending = (0, 0) if family is socket.AF_INET6 else ()
        return [(family, socket.SOCK_STREAM, 6, "", (address, int(port or 0), *ending))]

    async def resolve_on_loop(_: Any, host: Any, port: Any, **named: object) -> list[Any]:
        return resolve(host, port)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve_on_loop)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
