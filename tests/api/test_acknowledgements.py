"""Acknowledgements of alerts and groups: who may, what is stored, shown and recorded."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.domain.acknowledgements import MAX_COMMENT
from tests.access.objects import key_for
from tests.api.assertions import rejected
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook

GROUP = '{}:{group="g"}'


@pytest.fixture
async def relay(start_relay: RelayFactory) -> Relay:
    """A relay that sends nothing."""
    return await start_relay(deliver=False)


async def fire(relay: Relay, *alerts: dict[str, Any], group: str = "g", **query: str) -> list[int]:
    """Post a webhook, and return the ids of all alerts, by the order of their names."""
    response = await relay.webhook(webhook(*alerts, group=group), **query)
    assert response.status == 202, response.body
    items = await relay.items("/history?limit=500")
    return [item["id"] for item in sorted(items, key=lambda item: str(item["alertname"]))]


async def current(relay: Relay, alert_id: int) -> Any:
    return (await relay.call("GET", f"/history/{alert_id}")).json["acknowledgement"]


async def audit(relay: Relay) -> list[tuple[str, str, str | None]]:
    """The recorded changes of acknowledgements, oldest first: alert, action and tenant."""
    entries = await relay.items("/audit?kind=acknowledgement")
    return [(entry["object_id"], entry["action"], entry["tenant_id"]) for entry in reversed(entries)]


def ahead(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


async def test_an_acknowledged_alert_shows_who_since_when_and_why(relay: Relay) -> None:
    alert_id, other = await fire(relay, alert("A"), alert("B"))
    until = ahead(hours=2)

    response = await relay.call(
        "POST", f"/history/{alert_id}/acknowledge", json={"comment": "on it", "until": until}
    )

    assert response.status == 200, response.body
    shown = response.json
    me = (await relay.call("GET", "/me")).json
    assert (shown["by"], shown["by_name"], shown["comment"]) == (me["identity"], me["name"], "on it")
    assert datetime.fromisoformat(shown["until"]) == datetime.fromisoformat(until)
    assert await current(relay, alert_id) == shown
    assert [item["acknowledgement"] for item in await relay.items("/history?alertname=A")] == [shown]
    assert [item["id"] for item in await relay.items("/history?acknowledged=true")] == [alert_id]
    assert [item["id"] for item in await relay.items("/history?acknowledged=false")] == [other]
    assert await audit(relay) == [(str(alert_id), "created", None)]


async def test_the_body_may_be_missing_or_empty(relay: Relay) -> None:
    [alert_id] = await fire(relay)
    requests: list[dict[str, Any]] = [{}, {"json": {}}, {"data": b"null"}]
    for request in requests:
        response = await relay.call("POST", f"/history/{alert_id}/acknowledge", **request)
        assert (response.status, response.json["comment"], response.json["until"]) == (200, "", None)


async def test_a_new_acknowledgement_replaces_the_former_one(relay: Relay) -> None:
    [alert_id] = await fire(relay)
    path = f"/history/{alert_id}/acknowledge"
    await relay.change("POST", path, json={"comment": "first"})
    second = (await relay.change("POST", path, json={"comment": "second"})).json

    assert await current(relay, alert_id) == second
    timeline = (await relay.call("GET", f"/history/{alert_id}")).json["acknowledgements"]
    assert [item["comment"] for item in timeline] == ["first", "second"]
    assert [item["ended_at"] for item in timeline] == [second["since"], None]
    assert timeline[0]["ended_by"] == second["by"]
    assert await audit(relay) == [(str(alert_id), "created", None), (str(alert_id), "updated", None)]
    changes = (await relay.items("/audit?kind=acknowledgement"))[0]["changes"]
    assert changes["comment"] == {"before": "first", "after": "second"}


async def test_a_withdrawn_acknowledgement_is_shown_as_ended(relay: Relay) -> None:
    [alert_id] = await fire(relay)
    path = f"/history/{alert_id}/acknowledge"
    shown = (await relay.change("POST", path)).json

    assert (await relay.call("DELETE", path)).status == 204

    assert await current(relay, alert_id) is None
    [ended] = (await relay.call("GET", f"/history/{alert_id}")).json["acknowledgements"]
    assert (ended["ended_by"], ended["ended_by_name"]) == (shown["by"], shown["by_name"])
    assert ended["ended_at"] > ended["since"]
    assert await audit(relay) == [(str(alert_id), "created", None), (str(alert_id), "deleted", None)]
    again = await relay.call("DELETE", path)
    assert (again.status, again.json["detail"]) == (404, f"the alert {alert_id} is not acknowledged")


async def test_it_ends_with_the_alert_and_the_next_occurrence_needs_a_new_one(relay: Relay) -> None:
    [alert_id] = await fire(relay, alert("A"))
    await relay.change("POST", f"/history/{alert_id}/acknowledge")
    await fire(relay, alert("A", "resolved"))

    assert await current(relay, alert_id) is None
    assert await relay.items("/history?acknowledged=true") == []
    [ended] = (await relay.call("GET", f"/history/{alert_id}")).json["acknowledgements"]
    assert (ended["ended_at"] is None, ended["ended_by"]) == (False, None)
    response = await relay.call("POST", f"/history/{alert_id}/acknowledge")
    assert (response.status, "is resolved" in response.json["detail"]) == (409, True)
    assert (await relay.call("DELETE", f"/history/{alert_id}/acknowledge")).status == 404

    await fire(relay, alert("A") | {"startsAt": "2026-11-23T16:00:00Z"})
    first = (await relay.items("/history"))[0]
    assert (first["id"] == alert_id, first["acknowledgement"]) == (False, None)


async def test_it_ends_at_until(relay: Relay, sql: Any) -> None:
    [alert_id] = await fire(relay)
    path = f"/history/{alert_id}/acknowledge"
    until = (await relay.change("POST", path, json={"until": ahead(seconds=0.5)})).json["until"]
    await asyncio.sleep(0.6)

    assert await current(relay, alert_id) is None
    assert (await relay.call("DELETE", path)).status == 404
    await relay.change("POST", path, json={"comment": "again"})
    first, second = (await relay.call("GET", f"/history/{alert_id}")).json["acknowledgements"]
    assert (first["ended_at"], first["ended_by"], second["ended_at"]) == (until, None, None)
    assert [action for _, action, _ in await audit(relay)] == ["created", "created"]


async def test_a_stale_alert_can_be_acknowledged(relay: Relay, sql: Any) -> None:
    [alert_id] = await fire(relay)
    await sql.execute("UPDATE alerts SET status = 'stale'")

    assert (await relay.call("POST", f"/history/{alert_id}/acknowledge")).status == 200
    group = await relay.call("POST", "/groups/acknowledge", json={"group_key": GROUP})
    assert group.json == {"acknowledged": 1, "alert_ids": [alert_id]}
    assert [item["id"] for item in await relay.items("/history?acknowledged=true")] == [alert_id]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"comment": "x" * (MAX_COMMENT + 1)}, "comment"),
        ({"comment": "a\0"}, "comment"),
        ({"comment": 1}, "comment"),
        ({"until": "2026-11-23T15:33:27"}, "until"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"until": "9999-12-31T23:59:59-05:00"}, "until"),
        ({"until": ahead(days=367)}, "until"),
        ({"untill": None}, "untill"),
    ],
)
async def test_an_invalid_body_is_rejected_with_the_field(relay: Relay, body: dict[str, Any], field: str) -> None:
    [alert_id] = await fire(relay)
    rejected(await relay.call("POST", f"/history/{alert_id}/acknowledge", json=body), field)
    rejected(await relay.call("POST", "/groups/acknowledge", json=body | {"group_key": GROUP}), field)
    assert await current(relay, alert_id) is None


async def test_a_group_is_acknowledged_and_withdrawn(relay: Relay) -> None:
    await fire(relay, alert("C"), group="other")
    first, second, other = await fire(relay, alert("A"), alert("B"))
    await fire(relay, alert("D", "resolved"))

    response = await relay.call("POST", "/groups/acknowledge", json={"group_key": GROUP, "comment": "all"})

    assert (response.status, response.json) == (200, {"acknowledged": 2, "alert_ids": [first, second]})
    assert await current(relay, other) is None
    assert (await current(relay, second))["comment"] == "all"
    assert await audit(relay) == [(str(first), "created", None), (str(second), "created", None)]
    await relay.change("DELETE", f"/history/{first}/acknowledge")

    response = await relay.call("DELETE", "/groups/acknowledge", json={"group_key": GROUP})
    assert (response.status, response.json) == (200, {"withdrawn": 1, "alert_ids": [second]})
    assert await relay.items("/history?acknowledged=true") == []
    response = await relay.call("DELETE", "/groups/acknowledge", json={"group_key": GROUP})
    assert (response.status, response.json["detail"]) == (404, "no alert of this group is acknowledged")


async def test_a_group_of_which_none_fires_is_not_found(relay: Relay) -> None:
    await fire(relay, alert("A", "resolved"))
    for method in ("POST", "DELETE"):
        for group_key in (GROUP, "unknown"):
            response = await relay.call(method, "/groups/acknowledge", json={"group_key": group_key})
            assert (response.status, response.json["detail"]) == (404, "no alert of this group fires")
        rejected(await relay.call(method, "/groups/acknowledge", json={}), "group_key")
        rejected(await relay.call(method, "/groups/acknowledge", json={"group_key": "\0"}), "group_key")


async def test_a_source_selects_its_group_also_with_a_forced_tenant_and_adopted_alerts(relay: Relay) -> None:
    ingest = (await relay.call("POST", "/keys", json={"name": "i", "role": "ingest", "tenant_id": "acme"})).json
    [eu] = await fire(relay, alert("A"), source="eu")
    forced = await relay.call(
        "POST", "/webhook", key=ingest["key"], json=webhook(alert("B")), params={"source": "us"}
    )
    assert forced.status == 202
    _, us = await fire(relay, alert("A"), source="eu")
    _, _, adopted = await fire(relay, alert("C"))
    await fire(relay, alert("C"), source="ap")
    assert {item["source"] for item in await relay.items("/history")} == {"eu", "us@acme", "ap"}

    for source, wanted in (
        ("eu", [eu]),
        ("us", [us]),
        ("us@acme", [us]),
        ("ap", [adopted]),
        (None, [eu, us, adopted]),
    ):
        body = {"group_key": GROUP, "source": source}
        found = (await relay.change("POST", "/groups/acknowledge", json=body)).json["alert_ids"]
        assert found == wanted, source
    for source in ("", "acme", "other"):
        body = {"group_key": GROUP, "source": source}
        assert (await relay.call("POST", "/groups/acknowledge", json=body)).status == 404


async def test_tenants_acknowledge_their_own_alerts_alone(relay: Relay) -> None:
    acme = await key_for(relay, "acme", role="operator")
    own, other, shared = await fire(
        relay, alert("A", tenant_id="acme"), alert("B", tenant_id="globex"), alert("C")
    )

    for alert_id in (other, shared):
        for method in ("POST", "DELETE"):
            response = await relay.call(method, f"/history/{alert_id}/acknowledge", key=acme)
            assert response.status == 404
    for tenant_id in ("globex", ""):
        body = {"group_key": GROUP, "tenant_id": tenant_id}
        assert (await relay.call("POST", "/groups/acknowledge", key=acme, json=body)).status == 404
    response = await relay.call("POST", "/groups/acknowledge", key=acme, json={"group_key": GROUP})
    assert response.json["alert_ids"] == [own]
    assert await audit(relay) == [(str(own), "created", "acme")]
    for tenant_id, wanted in (("globex", [other]), ("", [shared]), ("acme", [own])):
        body = {"group_key": GROUP, "tenant_id": tenant_id}
        found = (await relay.change("POST", "/groups/acknowledge", json=body)).json["alert_ids"]
        assert found == wanted
    response = await relay.call("DELETE", "/groups/acknowledge", key=acme, json={"group_key": GROUP})
    assert response.json["alert_ids"] == [own]
    viewer = await key_for(relay, "acme", role="viewer")
    assert (await relay.call("POST", f"/history/{own}/acknowledge", key=viewer)).status == 403


async def test_concurrent_acknowledgements_leave_one_that_holds(relay: Relay, sql: Any) -> None:
    alert_ids = await fire(relay, *(alert(f"A{at}") for at in range(50)))
    calls = [relay.call("POST", "/groups/acknowledge", json={"group_key": GROUP}) for _ in range(6)]
    calls += [relay.call("POST", f"/history/{alert_id}/acknowledge") for alert_id in alert_ids[:6]]

    assert {response.status for response in await asyncio.gather(*calls)} == {200}

    held = await sql.fetch("SELECT alert_id FROM acknowledgements WHERE ended_at IS NULL")
    assert sorted(row["alert_id"] for row in held) == sorted(alert_ids)
    assert await sql.fetchval("SELECT count(*) FROM acknowledgements WHERE ended_at < created_at") == 0
    assert await sql.fetchval("SELECT count(*) FROM versions WHERE kind = 'acknowledgement'") == 306


async def test_a_large_group_is_acknowledged_in_one_call(relay: Relay) -> None:
    for chunk in range(5):
        await relay.webhook(webhook(*(alert(f"A{chunk}-{at}") for at in range(1000))))
    response = await relay.change("POST", "/groups/acknowledge", json={"group_key": GROUP})
    assert response.json["acknowledged"] == 5000


async def test_a_change_wakes_the_workers(relay: Relay, sql: Any) -> None:
    [alert_id] = await fire(relay)
    woken: list[str] = []
    await sql.add_listener("relay_wake", lambda *_: woken.append("woken"))
    for count, method in enumerate(("POST", "DELETE"), start=1):
        await relay.change(method, f"/history/{alert_id}/acknowledge")
        async with asyncio.timeout(5):
            while len(woken) < count:
                await asyncio.sleep(0.02)
