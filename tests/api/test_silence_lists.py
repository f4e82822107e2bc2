"""Lists of silences: their order, filters and pages, and which silences match an alert."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.assertions import rejected
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.silencing import expire, later, silence

NIGHTLY = {"rrule": "FREQ=YEARLY;COUNT=3", "duration": "1h", "ends_at": None}


async def names(relay: Relay, query: str = "") -> list[str]:
    """The comments of the silences of a list."""
    return [one["comment"] for one in await relay.items(f"/silences{query}")]


async def some(relay: Relay) -> dict[str, str]:
    """Two silences in each state, and a series that is between its windows; their ids by comment."""
    made = {
        "active-late": await silence(relay, comment="active-late", ends_at=later(hours=3)),
        "active-soon": await silence(relay, comment="active-soon", created_by="ops", matchers=['b=~"x"']),
        "pending-late": await silence(
            relay, comment="pending-late", starts_at=later(days=2), ends_at=later(days=3)
        ),
        "pending-soon": await silence(
            relay, comment="pending-soon", starts_at=later(days=1), ends_at=later(days=4)
        ),
        "expired-first": await silence(relay, comment="expired-first"),
        "expired-last": await silence(relay, comment="expired-last"),
    }
    begun = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    made["between"] = await silence(relay, comment="between", starts_at=begun, **NIGHTLY)
    for name in ("expired-first", "expired-last"):
        await expire(relay, made[name]["id"])
    return {name: one["id"] for name, one in made.items()}


async def test_active_ones_come_first_then_pending_then_expired(relay: Relay) -> None:
    await some(relay)
    active, pending = ["active-soon", "active-late"], ["pending-soon", "pending-late"]
    expired = ["expired-last", "expired-first"]
    assert await names(relay) == [*active, "between", *pending, *expired]
    assert await names(relay, "?state=active") == active
    assert await names(relay, "?state=pending") == ["between", *pending]
    assert await names(relay, "?state=expired") == expired
    assert await names(relay, "?state=expired&state=active") == [*active, *expired]
    assert await names(relay, "?created_by=ops") == ["active-soon"]
    rejected(await relay.call("GET", "/silences?state=over"), "state[0]")


async def test_pages_have_each_silence_once(relay: Relay) -> None:
    ids = await some(relay)
    found: list[str] = []
    cursor = ""
    while True:
        page = (await relay.call("GET", f"/silences?limit=2{cursor}")).json
        assert len(page["items"]) <= 2
        found += [one["comment"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
        await expire(relay, ids["active-late"])  # which moves neither it nor others in the list that was begun
    assert sorted(found) == sorted(ids)
    for wrong in ("x", "MXwyfDN8", "MXwwfHw"):
        rejected(await relay.call("GET", f"/silences?cursor={wrong}"), "cursor")


async def test_matchers_are_found_verbatim(relay: Relay) -> None:
    await silence(relay, comment="equal", matchers=['alertname="A"', 'team!="x"'])
    await silence(relay, comment="regex", matchers=['alertname=~"A"'])

    async def found(*matchers: str) -> list[str]:
        params = [("matcher", one) for one in matchers]
        response = await relay.call("GET", "/silences", params=params)
        return [one["comment"] for one in response.json["items"]]

    assert await found('alertname="A"') == ["equal"]
    assert await found("alertname=A") == ["equal"]
    assert await found('alertname=~"A"') == ["regex"]
    assert await found('team!="x"', 'alertname="A"') == ["equal"]
    assert await found('{team!="x",alertname="A"}') == ["equal"]
    assert await found('team!="x"', 'alertname=~"A"') == []
    assert await found('team="x"') == []
    rejected(await relay.call("GET", "/silences", params={"matcher": "alertname"}), "matcher")


async def test_which_silences_match_an_alert(relay: Relay) -> None:
    assert (await relay.webhook(webhook(alert("A", team="db", instance="db-17")))).status == 202
    [item] = await relay.items("/history")
    await silence(relay, comment="equal", matchers=['alertname="A"', 'team!="x"'])
    await silence(relay, comment="regex", matchers=['instance=~"db-.*"'], starts_at=later(minutes=30))
    await silence(relay, comment="absent", matchers=['missing=""', 'team="db"'])
    await silence(relay, comment="other", matchers=['instance=~"db"'])
    ended = await silence(relay, comment="ended", matchers=['team="db"'])
    await expire(relay, ended["id"])
    query = f"?alert_id={item['id']}"
    assert await names(relay, query) == ["equal", "absent"]
    assert await names(relay, f"{query}&state=pending&state=expired") == ["regex", "ended"]
    assert (await relay.call("GET", "/silences?alert_id=99999")).status == 404


@pytest.mark.slow
async def test_a_page_of_an_alert_reads_a_limited_number(relay: Relay, sql: Any) -> None:
    assert (await relay.webhook(webhook(alert("A")))).status == 202
    [item] = await relay.items("/history")
    created = await silence(relay, matchers=['team="other"'])
    await sql.execute(
        """
        INSERT INTO silences (id, body, starts_at, ends_at)
        SELECT 'n' || n, s.body, s.starts_at, s.ends_at FROM silences s, generate_series(1, 11000) AS n
        WHERE s.id = $1
        """,
        created["id"],
    )
    await silence(relay, comment="found", matchers=['alertname="A"'], ends_at=later(hours=5))
    page = (await relay.call("GET", f"/silences?alert_id={item['id']}")).json
    assert (page["items"], page["next"] is None) == ([], False)
    page = (await relay.call("GET", f"/silences?alert_id={item['id']}&cursor={page['next']}")).json
    assert ([one["comment"] for one in page["items"]], page["next"]) == (["found"], None)
