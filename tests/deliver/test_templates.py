"""Does an alert arrive whatever its channel's template does, and does nobody else wait for that?"""

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
HELD: float = 0.05
"""Seconds that a template may hold up the event loop."""


async def add(relay: Relay, **fields: Any) -> dict[str, Any]:
    answer = await relay.call("POST", "/templates", json={"name": "Ours"} | fields)
    assert answer.status == 201, answer.body
    added: dict[str, Any] = answer.json
    return added


async def slack(relay: Relay, sink: Sink, name: str = "Ops", **fields: Any) -> dict[str, Any]:
    return await relay.channel(name=name, channel_type="slack", webhook_url=sink.url, **fields)


async def detail(relay: Relay) -> str:
    """What the one attempt of the one delivery says."""
    [delivery] = await relay.settled(1)
    [tried] = (await relay.call("GET", f"/deliveries/{delivery['id']}")).json["attempts"]
    return str(tried["detail"])


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """What the event loop's thread worked, in seconds of its own, between two turns of the loop."""
    worked: list[float] = []

    async def tick() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            worked.append(now - before)
            before = now

    gc.collect()
    gc.disable()  # what other tests left behind is not a template's doing
    ticker = asyncio.create_task(tick())
    try:
        yield worked
    finally:
        ticker.cancel()
        gc.enable()


@pytest.mark.parametrize(("source", "why"), FAILING.values(), ids=FAILING.keys())
async def test_an_alert_arrives_in_the_built_in_words_and_the_attempt_says_why(
    source: str, why: str, relay: Relay, sink: Sink
) -> None:
    await add(relay, body=source)
    await slack(relay, sink, template="ours")

    async with ticking() as worked:
        await relay.webhook(webhook())
        [received] = await sink.wait_for(1)
        said = await detail(relay)

    assert received.json["text"] == "*[FIRING:1] HighErrorRate*"
    assert said.startswith("the template 'ours' failed, the built-in message was sent: ")
    assert why in said
    assert len(worked) > 10
    assert max(worked) < HELD


async def test_others_do_not_wait_for_a_template_without_an_end(relay: Relay, sink: Sink) -> None:
    await add(relay, name="Endless", alert=ENDLESS)
    await add(relay, title="Ours: {{ alerts | length }}")
    for number in range(3):
        await slack(relay, sink, f"Endless {number}", template="endless", alert_names=["Bad"])
    await slack(relay, sink, template="ours", alert_names=["Good"])

    await relay.webhook(webhook(alert("Bad"), group="bad"))
    await relay.webhook(webhook(alert("Good"), group="good"))

    texts = [one.json["text"] for one in await sink.wait_for(4)]
    assert texts.count("*Ours: 1*") == 1
    assert texts.count("*[FIRING:1] Bad*") == 3
    details = [
        (await relay.call("GET", f"/deliveries/{one['id']}")).json["attempts"][0]["detail"]
        for one in await relay.settled(4)
        if one["channel_id"].startswith("endless")
    ]
    assert any("the template is paused for" in said for said in details)


async def test_an_endless_body_gives_way_to_the_built_in_one_and_says_so(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, custom_payload_template=ENDLESS)

    await relay.webhook(webhook())

    [received] = await sink.wait_for(1)
    assert received.json["status"] == "firing"
    said = await detail(relay)
    assert "custom_payload_template failed" in said
    assert "took longer than" in said


async def test_a_change_governs_the_very_next_message(relay: Relay, sink: Sink) -> None:
    await add(relay, title="First {{ status }}")
    await slack(relay, sink, template="ours")
    await relay.webhook(webhook(group="1"))
    await sink.wait_for(1)

    for number in range(2, 5):
        changed = await relay.call("PATCH", "/templates/ours", json={"title": f"No. {number}"})
        assert changed.json["version"] == number
        await relay.webhook(webhook(group=f"{number}"))
        assert (await sink.wait_for(number))[-1].json["text"] == f"*No. {number}*"

    await relay.call("POST", "/templates/ours/versions/1/restore")
    await relay.webhook(webhook(group="5"))
    assert (await sink.wait_for(5))[-1].json["text"] == "*First firing*"


async def test_what_the_platform_refuses_is_sent_in_the_built_in_words_at_once(relay: Relay, sink: Sink) -> None:
    await add(relay, title="<b>Broken", alert="<i>{{ alert.alertname }}")
    await relay.channel(
        name="Ops",
        channel_type="telegram",
        telegram_api_url=sink.url,
        bot_token="123456789:AAxJ9f-Qw3_kLmZ8vTt0pR2aBcDeFgHiJk",
        chat_id="42",
        template="ours",
    )
    no = {"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities"}
    yes = {"ok": True, "result": {"message_id": 7}}
    answers = iter([web.json_response(no, status=400), web.json_response(yes)])
    sink.script = lambda _: next(answers)

    await relay.webhook(webhook())

    first, second = await sink.wait_for(2)
    assert first.json["text"].startswith("<b><b>Broken</b>")
    assert second.json["text"].startswith("<b>[FIRING:1] HighErrorRate</b>")
    said = await detail(relay)
    assert said.startswith("the platform rejected the template's message (400 ")
    assert "the built-in message was sent instead" in said


async def test_a_test_message_is_told_in_the_templates_words(relay: Relay, sink: Sink) -> None:
    await add(relay, title="Ours: {{ alerts[0].annotations.summary }}")
    await slack(relay, sink, template="ours")
    assert (await relay.call("POST", "/test", json={"channel_id": "ops", "message": "Hello"})).json["delivered"]
    assert sink.received[0].json["text"] == "*Ours: Hello*"
