"""Tests of several relays that share one outbox, and of a relay that stops."""

import asyncio
import json
import time
from collections import Counter

from aiohttp import web

from relay.store.outbox.lanes import LEASE_SECONDS
from tests.fixtures.relays import RelayFactory, running, webhook
from tests.fixtures.sink import Sink

GROUPS = 60


async def test_one_relay_receives_and_another_delivers(start_relay: RelayFactory, sink: Sink) -> None:
    receiving = await start_relay(deliver=False)
    await start_relay(receive=False)
    await receiving.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for at in range(3):
        await receiving.webhook(webhook(group=str(at)))
        await sink.wait_for(at + 1, max_wait=5)

    await receiving.settled(3)


async def test_webhooks_received_without_a_worker_are_delivered_later(
    start_relay: RelayFactory, sink: Sink
) -> None:
    receiving = await start_relay(deliver=False)
    await receiving.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await receiving.webhook(webhook())
    assert [item["state"] for item in await receiving.items("/deliveries")] == ["pending"]

    await start_relay(receive=False)

    await receiving.settled(1)


async def test_stopping_waits_for_attempts_in_flight(database_url: str, sink: Sink) -> None:
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    sink.script = slowly
    async with running(database_url) as relay:
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await relay.webhook(webhook())
        await sink.wait_for(1)

    async with running(database_url, deliver=False) as relay:
        [delivery] = await relay.items("/deliveries")
        assert (delivery["state"], delivery["attempt_count"]) == ("delivered", 1)


async def test_an_attempt_canceled_by_stopping_is_repeated_by_another_relay_immediately(
    database_url: str, sink: Sink
) -> None:
    never = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    sink.script = hang
    async with running(database_url, shutdown_timeout=0.4) as relay:
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await relay.webhook(webhook())
        await sink.wait_for(1)
        stopping = time.monotonic()
    assert 0.4 <= time.monotonic() - stopping < 4
    sink.script = None

    async with running(database_url, deliver=False) as relay:
        [delivery] = await relay.items("/deliveries")
        assert (delivery["state"], delivery["last_reason"]) == ("pending", "interrupted")

        started = time.monotonic()
        async with running(database_url, receive=False):
            await relay.settled(1)
        assert time.monotonic() - started < LEASE_SECONDS / 2
        attempts = (await relay.call("GET", f"/deliveries/{delivery['id']}")).json["attempts"]
        assert [(attempt["outcome"], attempt["reason"]) for attempt in attempts] == [
            ("retry", "interrupted"),
            ("sent", None),
        ]


async def test_stopping_during_a_backlog_loses_and_duplicates_nothing(database_url: str, sink: Sink) -> None:
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.Response()

    sink.script = slowly
    async with running(database_url) as relay:
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await asyncio.gather(*(relay.webhook(webhook(group=str(at))) for at in range(GROUPS)))
        await sink.wait_for(1)

    async with running(database_url) as relay:
        await relay.settled(GROUPS)
    assert Counter(request.json["group_key"] for request in sink.received).most_common(1)[0][1] == 1
    assert len(sink.received) == GROUPS


async def test_two_relays_never_send_the_same_delivery_at_the_same_time(
    start_relay: RelayFactory, sink: Sink
) -> None:
    in_flight: Counter[str] = Counter()
    sent_twice: list[str] = []

    async def script(request: web.Request) -> web.Response:
        delivery = json.loads(await request.read())["id"]
        in_flight[delivery] += 1
        if in_flight[delivery] > 1:
            sent_twice.append(delivery)
        await asyncio.sleep(0.02)
        in_flight[delivery] -= 1
        return web.Response()

    sink.script = script
    relays = [await start_relay(), await start_relay()]
    for name in ("one", "two", "three"):
        await relays[0].channel(name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}")

    await asyncio.gather(*(relays[at % 2].webhook(webhook(group=str(at))) for at in range(GROUPS)))

    await relays[0].settled(3 * GROUPS)
    assert sent_twice == []
    assert len(sink.received) == 3 * GROUPS
    assert len({request.json["id"] for request in sink.received}) == 3 * GROUPS
