"""Masking of a channel's secrets in outcomes and logs, also when the platform echoes them."""

import base64
import html
import json
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from relay.domain.channel_types import WebhookChannel
from relay.domain.notifications import Message
from relay.domain.outcomes import Rejected
from relay.notify.notifier import Notifier
from relay.notify.redact import redact, redact_whole
from relay.notify.requests import Request
from tests.fixtures.behaviors import hangs, resets_after, sends
from tests.fixtures.sampling import sampled
from tests.fixtures.sink import Sink
from tests.notify.broken import broken
from tests.notify.channel_types import WITH_SECRET_URL, ChannelType, each_secret_url_type
from tests.notify.factories import channel, notification
from tests.notify.sending import local_sender, send

TOKEN = "xJ9f-Qw3_kLmZ8vTt0pR2aBc"
PATH = f"/services/T0AB/B0CD/{TOKEN}"
HEADERS = {"Authorization": 'Bearer s3cr3t/t0ken+"quoted"', "X-Key": "päss~wörd"}


async def echo(request: web.Request, status: int) -> web.Response:
    """Respond with the URL in several spellings and the headers."""
    url = str(request.url)
    spellings = [url, request.raw_path, request.path, json.dumps(url).replace("/", "\\/"), html.escape(url)]
    headers = dict(request.headers)
    text = f"{' '.join(spellings)} {headers} {json.dumps(headers)} {unquote(request.raw_path)}"
    return web.Response(status=status, text=text[:450])


@pytest.mark.parametrize(
    ("channel_type", "status", "path"),
    sampled(
        WITH_SECRET_URL,
        [200, 302, 403, 404, 429, 500],
        [PATH, f"{PATH}%7e?sig={TOKEN}&sp=%2Ftriggers", f"/x?token={TOKEN}", f"/{TOKEN}%2Fé"],
    ),
)
async def test_an_echoed_request_reveals_no_secret(
    channel_type: ChannelType, status: int, path: str, sink: Sink
) -> None:
    sink.script = lambda request: echo(request, status)
    with capture_logs() as logs:
        outcome = await send(channel_type, sink.url + path)
    assert outcome.detail
    assert TOKEN not in repr(outcome)
    assert TOKEN not in repr(logs)


@pytest.mark.parametrize("encode", [str, json.dumps, repr, html.escape])
async def test_header_values_are_secret(encode: Any, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text=" ".join(map(encode, HEADERS.values())))
    outcome = await send(WebhookChannel, sink.url, custom_headers=HEADERS)
    for secret in ("s3cr3t", "t0ken", "wörd"):
        assert secret not in repr(outcome)


@each_secret_url_type
async def test_a_password_in_the_url_is_sent_and_never_shown(channel_type: ChannelType, sink: Sink) -> None:
    async def echo_login(request: web.Request) -> web.Response:
        return web.Response(status=401, text=f"{request.headers['Authorization']} hunter22 is wrong")

    sink.script = echo_login
    outcome = await send(channel_type, sink.url.replace("://", "://user:hunter22@"))
    login = base64.b64encode(b"user:hunter22").decode()
    assert sink.received[0].headers["Authorization"] == f"Basic {login}"
    assert outcome.detail == "401 Basic ******** ******** is wrong"


@pytest.mark.parametrize("padding", range(480, 500, 3))
async def test_cutting_a_long_text_leaves_no_half_of_a_secret(padding: int, sink: Sink) -> None:
    sink.script = lambda request: web.Response(status=400, text="x" * padding + str(request.url))
    outcome = await send(WebhookChannel, sink.url + PATH)
    assert outcome.detail
    assert "http" not in outcome.detail
    assert "services" not in outcome.detail


@pytest.mark.parametrize("behavior", [sends(b"garbage\r\n\r\n"), resets_after(b""), hangs])
@each_secret_url_type
async def test_a_broken_connection_reveals_no_secret(channel_type: ChannelType, behavior: Any) -> None:
    with capture_logs() as logs:
        async with broken(behavior) as url:
            outcome = await send(channel_type, f"{url}{PATH}%7e", attempt_timeout=0.3)
    assert TOKEN not in repr(outcome)
    assert TOKEN not in repr(logs)


class FailingNotifier(Notifier[Any]):
    """A notifier that fails with an error that contains the secret."""

    def request(self, channel: Any, message: Message) -> Request:
        raise KeyError(channel.webhook_url)


@each_secret_url_type
async def test_an_internal_error_is_logged_without_the_secret(channel_type: ChannelType) -> None:
    one = channel(channel_type, f"https://hooks.example.com{PATH}")
    with capture_logs() as logs:
        async with local_sender() as sender:
            outcome = await sender.attempt(FailingNotifier(), one, notification())
    assert isinstance(outcome, Rejected)
    assert outcome.detail.startswith("the message could not be built: KeyError")
    assert "in request" in logs[0]["traceback"]
    assert TOKEN not in repr((outcome, logs))


@each_secret_url_type
def test_a_channel_does_not_show_its_settings(channel_type: ChannelType) -> None:
    assert TOKEN not in f"{channel(channel_type, f'https://hooks.example.com{PATH}')!r}"


@pytest.mark.parametrize("secret", ["a", "pw", "k:9", "$x$", "12345"])
def test_a_short_secret_is_masked_where_it_stands_alone(secret: str) -> None:
    known = WebhookChannel(id="a", name="a", webhook_url="https://a.example/x", custom_headers={"X-Key": secret})
    for mask in (redact, redact_whole):
        assert mask(f"key={secret}, again {secret}", known) == "key=********, again ********"
        assert mask(secret, known) == "********"
        assert mask("banana pwd 123456", known) == "banana pwd 123456"
