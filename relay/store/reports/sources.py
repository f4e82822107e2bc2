"""Sources: their senders, and the time after which their alerts are stale."""

from typing import Any, Final

from sqlalchemy import func, select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import NotFound
from relay.domain.sources import SenderItem, Source
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


async def page(connection: AsyncConnection, after: str | None, limit: int) -> list[Source]:
    """Sources in the order of their names, starting after `after`."""
    statement = _shown.limit(limit)
    if after is not None:
        statement = statement.where(_names.c.name.collate("C") > after)
    return await _sources(connection, statement)


async def get(connection: AsyncConnection, name: str) -> Source:
    """One source.

    Raises:
        NotFound: no webhook has named it, and it has no setting.
    """
    found = await _sources(connection, _shown.where(_names.c.name == name))
    if not found:
        raise NotFound(f"there is no source {name!r}")
    return found[0]


async def set_stale_after(connection: AsyncConnection, name: str, stale_after: float | None) -> Source:
    """Set the seconds after which alerts of a source are stale; None for the setting. Return the source."""
    statement = insert(sources).values(name=name, stale_after=stale_after)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[sources.c.name], set_={"stale_after": statement.excluded.stale_after}
        )
    )
    return await get(connection, name)


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
