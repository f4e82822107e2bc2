"""Tests of failing templates: their alerts are delivered, and no other delivery waits for them."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
FAILING = {
    "an endless loop": ("{% for i in range(99999999) %}{% endfor %}", "Range too big"),
    "nested loops": (ENDLESS, "rendering took longer than 2 s"),
    "a huge output": (
        "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
        "is longer than 1048576 characters",
    ),
    "a huge text": ('{{ "x".center(300000000) }}', "body, line 1: MemoryError"),
    "an escape by attributes": ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'"),
    "an undefined name": ("{{ nothing }}", "body, line 1: 'nothing' is undefined"),
}
FAST = ("an escape by attributes", "an undefined name")
"""The other failures cost seconds; tests of the sandbox and of its process pool cover them, too."""
CASES = [
    pytest.param(*case, id=name, marks=() if name in FAST else pytest.mark.slow) for name, case in FAILING.items()
]
MAX_BLOCKED: float = 0.05
"""Seconds for which a template may block the event loop."""


async def add(relay: Relay, **fields: Any) -> dict[str, Any]:
    response = await relay.call("POST", "/templates", json={"name": "Ours"} | fields)
    assert response.status == 201, response.body
    template: dict[str, Any] = response.json
    return template


async def slack(relay: Relay, sink: Sink, name: str = "Ops", **fields: Any) -> dict[str, Any]:
    return await relay.channel(name=name, channel_type="slack", webhook_url=sink.url, **fields)


async def detail(relay: Relay) -> str:
    """The detail of the only attempt."""
    [delivery] = await relay.settled(1)
    [attempt] = (await relay.call("GET", f"/deliveries/{delivery['id']}")).json["attempts"]
    return str(attempt["detail"])


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """The CPU seconds of the event loop's thread between two iterations of the loop."""
    busy: list[float] = []

    async def tick() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            busy.append(now - before)
            before = now

    gc.collect()
    gc.disable()  # garbage of other tests must not count
    ticker = asyncio.create_task(tick())
    try:
        yield busy
    finally:
        ticker.cancel()
        gc.enable()


@pytest.mark.parametrize(("source", "why"), CASES)
async def test_a_failing_template_falls_back_to_the_built_in_message_with_the_reason(
    source: str, why: str, relay: Relay, sink: Sink
) -> None:
    await add(relay, body=source)
    await slack(relay, sink, template="ours")

    async with ticking() as busy:
        await relay.webhook(webhook())
        [received] = await sink.wait_for(1)
        attempt_detail = await detail(relay)

    assert received.json["text"] == "*[FIRING:1] HighErrorRate*"
    assert attempt_detail.startswith("the template 'ours' failed, the built-in message was sent: ")
    assert why in attempt_detail
    assert len(busy) > 10
    assert max(busy) < MAX_BLOCKED


async def test_an_endless_template_delays_no_other_delivery(relay: Relay, sink: Sink) -> None:
    await add(relay, name="Endless", alert=ENDLESS)
    await add(relay, title="Ours: {{ alerts | length }}")
    for number in range(3):
        await slack(relay, sink, f"Endless {number}", template="endless", alert_names=["Bad"])
    await slack(relay, sink, template="ours", alert_names=["Good"])

    await relay.webhook(webhook(alert("Bad"), group="bad"))
    await relay.webhook(webhook(alert("Good"), group="good"))

    texts = [request.json["text"] for request in await sink.wait_for(4)]
    assert texts.count("*Ours: 1*") == 1
    assert texts.count("*[FIRING:1] Bad*") == 3
    details = [
        (await relay.call("GET", f"/deliveries/{delivery['id']}")).json["attempts"][0]["detail"]
        for delivery in await relay.settled(4)
        if delivery["channel_id"].startswith("endless")
    ]
    assert any("the template is paused for" in detail_text for detail_text in details)


async def test_an_endless_custom_payload_template_falls_back_to_the_built_in_payload(
    relay: Relay, sink: Sink
) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, custom_payload_template=ENDLESS)

    await relay.webhook(webhook())

    [received] = await sink.wait_for(1)
    assert received.json["status"] == "firing"
    attempt_detail = await detail(relay)
    assert "custom_payload_template failed" in attempt_detail
    assert "took longer than" in attempt_detail


async def test_a_changed_template_applies_to_the_next_message(relay: Relay, sink: Sink) -> None:
    await add(relay, title="First {{ status }}")
    await slack(relay, sink, template="ours")
    await relay.webhook(webhook(group="1"))
    await sink.wait_for(1)

    for number in range(2, 5):
        response = await relay.call("PATCH", "/templates/ours", json={"title": f"No. {number}"})
        assert response.json["version"] == number
        await relay.webhook(webhook(group=f"{number}"))
        assert (await sink.wait_for(number))[-1].json["text"] == f"*No. {number}*"

    await relay.call("POST", "/templates/ours/versions/1/restore")
    await relay.webhook(webhook(group="5"))
    assert (await sink.wait_for(5))[-1].json["text"] == "*First firing*"


async def test_a_templated_message_that_the_platform_rejects_is_replaced_by_the_built_in_one(
    relay: Relay, sink: Sink
) -> None:
    await add(relay, title="<b>Broken", alert="<i>{{ alert.alertname }}")
    await relay.channel(
        name="Ops",
        channel_type="telegram",
        telegram_api_url=sink.url,
        bot_token="123456789:AAxJ9f-Qw3_kLmZ8vTt0pR2aBcDeFgHiJk",
        chat_id="42",
        template="ours",
    )
    refusal = {"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities"}
    success = {"ok": True, "result": {"message_id": 7}}
    responses = iter([web.json_response(refusal, status=400), web.json_response(success)])
    sink.script = lambda _: next(responses)

    await relay.webhook(webhook())

    first, second = await sink.wait_for(2)
    assert first.json["text"].startswith("<b><b>Broken</b>")
    assert second.json["text"].startswith("<b>[FIRING:1] HighErrorRate</b>")
    attempt_detail = await detail(relay)
    assert attempt_detail.startswith("the platform rejected the template's message (400 ")
    assert "the built-in message was sent instead" in attempt_detail


async def test_a_test_message_uses_the_template(relay: Relay, sink: Sink) -> None:
    await add(relay, title="Ours: {{ alerts[0].annotations.summary }}")
    await slack(relay, sink, template="ours")
    assert (await relay.call("POST", "/test", json={"channel_id": "ops", "message": "Hello"})).json["delivered"]
    assert sink.received[0].json["text"] == "*Ours: Hello*"
