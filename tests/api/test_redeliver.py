"""Redelivery of dead and delivered deliveries, one or many."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.relays import ApiResponse, Relay, RelayFactory, webhook
from tests.fixtures.sink import Sink

MANY = 2500
"""More than two chunks."""


async def hook(relay: Relay, sink: Sink, name: str = "ops", **fields: Any) -> dict[str, Any]:
    return await relay.channel(name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}", **fields)


async def dead(relay: Relay, sink: Sink, group: str = "g") -> dict[str, Any]:
    """A dead delivery that the platform rejected; the platform accepts the next one."""
    sink.script = lambda _: web.Response(status=400, text="not like this")
    await relay.webhook(webhook(group=group))
    async with asyncio.timeout(20):
        while not (found := await relay.items("/deliveries?limit=1&state=dead")) or found[0]["group_key"] != (
            f'{{}}:{{group="{group}"}}'
        ):
            await asyncio.sleep(0.05)
    sink.script = None
    return found[0]


async def detail(relay: Relay, delivery_id: int) -> dict[str, Any]:
    delivery: dict[str, Any] = (await relay.call("GET", f"/deliveries/{delivery_id}")).json
    return delivery


async def rows(sql: Any, channel_id: str, state: str, count: int = 1, **columns: Any) -> list[int]:
    """Insert deliveries into the outbox."""
    names = "".join(f", {name}" for name in columns)
    places = "".join(f", ${at}" for at in range(4, 4 + len(columns)))
    inserted = await sql.fetch(
        f"""
        INSERT INTO deliveries (
          channel_id, kind, state, group_hash, rank, attempt, created_at, waiting_since{names}
        )
        SELECT $1, 'digest', $2, 0, 0, 3, now(), now(){places} FROM generate_series(1, $3::int) RETURNING id
        """,
        *(channel_id, state, count, *columns.values()),
    )
    return [row["id"] for row in inserted]


def conflict(response: ApiResponse, *texts: str) -> None:
    assert response.status == 409, response.body
    assert all(text in response.json["detail"] for text in texts), response.json["detail"]


async def test_a_dead_delivery_is_redelivered_and_keeps_its_attempts(relay: Relay, sink: Sink) -> None:
    await hook(relay, sink)
    before = await dead(relay, sink)

    response = await relay.call("POST", f"/deliveries/{before['id']}/redeliver")

    assert (response.status, response.json["id"], response.json["state"]) == (202, before["id"], "pending")
    assert response.json["redelivered_at"] is not None
    [after] = await relay.settled(1)
    assert (after["id"], after["created_at"], after["attempt_count"]) == (before["id"], before["created_at"], 2)
    assert after["redelivered_at"] == response.json["redelivered_at"]
    attempts = (await detail(relay, after["id"]))["attempts"]
    assert [(attempt["number"], attempt["outcome"], attempt["detail"]) for attempt in attempts] == [
        (1, "rejected", "400 not like this"),
        (2, "sent", "ok"),
    ]
    assert len({request.json["id"] for request in sink.received}) == 1


async def test_a_delivered_delivery_is_sent_again(relay: Relay, sink: Sink) -> None:
    await hook(relay, sink)
    await relay.webhook(webhook())
    [before] = await relay.settled(1)

    response = await relay.call("POST", f"/deliveries/{before['id']}/redeliver")

    assert (response.status, response.json["delivered_at"]) == (202, None)
    assert len(await sink.wait_for(2)) == 2
    [after] = await relay.settled(1)
    assert (after["id"], after["attempt_count"]) == (before["id"], 2)
    assert after["delivered_at"] > before["delivered_at"]


async def test_a_delivery_that_waits_for_a_retry_is_sent_immediately(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    await relay.webhook(webhook())
    await sql.execute("UPDATE deliveries SET next_attempt_at = now() + interval '1 hour'")
    await sql.execute("UPDATE lanes SET next_due = now() + interval '1 hour'")
    await start_relay()
    [pending] = await relay.items("/deliveries?state=pending")

    assert (await relay.call("POST", f"/deliveries/{pending['id']}/redeliver")).status == 202

    await sink.wait_for(1)
    await relay.settled(1)


async def test_a_retry_after_of_the_platform_is_respected(start_relay: RelayFactory, sink: Sink, sql: Any) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    [delivery] = await rows(sql, "ops", "dead")
    await sql.execute("UPDATE lanes SET held_until = now() + interval '1 hour'")

    assert (await relay.call("POST", f"/deliveries/{delivery}/redeliver")).status == 202

    assert await sql.fetchval("SELECT next_due = held_until AND enqueued = 1 FROM lanes")


async def test_a_digest_can_be_redelivered(start_relay: RelayFactory, sink: Sink, sql: Any) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    [digest] = await rows(sql, "ops", "dead")

    response = await relay.call("POST", f"/deliveries/{digest}/redeliver")

    assert (response.status, response.json["kind"], response.json["state"]) == (202, "digest", "pending")


async def test_workers_of_other_processes_are_woken(start_relay: RelayFactory, sink: Sink, sql: Any) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    [delivery] = await rows(sql, "ops", "dead")
    woken = asyncio.Event()
    await sql.add_listener("relay_wake", lambda *_: woken.set())

    await relay.call("POST", f"/deliveries/{delivery}/redeliver")

    async with asyncio.timeout(20):
        await woken.wait()


async def test_a_rejected_redelivery_has_a_reason(start_relay: RelayFactory, sink: Sink, sql: Any) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    [sending] = await rows(sql, "ops", "sending")
    [digest] = await rows(sql, "ops", "delivered")
    [between] = await rows(sql, "ops", "merged", merged_into=digest)
    [merged] = await rows(sql, "ops", "merged", merged_into=between)
    [orphan] = await rows(sql, "gone", "dead")

    conflict(await relay.call("POST", f"/deliveries/{sending}/redeliver"), "is being sent")
    conflict(await relay.call("POST", f"/deliveries/{merged}/redeliver"), f"merged into {digest};")
    conflict(await relay.call("POST", f"/deliveries/{orphan}/redeliver"), "'gone'", "deleted")
    assert (await relay.call("POST", "/deliveries/999999/redeliver")).status == 404
    states = await sql.fetch("SELECT state FROM deliveries ORDER BY id")
    assert [row["state"] for row in states] == ["sending", "delivered", "merged", "merged", "dead"]


async def test_concurrent_requests_for_one_delivery_redeliver_it(relay: Relay, sink: Sink) -> None:
    await hook(relay, sink)
    delivery = await dead(relay, sink)

    path = f"/deliveries/{delivery['id']}/redeliver"
    responses = await asyncio.gather(*(relay.call("POST", path) for _ in range(10)))

    assert {response.status for response in responses} <= {202, 409}
    assert 202 in {response.status for response in responses}
    await relay.settled(1)


async def test_all_dead_deliveries_of_a_channel_are_redelivered(relay: Relay, sink: Sink) -> None:
    await hook(relay, sink)
    await hook(relay, sink, "other")
    for group in ("one", "two"):
        await dead(relay, sink, group)
    await relay.settled(4, "dead")

    response = await relay.call("POST", "/deliveries/redeliver", json={"channel_id": "ops"})

    assert (response.status, response.json) == (200, {"redelivered": 2, "more": False})
    sent = await relay.settled(2)
    assert {(one["channel_id"], one["attempt_count"]) for one in sent} == {("ops", 2)}
    assert len(await relay.items("/deliveries?channel_id=other&state=dead")) == 2


async def test_state_source_and_times_select_what_is_redelivered(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    [old, young] = await rows(sql, "ops", "dead", 2)
    await sql.execute("UPDATE deliveries SET source = 'eu' WHERE id = $1", young)
    [delivered] = await rows(sql, "ops", "delivered")
    await rows(sql, "gone", "dead")
    await rows(sql, "ops", "merged", merged_into=delivered)
    await sql.execute("UPDATE deliveries SET created_at = now() - interval '1 hour' WHERE id = $1", old)
    between = datetime.fromisoformat((await detail(relay, young))["created_at"]) - timedelta(minutes=30)
    moment = between.isoformat()

    async def again(body: dict[str, Any]) -> set[int]:
        response = await relay.call("POST", "/deliveries/redeliver", json=body)
        assert response.status == 200, response.body
        redelivered = {item["id"] for item in await relay.items("/deliveries?state=pending")}
        assert response.json == {"redelivered": len(redelivered), "more": False}
        await sql.execute(
            "UPDATE deliveries SET state = 'delivered' WHERE state = 'pending' AND id = $1", delivered
        )
        await sql.execute("UPDATE deliveries SET state = 'dead' WHERE state = 'pending'")
        return redelivered

    assert await again({"since": moment}) == {young}
    assert await again({"until": moment}) == {old}
    assert await again({"since": moment, "until": moment}) == set()
    assert await again({"state": "delivered"}) == {delivered}
    assert await again({"channel_id": "elsewhere"}) == set()
    assert await again({"source": "eu"}) == {young}
    assert await again({"source": ""}) == {old}
    assert await again({}) == {old, young}


async def test_concurrent_bulk_requests_redeliver_each_delivery_once(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    await rows(sql, "ops", "dead", MANY)

    responses = await asyncio.gather(*(relay.call("POST", "/deliveries/redeliver", json={}) for _ in range(4)))

    assert [response.status for response in responses] == [200] * 4
    assert sum(response.json["redelivered"] for response in responses) == MANY
    counted = await sql.fetch("SELECT state, min(attempt), count(*) FROM deliveries GROUP BY state")
    assert [tuple(row) for row in counted] == [("pending", 3, MANY)]


async def test_a_bulk_request_that_reaches_its_time_limit_can_be_repeated(
    start_relay: RelayFactory, sink: Sink, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    ids = await rows(sql, "ops", "dead", MANY)
    monkeypatch.setattr("relay.api.deliveries.BULK_SECONDS", 0.0)

    first = await relay.call("POST", "/deliveries/redeliver", json={})

    assert first.json == {"redelivered": 1000, "more": True}
    pending = await sql.fetch("SELECT id FROM deliveries WHERE state = 'pending' ORDER BY id")
    assert [row["id"] for row in pending] == ids[:1000]
    rest = [(await relay.call("POST", "/deliveries/redeliver", json={})).json for _ in range(2)]
    assert rest == [{"redelivered": 1000, "more": True}, {"redelivered": MANY - 2000, "more": False}]


async def test_a_concurrently_deleted_channel_has_no_pending_deliveries(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    for _ in range(10):
        await hook(relay, sink)
        [one] = await rows(sql, "ops", "dead")

        responses = await asyncio.gather(
            relay.call("POST", f"/deliveries/{one}/redeliver"),
            relay.call("POST", "/deliveries/redeliver", json={}),
            relay.call("DELETE", "/channels/ops"),
        )

        assert [response.status for response in responses] in ([202, 200, 204], [409, 200, 204])
        assert await sql.fetchval("SELECT count(*) FROM deliveries WHERE state <> 'dead'") == 0


BODIES: list[tuple[Any, str]] = [
    ({"state": "merged"}, "state"),
    ({"state": "sending"}, "state"),
    ({"channel": "ops"}, "channel"),
    ({"channel_id": 1}, "channel_id"),
    ({"channel_id": "a\0"}, "channel_id"),
    ({"since": "2026-11-23T15:33:27"}, "since"),
    ({"until": "yesterday"}, "until"),
    ({"until": "9999-12-31T23:59:59-05:00"}, "until"),
]


async def test_an_invalid_bulk_request_is_rejected_with_the_field(relay: Relay) -> None:
    for body, field in BODIES:
        response = await relay.call("POST", "/deliveries/redeliver", json=body)
        assert response.status == 400, response.body
        assert [error["field"] for error in response.json["errors"]] == [field]
    assert (await relay.call("POST", "/deliveries/redeliver", data=b"")).status == 400
