"""Acknowledgements of alerts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.acknowledgements import (
    Acknowledgement,
    GroupOfAlerts,
    NewAcknowledgement,
    PastAcknowledgement,
)
from relay.domain.alerts import Status
from relay.domain.errors import Conflict, NotFound
from relay.domain.identity import group_hashes, named_source
from relay.domain.principals import Author, Tenants, sees
from relay.domain.versions import Action, Change, ObjectKind, changes_between
from relay.store.configuration import versions
from relay.store.configuration.quotas import Caller
from relay.store.outbox.channel_changes import wake
from relay.store.outbox.fragments import ACKNOWLEDGEMENT, FIRING, HOLDS, RESOLVED, STALE
from relay.store.outbox.refreshes import queue_refreshes_of
from relay.store.postgres.statements import read_row
from relay.store.tables import alerts

LOCK: Final = 0x41434B4E
"""The advisory lock under which acknowledgements change: "ACKN" in ASCII. Ingest need not wait for it."""

LOCKED: Final = text(f"SELECT pg_advisory_xact_lock({LOCK}), clock_timestamp() AS at")

# Each status apart, for the index of that status.
SOURCES: Final = text(
    f"""
    SELECT source FROM alerts WHERE status = {FIRING} UNION SELECT source FROM alerts WHERE status = {STALE}
    """
)

_IN_GROUPS: Final = """
  SELECT a.id, nullif(a.tenant_id, '') AS tenant_id, a.status, a.group_hashes
  FROM unnest(CAST(:sources AS text[]), CAST(:hashes AS bigint[])) AS g (source, hash)
  JOIN alerts a ON a.source = g.source AND g.hash = ANY (a.group_hashes)
"""
IN_GROUPS: Final = text(
    f"{_IN_GROUPS} WHERE a.status = {FIRING} UNION {_IN_GROUPS} WHERE a.status = {STALE} ORDER BY id"
)

# One whose `until` has passed ended then, by itself.
END: Final = text(
    f"""
    UPDATE acknowledgements k SET
      ended_at = least(k.until, CAST(:at AS timestamptz)),
      ended_by = CASE WHEN k.until <= CAST(:at AS timestamptz) THEN NULL ELSE :identity END,
      ended_by_name = CASE WHEN k.until <= CAST(:at AS timestamptz) THEN NULL ELSE :name END
    WHERE k.ended_at IS NULL AND k.alert_id = ANY (:alert_ids)
    RETURNING k.alert_id, k.ended_by IS NOT NULL AS held, {ACKNOWLEDGEMENT}
    """
)

CREATE: Final = text(
    """
    INSERT INTO acknowledgements (alert_id, author, author_name, comment, created_at, until)
    SELECT unnest(CAST(:alert_ids AS bigint[])), :by, :by_name, :comment, :since, :until
    """
)

OF_ALERT: Final = text(
    f"""
    SELECT {ACKNOWLEDGEMENT}, k.ended_by, k.ended_by_name, least(
      k.ended_at,
      CASE WHEN k.until <= now() THEN k.until END,
      CASE WHEN a.status = {RESOLVED} THEN a.resolved_received_at END
    ) AS ended_at
    FROM acknowledgements k JOIN alerts a ON a.id = k.alert_id WHERE k.alert_id = :alert_id ORDER BY k.id
    """
)

HELD: Final = text(f"SELECT k.alert_id FROM acknowledgements k WHERE k.alert_id = ANY (:alert_ids) AND {HOLDS}")


class _Alert(msgspec.Struct, frozen=True):
    """An alert to acknowledge."""

    id: int
    tenant_id: str | None
    status: Status
    group_hashes: tuple[int, ...]


async def acknowledge(
    connection: AsyncConnection, alert_id: int, new: NewAcknowledgement, caller: Caller
) -> Acknowledgement:
    """Acknowledge an alert, in place of its former acknowledgement.

    Raises:
        NotFound: there is no such alert of the tenants.
        Conflict: it is resolved.
    """
    at = await _lock(connection)
    alert = await _alert(connection, alert_id, caller.tenants)
    if alert.status is Status.RESOLVED:
        raise Conflict(f"the alert {alert_id} is resolved; only one that fires can be acknowledged")
    return await _acknowledge(connection, [alert], new, caller.author, at)


async def acknowledge_group(
    connection: AsyncConnection, group: GroupOfAlerts, new: NewAcknowledgement, caller: Caller
) -> list[int]:
    """Acknowledge the alerts of a group that fire, and return their ids.

    Raises:
        NotFound: none of the tenants fires in it.
    """
    at = await _lock(connection)
    found = await _firing(connection, group, caller.tenants)
    await _acknowledge(connection, found, new, caller.author, at)
    return [alert.id for alert in found]


async def withdraw(connection: AsyncConnection, alert_id: int, caller: Caller) -> None:
    """End the acknowledgement of an alert.

    Raises:
        NotFound: there is no such alert of the tenants, or it is not acknowledged.
    """
    at = await _lock(connection)
    alert = await _alert(connection, alert_id, caller.tenants)
    held = alert.status is not Status.RESOLVED and await _held(connection, [alert])
    if not held:
        raise NotFound(f"the alert {alert_id} is not acknowledged")
    await _withdraw(connection, [alert], caller.author, at)


async def withdraw_group(connection: AsyncConnection, group: GroupOfAlerts, caller: Caller) -> list[int]:
    """End the acknowledgements of a group's alerts that fire, and return the alerts' ids.

    Raises:
        NotFound: none of them is acknowledged.
    """
    at = await _lock(connection)
    found = await _firing(connection, group, caller.tenants)
    held = await _held(connection, found)
    if not held:
        raise NotFound("no alert of this group is acknowledged")
    await _withdraw(connection, [alert for alert in found if alert.id in held], caller.author, at)
    return sorted(held)


async def of_alert(connection: AsyncConnection, alert_id: int) -> tuple[PastAcknowledgement, ...]:
    """Return all acknowledgements of an alert, oldest first."""
    rows = await connection.execute(OF_ALERT, {"alert_id": alert_id})
    return tuple(read_row(row, PastAcknowledgement) for row in rows)


async def _lock(connection: AsyncConnection) -> datetime:
    """Wait for other changes of acknowledgements, and return the time."""
    at: datetime = (await connection.execute(LOCKED)).one().at
    return at


async def _alert(connection: AsyncConnection, alert_id: int, tenants: Tenants) -> _Alert:
    tenant_id = func.nullif(alerts.c.tenant_id, "").label("tenant_id")
    statement = select(alerts.c.id, tenant_id, alerts.c.status, alerts.c.group_hashes)
    row = (await connection.execute(statement.where(alerts.c.id == alert_id))).one_or_none()
    if row is None or not sees(tenants, row.tenant_id):
        raise NotFound(f"there is no alert {alert_id} in the history")
    return read_row(row, _Alert)


async def _firing(connection: AsyncConnection, group: GroupOfAlerts, tenants: Tenants) -> list[_Alert]:
    """The alerts of the group that are not resolved, stale ones included."""
    stored = [row.source for row in await connection.execute(SOURCES)]
    pairs = [
        (source, hashed)
        for source in stored
        if group.source in (None, source, named_source(source))
        for hashed in group_hashes(group.group_key, source)
    ]
    sources, hashes = [source for source, _ in pairs], [hashed for _, hashed in pairs]
    rows = await connection.execute(IN_GROUPS, {"sources": sources, "hashes": hashes})
    found = [
        read_row(row, _Alert)
        for row in rows
        if sees(tenants, row.tenant_id) and group.tenant_id in (None, row.tenant_id or "")
    ]
    if not found:
        raise NotFound("no alert of this group fires")
    return found


async def _held(connection: AsyncConnection, found: Sequence[_Alert]) -> frozenset[int]:
    rows = await connection.execute(HELD, {"alert_ids": [alert.id for alert in found]})
    return frozenset(row.alert_id for row in rows)


async def _acknowledge(
    connection: AsyncConnection, found: Sequence[_Alert], new: NewAcknowledgement, author: Author, at: datetime
) -> Acknowledgement:
    acknowledgement = Acknowledgement(
        by=author.identity, by_name=author.name, since=at, until=new.until, comment=new.comment
    )
    before = await _end(connection, found, author, at)
    alert_ids = [alert.id for alert in found]
    await connection.execute(CREATE, {"alert_ids": alert_ids, **msgspec.structs.asdict(acknowledgement)})
    await _changed(connection, found, before, acknowledgement, author)
    return acknowledgement


async def _withdraw(connection: AsyncConnection, found: Sequence[_Alert], author: Author, at: datetime) -> None:
    before = await _end(connection, found, author, at)
    await _changed(connection, found, before, None, author)


async def _end(
    connection: AsyncConnection, found: Sequence[_Alert], author: Author, at: datetime
) -> dict[int, Acknowledgement]:
    """End the acknowledgements of alerts, and return those that held, by the alert's id."""
    values = {"at": at, "identity": author.identity, "name": author.name}
    rows = await connection.execute(END, {"alert_ids": [alert.id for alert in found], **values})
    return {row.alert_id: read_row(row, Acknowledgement) for row in rows if row.held}


async def _changed(
    connection: AsyncConnection,
    found: Sequence[_Alert],
    before: Mapping[int, Acknowledgement],
    after: Acknowledgement | None,
    author: Author,
) -> None:
    """Record the changes, and edit the messages that show the alerts. Workers look at once what is to be sent."""
    body = None if after is None else msgspec.to_builtins(after)
    changes = []
    for alert in found:
        old = msgspec.to_builtins(before.get(alert.id))
        action = Action.DELETED if body is None else Action.CREATED if old is None else Action.UPDATED
        changes.append(
            Change(
                kind=ObjectKind.ACKNOWLEDGEMENT,
                object_id=str(alert.id),
                action=action,
                tenant_id=alert.tenant_id,
                body=body,
                changes=changes_between(old, body),
            )
        )
    await versions.record_all(connection, author, changes)
    hashes = sorted({hashed for alert in found for hashed in alert.group_hashes})
    await queue_refreshes_of(connection, hashes, [alert.id for alert in found])
    await wake(connection)
