"""Secrets are sent to the platform and appear nowhere else."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from aiohttp import web

from relay.telemetry import configure_logging
from tests.fixtures.relays import Relay, webhook
from tests.fixtures.sink import Sink

PATH = "/services/s3cret-path-of-the-hook"
TOKEN = "s3cret-token-of-the-header"
MASK = "********"


def hook(sink: Sink) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Team": "s3cret-team"}
    return {
        "name": "Ops",
        "channel_type": "webhook",
        "webhook_url": sink.url + PATH,
        "custom_headers": headers,
    }


@pytest.fixture(params=["console", "json"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log of the service and its libraries, configured as in production."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configure_logging(request.param, "debug")
    yield stream
    structlog.reset_defaults()


async def test_responses_mask_secrets(relay: Relay, sink: Sink) -> None:
    created = await relay.channel(**hook(sink))

    assert created["webhook_url"] == MASK
    assert created["custom_headers"] == {"Authorization": MASK, "X-Team": MASK}
    assert (await relay.call("GET", "/channels/ops")).json == created
    assert await relay.items("/channels") == [created]


async def test_a_patch_without_secrets_or_with_masks_keeps_them(relay: Relay, sink: Sink) -> None:
    await relay.channel(**hook(sink))

    await relay.call("PATCH", "/channels/ops", json={"name": "Operations"})
    await relay.call("PATCH", "/channels/ops", json={"webhook_url": MASK, "custom_headers": {"X-Team": MASK}})
    await relay.webhook(webhook())

    [received] = await sink.wait_for(1, PATH)
    assert received.headers["Authorization"] == f"Bearer {TOKEN}"
    assert received.headers["X-Team"] == "s3cret-team"


async def test_a_new_secret_is_used_for_the_next_delivery(relay: Relay, sink: Sink) -> None:
    await relay.channel(**hook(sink))
    await relay.webhook(webhook(group="before"))
    await sink.wait_for(1, PATH)

    patch = {"webhook_url": f"{sink.url}/new", "custom_headers": {"X-Team": "new-team", "Authorization": None}}
    changed = await relay.call("PATCH", "/channels/ops", json=patch)
    await relay.webhook(webhook(group="after"))

    assert changed.json["custom_headers"] == {"X-Team": MASK}
    [received] = await sink.wait_for(1, "/new")
    assert received.headers["X-Team"] == "new-team"
    assert "Authorization" not in received.headers
    assert len(sink.at(PATH)) == 1


async def test_no_response_error_or_log_contains_a_secret(logged: io.StringIO, relay: Relay, sink: Sink) -> None:
    echo = f"no such hook: {PATH}, {sink.url}{PATH}, Bearer {TOKEN}, {TOKEN}, s3cret-team"
    sink.script = lambda _: web.Response(status=400, text=echo)
    outputs = [json.dumps(await relay.channel(**hook(sink)))]

    async def call(method: str, path: str, body: object = None) -> None:
        response = await relay.call(method, path, json=body)
        outputs.append(response.body.decode() + str(response.headers))

    await relay.webhook(webhook())
    [dead] = await relay.settled(1, "dead")
    await call("GET", f"/deliveries/{dead['id']}")
    await call("GET", "/deliveries")
    await call("GET", "/history/1")
    await call("POST", "/test", {"channel_id": "ops"})
    await call("POST", "/channels", hook(sink))
    await call("POST", "/channels", hook(sink) | {"id": "x", "color": "red"})
    await call("POST", "/channels", hook(sink) | {"webhook_url": f"http://10.0.0.1{PATH}"})
    await call("POST", "/channels", hook(sink) | {"webhook_url": f"https://[{PATH}"})
    await call("POST", "/channels", hook(sink) | {"custom_headers": {"X-Team": f"{TOKEN}\n"}})
    await call("PATCH", "/channels/ops", {"webhook_url": f"nonsense{PATH}"})
    await call("GET", "metrics")

    assert "attempt_failed" in logged.getvalue()
    assert "s3cret" not in "".join([*outputs, logged.getvalue()])
