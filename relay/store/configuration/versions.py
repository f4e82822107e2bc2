"""Storage of versions. A change is recorded in its own transaction; what is recorded is never changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import func, insert, null, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import Changed, Conflict, NotFound
from relay.domain.principals import RELAY, Author, Tenants, sees
from relay.domain.versions import Action, AuditEntry, Change, ObjectKind, ObjectVersion, seen_by
from relay.store.postgres.statements import read_row
from relay.store.tables import config_version, versions

_shown: Final = [versions.c[name] for name in AuditEntry.__struct_fields__]
MAX_NUMBER: Final = 2**31 - 1
"""Numbers are of Postgres's type integer."""
_last_first: Final = versions.c.number.desc()

# The version of the configuration that it makes is not recorded, so that the next load of the routing table reads
# all channels.
RECORD_DISABLED: Final = f"""
  INSERT INTO versions (
    kind, object_id, number, action, tenant_id, author, author_name, method, body, changes
  )
  SELECT '{ObjectKind.CHANNEL}', c.id,
    (SELECT coalesce(max(v.number), 0) + 1 FROM versions v
      WHERE v.kind = '{ObjectKind.CHANNEL}' AND v.object_id = c.id),
    '{Action.DISABLED}', c.tenant_id, '{RELAY.identity}', '{RELAY.name}', '{RELAY.method}',
    c.config || jsonb_build_object('channel_type', c.channel_type),
    jsonb_build_object(
      'enabled', jsonb_build_object('before', true, 'after', false),
      'disabled_reason', jsonb_build_object('before', NULL, 'after', c.disabled_reason)
    )
  FROM disabled c
"""
"""Record the channels of `disabled`, which the relay has disabled."""


RECORD_ALL: Final = text(
    """
    INSERT INTO versions (
      kind, object_id, number, action, tenant_id, author, author_name, method, address, request_id, body, changes
    )
    SELECT c.kind, c.object_id,
      (SELECT coalesce(max(v.number), 0) + 1 FROM versions v WHERE v.kind = c.kind AND v.object_id = c.object_id),
      c.action, c.tenant_id, :identity, :name, :method, :address, :request_id, c.body, c.changes
    FROM ROWS FROM (json_to_recordset(CAST(:changes AS json)) AS (
      kind text, object_id text, action text, tenant_id text, body jsonb, changes jsonb
    )) AS c
    """
)
"""Record changes of many objects, each of one object, that are no part of the configuration."""


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's filter; None matches all."""

    kind: ObjectKind | None = None
    object_id: str | None = None
    action: Action | None = None
    author: str | None = None
    tenant_id: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(connection: AsyncConnection, author: Author, change: Change) -> int:
    """Record a change that the same transaction makes, and return its number.

    An update that changes no field is not recorded; its number is that of the last version.

    Raises:
        Conflict: another transaction changes the same object.
    """
    if change.action is Action.UPDATED and not change.changes:
        return (await current(connection, change.kind, [change.object_id])).get(change.object_id, 0)
    last = select(func.coalesce(func.max(versions.c.number), 0) + 1).where(
        versions.c.kind == change.kind, versions.c.object_id == change.object_id
    )
    statement = insert(versions).values(
        kind=change.kind.value,
        object_id=change.object_id,
        number=last.scalar_subquery(),
        action=change.action.value,
        tenant_id=change.tenant_id,
        author=author.identity,
        author_name=author.name,
        method=author.method,
        address=author.address,
        request_id=author.request_id,
        body=null() if change.body is None else msgspec.to_builtins(change.body),
        changes=msgspec.to_builtins(change.changes),
        config_version=select(config_version.c.version).scalar_subquery() if change.routing else null(),
    )
    try:
        number: int = (await connection.execute(statement.returning(versions.c.number))).scalar_one()
    except IntegrityError:
        raise Conflict(f"the {change.kind} {change.object_id!r} is being changed; retry the request") from None
    return number


async def record_all(connection: AsyncConnection, author: Author, changes: Sequence[Change]) -> None:
    """Record changes of different objects that the same transaction makes, and that concern no routing.

    The caller serializes changes of such objects.
    """
    encoded = msgspec.json.encode(changes).decode()
    await connection.execute(RECORD_ALL, {"changes": encoded, **msgspec.structs.asdict(author)})


async def current(connection: AsyncConnection, kind: ObjectKind, object_ids: list[str]) -> dict[str, int]:
    """Return the number of the last version of each object."""
    statement = (
        select(versions.c.object_id, func.max(versions.c.number))
        .where(versions.c.kind == kind, versions.c.object_id.in_(object_ids))
        .group_by(versions.c.object_id)
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}


async def require_current(
    connection: AsyncConnection, kind: ObjectKind, object_id: str, wanted: frozenset[int] | None
) -> None:
    """Reject a change of an object that is at none of the versions that the caller requires; None requires none.

    Raises:
        Changed: states the version.
    """
    if wanted is None:
        return
    number = (await current(connection, kind, [object_id])).get(object_id, 0)
    if number not in wanted:
        raise Changed(f"the {kind.replace('_', ' ')} {object_id!r} is at version {number}; read it again")


async def require_same_owner(
    connection: AsyncConnection, kind: ObjectKind, object_id: str, tenant_id: str | None
) -> None:
    """Reject the id of a deleted object for a new one of another tenant, whose history would be that of both.

    Raises:
        Conflict: the id is taken.
    """
    statement = (
        select(versions.c.tenant_id)
        .where(versions.c.kind == kind, versions.c.object_id == object_id)
        .order_by(_last_first)
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is not None and row.tenant_id != tenant_id:
        raise Conflict(f"the id {object_id!r} is taken")


async def page(
    connection: AsyncConnection, wanted: AuditFilter, tenants: Tenants, before: int | None, limit: int
) -> list[AuditEntry]:
    """Return the changes of objects of the tenants before the id `before`, newest first."""
    statement = select(*_shown).order_by(versions.c.id.desc()).limit(limit)
    for name in ("kind", "object_id", "action", "author", "tenant_id", "request_id"):
        if (value := getattr(wanted, name)) is not None:
            statement = statement.where(versions.c[name] == value)
    if tenants is not None:
        statement = statement.where(versions.c.tenant_id.in_(tenants))
    if wanted.since is not None:
        statement = statement.where(versions.c.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(versions.c.at < wanted.until)
    if before is not None:
        statement = statement.where(versions.c.id < before)
    return [seen_by(tenants, read_row(row, AuditEntry)) for row in await connection.execute(statement)]


async def of_object(
    connection: AsyncConnection,
    kind: ObjectKind,
    object_id: str,
    tenants: Tenants,
    before: int | None = None,
    limit: int = 1,
) -> list[ObjectVersion]:
    """Return the versions of an object, deleted or not, newest first, starting before the number `before`.

    Raises:
        NotFound: there is no such object of the tenants.
    """
    statement = select(*_shown).where(versions.c.kind == kind, versions.c.object_id == object_id)
    last = (await connection.execute(statement.order_by(_last_first).limit(1))).one_or_none()
    if last is None or not sees(tenants, last.tenant_id):
        raise NotFound(f"there is no {kind.replace('_', ' ')} {object_id!r}")
    if before is not None:
        statement = statement.where(versions.c.number < min(before, MAX_NUMBER))
    # What was recorded while it belonged to another tenant is that tenant's.
    if tenants is not None:
        statement = statement.where(versions.c.tenant_id.in_(tenants))
    rows = await connection.execute(statement.order_by(_last_first).limit(limit))
    return [seen_by(tenants, read_row(row, ObjectVersion)) for row in rows]


async def one(
    connection: AsyncConnection, kind: ObjectKind, object_id: str, tenants: Tenants, number: int
) -> ObjectVersion:
    """Return one version of an object.

    Raises:
        NotFound: there is none.
    """
    found = await of_object(connection, kind, object_id, tenants, before=number + 1)
    if not found or found[0].number != number:
        raise NotFound(f"there is no version {number} of the {kind.replace('_', ' ')} {object_id!r}")
    return found[0]
