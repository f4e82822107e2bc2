"""Alerts that silences may match, read in pages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.identity import RESERVED_SOURCE
from relay.domain.matchers import Matcher, Op
from relay.domain.principals import Tenants
from relay.store.outbox.fragments import FIRING, RESOLVED, STALE
from relay.store.postgres.statements import DriverConnection, Query, Statement

FIRST: Final = 2**63 - 1
"""The id before which the newest alerts are."""
PAGE: Final = 2_000
"""Firing alerts."""
IDS_AT_ONCE: Final = 20_000
"""Ids of alerts among which ended ones are looked for."""


class FoundAlert(msgspec.Struct, frozen=True):
    """An alert; `ends_at` is None while it fires. `tenant_id` is empty if it has none."""

    id: int
    alertname: str
    labels: dict[str, str]
    source: str
    tenant_id: str
    starts_at: datetime
    ends_at: datetime | None


_ALERT: Final = """
  a.id, a.alertname, s.labels, a.source, a.tenant_id, a.starts_at,
  CASE WHEN a.end_reason IS NOT NULL THEN coalesce(a.ends_at, a.resolved_received_at) END AS ends_at
"""
_REPORTED: Final = f"a.source <> '{RESERVED_SOURCE}'"
"""Not an alert of the relay itself, such as that of a silence's reminder, which silences do not concern."""
_OF_TENANTS: Final = "(:tenants::text[] IS NULL OR a.tenant_id = ANY (:tenants::text[]))"
_EQUAL: Final = "AND s.labels @> :equal::jsonb"


def _with_labels(condition: str = "") -> str:
    """Look up the series of each alert, so that a scan of the alerts stops at its limit; a join would read all."""
    return f"""
      CROSS JOIN LATERAL (SELECT s.labels FROM series s WHERE s.id = a.series_id {condition} LIMIT 1) AS s
    """


def _newest(condition: str) -> str:
    return f"""(
      SELECT {_ALERT} FROM alerts a {_with_labels(_EQUAL)}
      WHERE {condition} AND a.id < :before AND {_REPORTED} AND {_OF_TENANTS} ORDER BY a.id DESC LIMIT {PAGE}
    )"""


# Each state has an index of its own.
UNRESOLVED: Final = Query(
    FoundAlert,
    f"""
    {_newest(f"a.status = {FIRING}")} UNION ALL {_newest(f"a.status = {STALE}")}
    ORDER BY id DESC LIMIT {PAGE}
    """,
)
ENDED: Final = Query(
    FoundAlert,
    f"""
    SELECT {_ALERT} FROM alerts a {_with_labels(_EQUAL)}
    WHERE a.status = {RESOLVED} AND a.id < :before AND a.id >= :before - {IDS_AT_ONCE}
      AND a.resolved_received_at >= :since AND {_REPORTED} AND {_OF_TENANTS}
    ORDER BY a.id DESC
    """,
)
ENDED_SINCE: Final = Query(
    FoundAlert,
    f"""
    SELECT {_ALERT} FROM alerts a {_with_labels()}
    WHERE a.status = {RESOLVED} AND a.id > :after AND {_REPORTED} ORDER BY a.id LIMIT {PAGE}
    """,
)
BOUNDS: Final = Statement("SELECT min(id) AS first, max(id) AS last FROM alerts")


def equal_labels(matchers: Sequence[Matcher]) -> dict[str, str]:
    """The labels that an alert must have to meet the matchers, as far as these name them."""
    return {matcher.name: matcher.value for matcher in matchers if matcher.op is Op.EQUAL and matcher.value}


async def unresolved(
    connection: DriverConnection, equal: dict[str, str], tenants: Tenants, before: int = FIRST
) -> list[FoundAlert]:
    """Return the newest PAGE alerts with ids below `before` that have not ended, and have these labels."""
    return await UNRESOLVED.fetch(connection, equal=_json(equal), tenants=_names(tenants), before=before)


async def ended(
    connection: DriverConnection, equal: dict[str, str], tenants: Tenants, before: int, since: datetime
) -> list[FoundAlert]:
    """Return the alerts with IDS_AT_ONCE ids below `before` that ended after a time, and have these labels."""
    return await ENDED.fetch(connection, equal=_json(equal), tenants=_names(tenants), before=before, since=since)


async def ended_since(connection: DriverConnection, after: int) -> list[FoundAlert]:
    """Return alerts with ids above `after` that have ended, at most PAGE."""
    return await ENDED_SINCE.fetch(connection, after=after)


async def bounds(connection: DriverConnection) -> tuple[int, int]:
    """Return the lowest and the highest id of an alert; 0 without alerts."""
    [row] = await BOUNDS.rows(connection)
    return row["first"] or 0, row["last"] or 0


def _names(tenants: Tenants) -> list[str] | None:
    return None if tenants is None else sorted(tenants - {""})


def _json(labels: dict[str, str]) -> str:
    return msgspec.json.encode(labels).decode()
