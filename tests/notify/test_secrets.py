"""Is a channel's secret told to nobody, even when the platform says it out loud?"""

import base64
import html
import json
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from relay.domain.channel_types import BaseChannel, WebhookChannel
from relay.domain.notifications import Message
from relay.domain.outcomes import Rejected
from relay.notify.notifier import Notifier
from relay.notify.requests import Request
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.broken import broken, hangs, resets_after, sends
from tests.notify.conftest import LOOPBACK, Tell
from tests.notify.factories import channel, notification

pytestmark = pytest.mark.over_http

TOKEN = "xJ9f-Qw3_kLmZ8vTt0pR2aBc"
PATH = f"/services/T0AB/B0CD/{TOKEN}"
HEADERS = {"Authorization": 'Bearer s3cr3t/t0ken+"quoted"', "X-Key": "päss~wörd"}


async def echo(request: web.Request, status: int) -> web.Response:
    """The whole request: the URL in several spellings, the headers, and the body."""
    url = str(request.url)
    spellings = [url, request.raw_path, request.path, json.dumps(url).replace("/", "\\/"), html.escape(url)]
    headers = dict(request.headers)
    text = f"{' '.join(spellings)} {headers} {json.dumps(headers)} {unquote(request.raw_path)}"
    return web.Response(status=status, text=text[:450])


@pytest.mark.parametrize("status", [200, 302, 403, 404, 429, 500])
@pytest.mark.parametrize(
    "path", [PATH, f"{PATH}%7e?sig={TOKEN}&sp=%2Ftriggers", f"/x?token={TOKEN}", f"/{TOKEN}%2Fé"]
)
async def test_a_platform_that_echoes_the_request_gives_nothing_away(
    hook: type[BaseChannel], status: int, path: str, sink: Sink, tell: Tell
) -> None:
    sink.script = lambda request: echo(request, status)
    with capture_logs() as logs:
        outcome = await tell(hook, sink.url + path)
    assert outcome.detail
    assert TOKEN not in repr(outcome)
    assert TOKEN not in repr(logs)


@pytest.mark.parametrize("spell", [str, json.dumps, repr, html.escape])
async def test_header_values_are_secret(spell: Any, sink: Sink, tell: Tell) -> None:
    sink.script = lambda _: web.Response(status=400, text=" ".join(map(spell, HEADERS.values())))
    outcome = await tell(WebhookChannel, sink.url, custom_headers=HEADERS)
    for secret in ("s3cr3t", "t0ken", "wörd"):
        assert secret not in repr(outcome)


async def test_a_password_in_the_url_is_sent_and_never_shown(
    hook: type[BaseChannel], sink: Sink, tell: Tell
) -> None:
    async def echo_login(request: web.Request) -> web.Response:
        return web.Response(status=401, text=f"{request.headers['Authorization']} hunter22 is wrong")

    sink.script = echo_login
    outcome = await tell(hook, sink.url.replace("://", "://user:hunter22@"))
    login = base64.b64encode(b"user:hunter22").decode()
    assert sink.received[0].headers["Authorization"] == f"Basic {login}"
    assert outcome.detail == "401 Basic ******** ******** is wrong"


@pytest.mark.parametrize("padding", range(480, 500, 3))
async def test_cutting_long_words_leaves_no_half_of_a_secret(
    hook: type[BaseChannel], padding: int, sink: Sink, tell: Tell
) -> None:
    sink.script = lambda request: web.Response(status=400, text="x" * padding + str(request.url))
    outcome = await tell(hook, sink.url + PATH)
    assert outcome.detail
    assert "http" not in outcome.detail
    assert "services" not in outcome.detail


@pytest.mark.parametrize("misbehave", [sends(b"garbage\r\n\r\n"), resets_after(b""), hangs])
async def test_a_broken_connection_gives_nothing_away(hook: type[BaseChannel], misbehave: Any, tell: Tell) -> None:
    with capture_logs() as logs:
        async with broken(misbehave) as url:
            outcome = await tell(hook, f"{url}{PATH}%7e", patience=0.3)
    assert TOKEN not in repr(outcome)
    assert TOKEN not in repr(logs)


class Clumsy(Notifier[Any]):
    """A notifier with a mistake in it, that talks."""

    def request(self, channel: Any, message: Message) -> Request:
        raise KeyError(channel.webhook_url)


async def test_a_mistake_of_our_own_is_logged_without_the_secret(hook: type[BaseChannel]) -> None:
    one = channel(hook, f"https://hooks.example.com{PATH}")
    with capture_logs() as logs:
        async with Sender(EgressPolicy(LOOPBACK), 1) as sender:
            outcome = await sender.attempt(Clumsy(), one, notification())
    assert isinstance(outcome, Rejected)
    assert outcome.detail.startswith("the message could not be built: KeyError")
    assert "in request" in logs[0]["traceback"]
    assert TOKEN not in repr((outcome, logs))


def test_a_channel_does_not_show_its_settings(hook: type[BaseChannel]) -> None:
    assert TOKEN not in f"{channel(hook, f'https://hooks.example.com{PATH}')!r}"
