"""Sources: their senders, and the time after which their alerts are stale."""

from typing import Any, Final

from sqlalchemy import func, select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import NotFound
from relay.domain.identity import FORCED, tenant_of_source
from relay.domain.principals import Tenants, sees
from relay.domain.sources import SenderItem, Source
from relay.domain.versions import Action, Change, ObjectKind, changes_between
from relay.store.configuration import versions
from relay.store.configuration.channels import lock_configuration
from relay.store.configuration.quotas import Caller
from relay.store.tables import senders, sources

MAX_SENDERS: Final = 100
"""The senders of a source that are shown: pods get new addresses with every restart."""

_names = union(select(sources.c.name), select(senders.c.source)).subquery("names")
_totals = (
    select(senders.c.source, func.count().label("sender_count"), func.max(senders.c.last_seen_at).label("seen"))
    .group_by(senders.c.source)
    .subquery("totals")
)
_shown = (
    select(_names.c.name, sources.c.stale_after, _totals.c.seen, _totals.c.sender_count)
    .select_from(
        _names.outerjoin(sources, sources.c.name == _names.c.name).outerjoin(
            _totals, _totals.c.source == _names.c.name
        )
    )
    .order_by(_names.c.name.collate("C"))
)


async def page(connection: AsyncConnection, tenants: Tenants, after: str | None, limit: int) -> list[Source]:
    """Sources of the tenants in the order of their names, starting after `after`."""
    statement = _shown.where(*_visible(tenants)).limit(limit)
    if after is not None:
        statement = statement.where(_names.c.name.collate("C") > after)
    return await _sources(connection, statement)


async def get(connection: AsyncConnection, name: str, tenants: Tenants) -> Source:
    """One source of the tenants.

    Raises:
        NotFound: no webhook has named it, and it has no setting.
    """
    found = await _sources(connection, _shown.where(_names.c.name == name, *_visible(tenants)))
    if not found:
        raise NotFound(f"there is no source {name!r}")
    return found[0]


async def set_stale_after(
    connection: AsyncConnection,
    name: str,
    stale_after: float | None,
    caller: Caller,
    wanted: frozenset[int] | None,
) -> Source:
    """Set the seconds after which alerts of a source are stale; None for the setting. Return the source.

    Raises:
        NotFound: it is of another tenant.
        Changed: its settings are at none of the versions `wanted`.
    """
    tenant_id = tenant_of_source(name)
    if not sees(caller.tenants, tenant_id):
        raise NotFound(f"there is no source {name!r}")
    await lock_configuration(connection)
    await versions.require_current(connection, ObjectKind.SOURCE, name, wanted)
    row = (await connection.execute(select(sources.c.stale_after).where(sources.c.name == name))).one_or_none()
    before, after = (None if row is None else {"stale_after": row.stale_after}), {"stale_after": stale_after}
    statement = insert(sources).values(name=name, stale_after=stale_after)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[sources.c.name], set_={"stale_after": statement.excluded.stale_after}
        )
    )
    change = Change(
        kind=ObjectKind.SOURCE,
        object_id=name,
        action=Action.UPDATED,
        tenant_id=tenant_id,
        body=after,
        changes=changes_between(before, after),
    )
    await versions.record(connection, caller.author, change)
    return await get(connection, name, caller.tenants)


def _visible(tenants: Tenants) -> list[Any]:
    if tenants is None:
        return []
    tenant = func.substr(_names.c.name, func.strpos(_names.c.name, FORCED) + 1)
    return [func.strpos(_names.c.name, FORCED) > 0, tenant.in_(tenants)]


async def _sources(connection: AsyncConnection, statement: Any) -> list[Source]:
    rows = (await connection.execute(statement)).all()
    found = await _senders(connection, [row.name for row in rows])
    return [
        Source(
            name=row.name,
            stale_after=row.stale_after,
            last_seen_at=row.seen,
            sender_count=row.sender_count or 0,
            senders=tuple(found.get(row.name, ())),
        )
        for row in rows
    ]


async def _senders(connection: AsyncConnection, names: list[str]) -> dict[str, list[SenderItem]]:
    """The last senders of sources, by name."""
    place = func.row_number().over(
        partition_by=senders.c.source, order_by=(senders.c.last_seen_at.desc(), senders.c.hash)
    )
    ranked = select(senders, place.label("place")).where(senders.c.source.in_(names)).subquery()
    statement = select(ranked).where(ranked.c.place <= MAX_SENDERS).order_by(ranked.c.source, ranked.c.place)
    found: dict[str, list[SenderItem]] = {}
    for row in await connection.execute(statement):
        shown = {name: getattr(row, name) for name in SenderItem.__struct_fields__}
        found.setdefault(row.source, []).append(SenderItem(**shown))
    return found
