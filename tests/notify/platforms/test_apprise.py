"""Delivery through the library Apprise, off the event loop and only to remote services."""

import asyncio
import importlib.util
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from relay.domain.channel_types import AppriseChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Reason, Retry, Sent
from relay.notify.registry import NOTIFIERS, check_channel, effective_rate_limit
from relay.notify.requests import Notice
from relay.notify.transport.egress_policy import BlockedAddress, EgressPolicy
from relay.notify.transport.guarded_sockets import guarded
from tests.fixtures.sink import Sink
from tests.notify.factories import alert, channel, count, digest, notification
from tests.notify.sending import LOOPBACK, send

NOT_DELIVERED = "Apprise could not deliver it and gave no reason"


def notice(message: Message) -> Notice:
    request = NOTIFIERS[AppriseChannel].request(channel(AppriseChannel), message)
    assert isinstance(request, Notice)
    return request


def rejection(url: str, *allowed: str) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(AppriseChannel, url), EgressPolicy(allowed))
    assert "s3cret" not in str(caught.value)
    return caught.value.field, caught.value.message


async def test_a_message_arrives_as_plain_text(sink: Sink) -> None:
    annotations = {"summary": "**Disk** <b>full</b> & more"}
    outcome = await send(AppriseChannel, sink.url + "/hook", notification(alert(annotations=annotations)))

    assert outcome == Sent(detail="accepted by Apprise")
    [received] = sink.at("/hook")
    assert received.json["title"] == "[FIRING:1] DiskFull"
    assert "🔥 **Disk** <b>full</b> & more\n" in received.json["message"]
    assert received.json["type"] == "failure"


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500])
async def test_a_failed_delivery_is_retried(status: int, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=status, headers={"Location": f"{sink.url}/elsewhere"})
    assert await send(AppriseChannel, f"{sink.url}/hook") == Retry(Reason.OTHER, NOT_DELIVERED)
    assert [request.path for request in sink.received] == ["/hook"]


async def test_the_event_loop_is_not_blocked_and_a_hang_ends_at_the_timeout(sink: Sink) -> None:
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    sink.script = hang
    sending = asyncio.ensure_future(send(AppriseChannel, sink.url, attempt_timeout=0.5))
    await sink.wait_for(1)
    outcome = await sending
    released.set()
    assert outcome == Retry(Reason.DEADLINE_EXCEEDED, "no response in time")


async def test_several_channels_are_sent_to_at_once(sink: Sink) -> None:
    together = asyncio.Barrier(3)

    async def meet(_: web.Request) -> web.Response:
        await together.wait()
        return web.Response()

    sink.script = meet
    outcomes = await asyncio.gather(*(send(AppriseChannel, sink.url) for _ in range(3)))
    assert [type(outcome) for outcome in outcomes] == [Sent] * 3


async def test_a_failure_reveals_no_secret(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    sink.script = lambda request: web.Response(status=403, text=str(request.url))
    with capture_logs() as logs:
        outcome = await send(AppriseChannel, f"{sink.url}/s3cret-path?-token=s3cret")
    assert "s3cret" not in repr((outcome, logs, caplog.text, channel(AppriseChannel, f"{sink.url}/s3cret")))


@pytest.mark.parametrize(
    ("message", "notify_type"),
    [
        (notification(), "failure"),
        (notification(alert(severity="warning")), "warning"),
        (notification(alert(severity="info")), "info"),
        (notification(alert(severity="page")), "failure"),
        (notification(alert(status="resolved")), "success"),
        (digest(count("A", "warning")), "warning"),
    ],
)
def test_the_severity_sets_the_notify_type_of_apprise(message: Message, notify_type: str) -> None:
    assert notice(message).notify_type == notify_type


def test_500_long_alerts_fit_in_20000_characters_and_all_are_counted() -> None:
    alerts = [alert(at=f"{at}", annotations={"description": "x" * 2048}) for at in range(500)]
    text = notice(notification(*alerts)).text
    shown = text.count("🔥 ")
    assert len(text) <= 20_000
    assert shown > 5
    assert f"… and {500 - shown} more alerts that did not fit here" in text


async def test_a_service_with_a_lower_limit_gets_the_start(monkeypatch: pytest.MonkeyPatch, sink: Sink) -> None:
    from apprise.plugins.custom_json import NotifyJSON

    monkeypatch.setattr(NotifyJSON, "body_maxlen", 300)
    alerts = [alert(at=f"{at}") for at in range(50)]
    assert isinstance(await send(AppriseChannel, sink.url, notification(*alerts)), Sent)
    [received] = sink.received
    assert received.json["title"] == "[FIRING:50] DiskFull"
    assert len(received.json["message"]) <= 300


@pytest.mark.parametrize(
    "url",
    [
        "syslog://",
        "SYSLOG://x",
        "dbus://",
        "gio://",
        "glib://",
        "gnome://",
        "kde://",
        "macosx://",
        "qt://",
        "windows://",
        "blink1://",
        "vapid://x",
    ],
)
def test_local_services_are_rejected(url: str) -> None:
    assert rejection(url) == ("apprise_url", "must be that of a remote service, not of this host")


@pytest.mark.parametrize("url", ["", "nothing", "file:///etc/passwd", "pigeon://s3cret", "://", "slack://s3cret"])
def test_unknown_services_are_rejected(url: str) -> None:
    assert rejection(url) == (
        "apprise_url",
        "is not a URL that Apprise supports; see https://appriseit.com/services/",
    )


@pytest.mark.parametrize(
    "url",
    [
        "fcm://project/s3cret-key/device?keyfile=/etc/passwd",
        "mailto://user:s3cret@example.com?pgp=yes&PGPprv=/etc/passwd",
        "discord://1234567890/s3crets3cret?template=/etc/passwd",
        "discord://1234567890/s3crets3cret?template=http://127.0.0.1/x",
    ],
)
def test_a_url_that_names_files_is_rejected(url: str) -> None:
    field, message = rejection(url)
    assert field == "apprise_url"
    assert message.startswith("must not name files: ")


@pytest.mark.parametrize("url", ["json://10.0.0.1/s3cret", "jsons://[::1]/s3cret", "ntfy://localhost/s3cret"])
def test_private_addresses_in_the_url_are_rejected(url: str) -> None:
    field, message = rejection(url)
    assert field == "apprise_url"
    assert "RELAY_ALLOWED_TARGETS" in message


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:8080/x",
        "jsons://hooks.example.com/x",
        "ntfys://alerts",
        "gotify://127.0.0.1/AsbZnYx-D7ffi7t",
    ],
)
def test_remote_services_are_accepted(url: str) -> None:
    check_channel(channel(AppriseChannel, url), EgressPolicy(LOOPBACK))


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert rejection("json://hooks.example.com/x") == (
        "channel_type",
        "Apprise is not installed: pip install 'alert-relay[apprise]'",
    )


async def test_a_replica_without_the_library_retries(monkeypatch: pytest.MonkeyPatch, sink: Sink) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    outcome = await send(AppriseChannel, sink.url)
    assert outcome == Retry(Reason.OTHER, "Apprise is not installed: pip install 'alert-relay[apprise]'")


def test_the_default_rate_limit_is_one_message_a_second() -> None:
    limit = effective_rate_limit(channel(AppriseChannel))
    assert limit is not None
    assert (limit.per_second, limit.burst) == (1, 3)


SPELLINGS = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0"),
    *("localhost", "LOCALHOST", "localhost.", "127.0.0.1.", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]"),
    *("[0:0:0:0:0:0:0:1]", "127.0.0.01", "127.000.000.001", "[::ffff:7f00:1]", "127.255.255.254", "ip6-localhost"),
)
SCHEMES = ("json", "xml", "form", "gotify")


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_no_spelling_of_an_address_is_connected_to(scheme: str, sink: Sink) -> None:
    port = sink.url.rpartition(":")[2]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with datagrams:
        datagrams.bind(("127.0.0.1", int(port)))
        datagrams.setblocking(False)
        for host in SPELLINGS:
            for path in ("", "//", "#@"):
                url = f"{scheme}://{path}{host}:{port}/token/a?smtp={host}&redirect=yes&from=a@b.c&to=a@b.c"
                outcome = await send(AppriseChannel, url, allowed=(), attempt_timeout=2.0)
                assert isinstance(outcome, Retry), url
        with pytest.raises(BlockingIOError):
            datagrams.recv(1)
    assert sink.received == []


def test_threads_that_a_guarded_thread_starts_are_guarded(sink: Sink) -> None:
    address = ("127.0.0.1", int(sink.url.rpartition(":")[2]))

    def connect() -> None:
        with guarded(EgressPolicy(())), ThreadPoolExecutor(1) as threads:
            threads.submit(socket.create_connection, address).result()

    with pytest.raises(BlockedAddress):
        connect()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_blocked_address_is_the_reason_of_the_outcome(host: str, sink: Sink) -> None:
    port = sink.url.rpartition(":")[2]
    outcome = await send(AppriseChannel, f"json://{host}:{port}/s3cret", allowed=())
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.BLOCKED_TARGET
    assert "s3cret" not in outcome.detail


def test_a_name_that_resolves_to_a_private_address_later_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["93.184.216.34", "127.0.0.1"]

    def rebinding(host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    policy = EgressPolicy(())

    def connect(opened: socket.socket) -> None:
        with guarded(policy):
            monkeypatch.setattr(socket, "getaddrinfo", rebinding)
            socket.getaddrinfo("rebinding.example", 80)
            opened.connect(("rebinding.example", 80))

    with socket.socket() as opened, pytest.raises(BlockedAddress, match=r"127\.0\.0\.1"):
        connect(opened)


def test_other_threads_and_exempt_hosts_connect(sink: Sink) -> None:
    address = ("127.0.0.1", int(sink.url.rpartition(":")[2]))
    with guarded(EgressPolicy(["127.0.0.0/8"])), socket.socket() as opened:
        opened.connect(address)
    with guarded(EgressPolicy(["localhost"])), socket.create_connection(("localhost", address[1])):
        pass
    with ThreadPoolExecutor(1) as threads:
        threads.submit(int).result()  # starts the thread
        with guarded(EgressPolicy(())):
            pass
        threads.submit(socket.create_connection, address).result().close()
