"""Alerts of schema 0007 after the upgrade to series, and after a downgrade."""

import json
from typing import Any

from sqlalchemy import text

from relay.domain.alertmanager import decode_webhook
from relay.domain.identity import series_identity
from relay.store.postgres import migrations
from relay.store.postgres.database import Database
from tests.fixtures.relays import alert, running, webhook

ALERT = (
    """
INSERT INTO alerts (
  tenant_id, fingerprint, starts_at, status, alertname, labels, annotations, generator_url, ends_at,
  first_received_at, last_received_at, resolved_received_at, group_hashes
)
SELECT '', :fingerprint, DAY + '{starts}', CASE WHEN '{ends}' = '' THEN 'firing' ELSE 'resolved' END, 'A',
  CAST(:labels AS jsonb), '{{}}', '', DAY + nullif('{ends}', '')::interval, DAY + '{starts}', DAY + '{received}',
  CASE WHEN '{ends}' <> '' THEN DAY + '{received}' END, '{{7}}'
""".replace("DAY", "timestamptz '2026-11-23 00:00Z'")
    .replace("'{starts}'", "interval '{starts}'")
    .replace("'{received}'", "interval '{received}'")
)
RECEIPT = """
INSERT INTO receipts (state_hash, group_hash, group_key, receiver, status, received_at, body, alert_ids)
VALUES ('', 7, 'seven', '', 'firing', now(), '', (SELECT array_agg(id ORDER BY id) FROM alerts))
"""
ROWS = """
SELECT id, fingerprint, to_char(starts_at, 'HH24:MI'), status, to_char(ends_at, 'HH24:MI'), end_reason FROM alerts
ORDER BY id
"""
OPEN = "SELECT open_alert_id FROM series WHERE open_alert_id IS NOT NULL ORDER BY open_alert_id"


async def run(database: Database, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    async with database.begin() as connection:
        found = await connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []


async def add(
    database: Database,
    starts: str,
    received: str,
    ends: str = "",
    fingerprint: str = "f",
    labels: dict[str, str] | None = None,
) -> None:
    """Add a row as the old schema had it: one for each start; `received` is when it was received last."""
    statement = ALERT.format(starts=starts, received=received, ends=ends)
    labels_json = json.dumps(labels or {"alertname": "A"})
    await run(database, statement, fingerprint=fingerprint, labels=labels_json)


async def test_split_and_stuck_alerts_keep_their_rows_and_one_stays_open(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await migrations.upgrade(database, "0007")
    # Two replicas of Prometheus, of which the second was received last.
    await add(database, "10:00", received="10:05")
    await add(database, "10:01", received="10:06")
    # Grafana's resolve, whose start is its end: its firing never ended.
    await add(database, "09:00", received="09:00", fingerprint="stuck")
    await add(database, "09:10", received="09:11", ends="09:10", fingerprint="stuck")
    # A late end of an older occurrence; the newer one is still open.
    await add(database, "08:00", received="08:20", ends="08:10", fingerprint="late")
    await add(database, "08:15", received="08:16", fingerprint="late")
    # One fingerprint with two label sets.
    await add(database, "07:00", received="07:00", fingerprint="two")
    await add(database, "07:01", received="07:01", fingerprint="two", labels={"alertname": "A", "b": "ü"})
    await run(database, RECEIPT)
    before = await run(database, "SELECT id, fingerprint, starts_at, labels FROM alerts ORDER BY id")

    await migrations.upgrade(database)

    assert await run(database, ROWS) == [
        (1, "f", "10:00", "resolved", "10:05", "superseded"),
        (2, "f", "10:01", "firing", None, None),
        (3, "stuck", "09:00", "resolved", "09:10", "resolved"),
        (4, "stuck", "09:10", "resolved", "09:10", "resolved"),
        (5, "late", "08:00", "resolved", "08:10", "resolved"),
        (6, "late", "08:15", "firing", None, None),
        (7, "two", "07:00", "firing", None, None),
        (8, "two", "07:01", "firing", None, None),
    ]
    assert await run(database, OPEN) == [(2,), (6,), (7,), (8,)]
    assert await run(database, "SELECT count(*) FROM series") == [(5,)]
    resolving = "SELECT count(*) FROM receipts r, unnest(r.alert_ids) AS i (id) JOIN alerts USING (id)"
    assert await run(database, resolving) == [(8,)]

    await migrations.downgrade(database, "0007")

    assert await run(database, "SELECT id, fingerprint, starts_at, labels FROM alerts ORDER BY id") == before
    await database.close()


async def test_an_alert_that_fired_before_the_upgrade_is_resolved_after_it(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    labels = {"instance": "ü\U0001f525", "zone": 'a"b\\c', "B": "", "é": "\ufffd"}
    body = webhook(alert("A", **labels))
    [sent] = decode_webhook(json.dumps(body).encode()).alerts
    await migrations.upgrade(database, "0007")
    await add(database, "10:00", received="10:05", fingerprint=sent.fingerprint, labels=sent.labels)

    await migrations.upgrade(database)

    assert await run(database, "SELECT identity FROM series") == [(series_identity(sent),)]
    async with running(empty_database_url) as relay:
        await relay.webhook(webhook(alert("A", "resolved", **labels)), source="eu")
        [item] = await relay.items("/history")
    assert (item["id"], item["status"], item["source"], item["ends_at"]) == (
        1,
        "resolved",
        "eu",
        "2026-11-23T15:40:00Z",
    )
    await database.close()


async def test_a_downgrade_keeps_occurrences_that_the_old_key_would_not_hold(database_url: str) -> None:
    async with running(database_url) as relay:
        for source in ("eu", "us"):
            await relay.webhook(webhook(alert("A")), source=source)
        await relay.webhook(webhook(alert("A", fingerprint_of="another")))
    database = Database(database_url)
    before = await run(database, "SELECT id FROM alerts ORDER BY id")

    await migrations.downgrade(database, "0007")

    assert await run(database, "SELECT id FROM alerts ORDER BY id") == before
    assert len(before) == 3
    await migrations.upgrade(database)
    assert await run(database, "SELECT id FROM alerts ORDER BY id") == before
    await database.close()
