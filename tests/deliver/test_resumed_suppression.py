"""Tests of what suppresses again while what it held back is released."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

from aiohttp import web

from relay.store.outbox import releases
from relay.store.outbox.releases import Handled
from relay.store.postgres.database import HeldConnection
from tests.fixtures.relays import RelayFactory, alert, running, webhook
from tests.fixtures.sink import Sink
from tests.fixtures.suppressing import expire, silence

LAST_TICK = 4


async def test_what_a_suppression_holds_again_stays_held(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(id="ops", name="ops", channel_type="webhook", webhook_url=sink.url)
    name = "silence:" + await silence(relay, 'alertname="DiskFull"')
    await relay.webhook(webhook(alert("DiskFull")))
    connection = HeldConnection(relay.services.database)

    async with connection.use() as driver, driver.transaction():
        [held] = await releases.lock_held(driver, [name])
        handled = Handled(held.channel_id, held.group_hash, held.id, (name,))
        await releases.add(driver, [name], [], [handled])

    async with connection.use() as driver:
        held_on, _ = await releases.holding(driver)
    await connection.drop()
    assert held_on == [name]


async def test_a_window_that_begins_during_a_release_loses_nothing(database_url: str, sink: Sink) -> None:
    """The clock says by turns that the silence is over, and that it is active; in the end it is over."""
    began = datetime.now(UTC) + timedelta(minutes=1)
    ticks = itertools.count()
    is_over = False

    def now() -> datetime:
        tick = next(ticks) if is_over else 1
        return began + timedelta(hours=2 if tick % 2 == 0 or tick > LAST_TICK else 0)

    async with running(database_url, now=now) as relay:
        await relay.channel(id="ops", name="ops", channel_type="webhook", webhook_url=sink.url)
        await silence(relay, 'alertname="DiskFull"')
        await relay.webhook(webhook(alert("DiskFull")))
        await relay.settled(1, state="suppressed")
        is_over = True

        [received] = await sink.wait_for(1)

    assert [one["alertname"] for one in received.json["alerts"]] == ["DiskFull"]


async def test_a_digest_that_is_tried_again_contains_what_was_released_meanwhile(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(digest_after=1)
    limit = {"per_second": 0.5, "burst": 1}
    await relay.channel(id="ops", name="ops", channel_type="webhook", webhook_url=sink.url, rate_limit=limit)
    await relay.webhook(webhook(alert("First"), group="first"))
    await sink.wait_for(1)
    sink.script = lambda request: web.Response(status=503, text="later")
    for at in range(6):
        await relay.webhook(webhook(alert("DiskFull" if at == 0 else "CpuHigh"), group=str(at)))
    await sink.wait_for(2)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    await relay.settled(1, state="suppressed")
    await expire(relay, silence_id)
    async with asyncio.timeout(20):
        while await relay.items("/deliveries?state=suppressed"):
            await asyncio.sleep(0.05)
    sink.script = None
    seen = len(sink.received)

    await sink.wait_for(seen + 1, max_wait=30)
    await asyncio.sleep(3)

    shown = {one["alertname"] for received in sink.received[seen:] for one in received.json["alerts"]}
    assert shown == {"CpuHigh", "DiskFull"}


async def test_what_was_reported_again_while_it_was_sent_is_released(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(repeat_after=0.1)
    await relay.channel(id="ops", name="ops", channel_type="webhook", webhook_url=sink.url)
    answered = asyncio.Event()

    async def slow(_: web.BaseRequest) -> web.Response:
        await answered.wait()
        return web.Response()

    sink.script = slow
    await relay.webhook(webhook(alert("DiskFull")))
    await sink.wait_for(1)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    await asyncio.sleep(0.2)
    await relay.webhook(webhook(alert("DiskFull")))
    await relay.settled(1, state="suppressed")
    answered.set()
    await relay.settled(1)

    await expire(relay, silence_id)

    await sink.wait_for(2)
