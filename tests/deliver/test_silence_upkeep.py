"""Upkeep of silences: what ends by itself, and reminders before an end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.deliver.silence_upkeep import SilenceUpkeep
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.silencing import later, read, silence
from tests.fixtures.sink import Sink

Check = Callable[..., Awaitable[None]]
START = timedelta()


@pytest.fixture
async def receiver(start_relay: RelayFactory) -> Relay:
    """A relay that delivers nothing, so that only the tests look after silences."""
    return await start_relay(deliver=False)


@pytest.fixture
async def upkeeps(receiver: Relay) -> AsyncIterator[list[SilenceUpkeep]]:
    """The upkeep of two processes."""
    async with AsyncExitStack() as stack:
        made = [SilenceUpkeep(receiver.services.database, lambda _: None, "tenant_id") for _ in range(2)]
        for upkeep in made:
            stack.push_async_callback(upkeep._connection.drop)
        yield made


@pytest.fixture
def check(upkeeps: list[SilenceUpkeep]) -> Check:
    """Look after the silences once, as if it were so much later."""

    async def run(after: timedelta = START) -> None:
        await upkeeps[0].check(datetime.now(UTC) + after)

    return run


async def report(relay: Relay, name: str, status: str = "firing", **labels: str) -> None:
    response = await relay.webhook(webhook(alert(name, status, **labels), group=name))
    assert response.status == 202, response.body


async def state(relay: Relay, made: dict[str, object]) -> str:
    return str((await read(relay, str(made["id"])))["state"])


async def test_a_silence_ends_when_all_that_it_matched_is_resolved(receiver: Relay, check: Check) -> None:
    made = await silence(receiver, expire_when_resolved=True)
    lasting = await silence(receiver)
    await check()
    assert await state(receiver, made) == "active"  # it has matched nothing so far
    await report(receiver, "A", team="db")
    await report(receiver, "B", team="db")
    await check()
    await report(receiver, "A", "resolved", team="db")
    await check()
    assert await state(receiver, made) == "active"
    await report(receiver, "B", "resolved", team="db")
    await check()
    assert [await state(receiver, one) for one in (made, lasting)] == ["expired", "active"]
    [last, _] = await receiver.items(f"/silences/{made['id']}/versions")
    assert (last["author_name"], last["action"], [*last["changes"]]) == ("Alert Relay", "updated", ["ends_at"])


async def test_an_alert_that_fired_between_two_checks_counts(receiver: Relay, check: Check) -> None:
    await report(receiver, "before", team="db")
    await report(receiver, "before", "resolved", team="db")
    made = await silence(receiver, expire_when_resolved=True)
    await check()
    assert await state(receiver, made) == "active"
    await report(receiver, "A", team="db")
    await report(receiver, "A", "resolved", team="db")
    await check()
    assert await state(receiver, made) == "expired"


async def test_a_silence_ends_when_nothing_matched_for_a_time(receiver: Relay, check: Check) -> None:
    made = await silence(receiver, expires_if_unmatched_for="10m", ends_at=later(days=1))
    await report(receiver, "A", team="db")
    await check(timedelta(minutes=30))
    assert await state(receiver, made) == "active"
    await report(receiver, "A", "resolved", team="db")
    await check(timedelta(minutes=39))
    assert await state(receiver, made) == "active"
    await check(timedelta(minutes=41))
    assert (await read(receiver, made["id"]))["version"] == 2


async def test_a_silence_that_never_matched_ends_that_long_after_its_start(receiver: Relay, check: Check) -> None:
    made = await silence(
        receiver, expires_if_unmatched_for="10m", starts_at=later(minutes=30), ends_at=later(days=1)
    )
    await check(timedelta(minutes=20))
    await check(timedelta(minutes=39))
    assert (await read(receiver, made["id"]))["version"] == 1
    await check(timedelta(minutes=41))
    assert (await read(receiver, made["id"]))["version"] == 2


async def test_a_reminder_does_not_keep_its_silence(receiver: Relay, check: Check, sink: Sink) -> None:
    made = await reminding(receiver, sink, matchers=['alertname=~".+"'], expire_when_resolved=True)
    await report(receiver, "A")
    await check(timedelta(minutes=50))
    assert len(await receiver.items("/deliveries?channel_id=ops")) == 1
    await report(receiver, "A", "resolved")
    await check(timedelta(minutes=51))
    assert (await read(receiver, str(made["id"])))["version"] == 2


async def test_alerts_of_other_tenants_do_not_matter(receiver: Relay, check: Check) -> None:
    made = await silence(receiver, expire_when_resolved=True, tenant_id="acme")
    await report(receiver, "A", team="db", tenant_id="globex")
    await check()
    await report(receiver, "A", "resolved", team="db", tenant_id="globex")
    await check()
    assert await state(receiver, made) == "active"


async def test_a_series_without_windows_left_ends(receiver: Relay, check: Check) -> None:
    made = await silence(receiver, rrule="FREQ=DAILY;COUNT=2", duration="1h", ends_at=None)
    await check(timedelta(hours=24, minutes=30))
    assert (await read(receiver, made["id"]))["ends_at"] is None
    await check(timedelta(hours=26))
    assert (await read(receiver, made["id"]))["ends_at"] is not None


async def test_two_processes_end_each_silence_once(receiver: Relay, upkeeps: list[SilenceUpkeep]) -> None:
    await report(receiver, "A", team="db")
    made = [await silence(receiver, expire_when_resolved=True) for _ in range(5)]
    await asyncio.gather(*(upkeep.check(datetime.now(UTC)) for upkeep in upkeeps))
    await report(receiver, "A", "resolved", team="db")
    for _ in range(3):
        await asyncio.gather(*(upkeep.check(datetime.now(UTC)) for upkeep in upkeeps))
    assert {(await read(receiver, one["id"]))["version"] for one in made} == {2}


async def reminding(relay: Relay, sink: Sink, **fields: Any) -> dict[str, Any]:
    """A silence whose end is announced in the channel `ops`, which gets no alerts itself."""
    hook = {"channel_type": "webhook", "webhook_url": sink.url, "severities": ["critical"]}
    await relay.channel(id="ops", name="ops", **hook)
    return await silence(relay, remind_before="15m", remind_channel_id="ops", **fields)


async def test_a_reminder_is_queued_once_for_each_end(
    receiver: Relay, upkeeps: list[SilenceUpkeep], sink: Sink
) -> None:
    made = await reminding(receiver, sink)
    await report(receiver, "A", team="db")

    async def run(**after: float) -> int:
        now = datetime.now(UTC) + timedelta(**after)
        await asyncio.gather(*(upkeep.check(now) for upkeep in upkeeps))
        return len(await receiver.items("/deliveries?channel_id=ops"))

    assert await run(minutes=40) == 0
    assert await run(minutes=50) == 1
    assert await run(minutes=55) == 1
    end = later(hours=3)
    assert (await receiver.call("PATCH", f"/silences/{made['id']}", json={"ends_at": end})).status == 200
    assert await run(minutes=50) == 1
    assert await run(hours=2, minutes=50) == 2
    assert [one["status"] for one in await receiver.items("/history?source=relay")] == ["firing", "resolved"]
    assert (await receiver.call("POST", f"/silences/{made['id']}/expire")).status == 200
    assert await run(hours=2, minutes=51) == 2
    assert [one["status"] for one in await receiver.items("/history?source=relay")] == ["resolved", "resolved"]


async def test_no_reminder_of_a_silence_that_matches_nothing(receiver: Relay, check: Check, sink: Sink) -> None:
    await reminding(receiver, sink)
    await check(timedelta(minutes=50))
    assert await receiver.items("/deliveries") == []
    await report(receiver, "A", team="db")
    await check(timedelta(minutes=51))
    assert len(await receiver.items("/deliveries")) == 1


async def test_a_reminder_of_a_deleted_channel_is_left_out(receiver: Relay, check: Check, sink: Sink) -> None:
    await reminding(receiver, sink)
    await receiver.change("DELETE", "/channels/ops")
    await report(receiver, "A", team="db")
    await check(timedelta(minutes=50))
    assert await receiver.items("/deliveries") == []


async def test_the_reminder_says_what_still_fires(relay: Relay, sink: Sink) -> None:
    """The silence matches the reminder, too, and does not hold it back."""
    every = ['alertname=~".+"']
    made = await reminding(relay, sink, ends_at=later(minutes=10), comment="upgrade", matchers=every)
    for name in ("A", "B"):
        await report(relay, name, team="db")
    [delivery] = await relay.settled(1)
    [received] = sink.received
    [shown] = received.json["alerts"]
    assert shown["labels"]["alertname"] == "SilenceEnds"
    assert shown["labels"]["silence_id"] == made["id"]
    assert shown["annotations"]["summary"].startswith('The silence of alertname=~".+" ends in 10 min, at ')
    texts = ("2 alerts still fire", "A", "B", "RELAY_ADMIN_KEY: upgrade")
    assert all(text in shown["annotations"]["description"] for text in texts)
    assert delivery["channel_id"] == "ops"
