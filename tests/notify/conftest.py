"""The channel types, the transport that tells them, and a client that asks what stands in for platforms."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from relay.domain.channel_types import BaseChannel, own_fields, type_name
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome
from relay.notify.registry import NOTIFIERS
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.factories import TOKENS, channel, notification
from tests.notify.strict.minimal import JSON

LOOPBACK = ("127.0.0.0/8",)

Tell = Callable[..., Awaitable[Outcome]]
Ask = Callable[..., Awaitable[tuple[int, Any, dict[str, str]]]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`kind` is each registered channel type in turn; for `over_http`, each that is told at a URL of its own."""
    if "kind" in metafunc.fixturenames:
        over_http = metafunc.definition.get_closest_marker("over_http") is not None
        kinds = [
            kind for kind in NOTIFIERS if not over_http or kind in TOKENS or "webhook_url" in own_fields(kind)
        ]
        metafunc.parametrize("kind", kinds, ids=type_name)


@pytest.fixture(params=[kind for kind in NOTIFIERS if "webhook_url" in own_fields(kind)], ids=type_name)
def hook(request: pytest.FixtureRequest) -> type[BaseChannel]:
    """Each type whose secret is the URL itself."""
    chosen: type[BaseChannel] = request.param
    return chosen


@pytest.fixture
def tell() -> Tell:
    """Tell one message to a URL, and say how that ended."""

    async def once(
        kind: type[BaseChannel],
        url: str,
        told: Message | None = None,
        *,
        patience: float = 10.0,
        allowed: tuple[str, ...] = LOOPBACK,
        **settings: Any,
    ) -> Outcome:
        one = channel(kind, url, **settings)
        async with Sender(EgressPolicy(allowed), patience) as sender:
            return await sender.attempt(NOTIFIERS[kind], one, told or notification())

    return once


@pytest.fixture
async def ask(sink: Sink) -> AsyncIterator[Ask]:
    """Ask the sink's script: the status, the body (parsed where it is JSON) and the headers."""
    async with aiohttp.ClientSession() as session:

        async def asks(
            path: str, body: Any, headers: dict[str, str] = JSON, method: str = "POST"
        ) -> tuple[int, Any, dict[str, str]]:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            async with session.request(method, sink.url + path, data=sent, headers=headers) as response:
                text = await response.text()
                said = json.loads(text) if response.content_type == "application/json" else text
                return response.status, said, dict(response.headers)

        yield asks
