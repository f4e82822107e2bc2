"""Quotas of tenants, and who makes a change in which caller."""

import msgspec
from sqlalchemy import Table, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import Conflict
from relay.domain.principals import Author, Tenants
from relay.domain.silences import MAX_SILENCES
from relay.store.tables import silences


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a change, the tenants whose objects are visible to it, and how many objects a tenant may have."""

    author: Author
    tenants: Tenants = None
    max_channels: int
    max_templates: int
    max_silences: int


async def require_room(connection: AsyncConnection, table: Table, tenant_id: str | None, at_most: int) -> None:
    """Reject another object of a tenant that has the most it may have.

    The caller serializes additions with the lock on the configuration.

    Raises:
        Conflict: names the quota.
    """
    if tenant_id is None:
        return
    statement = select(func.count()).select_from(table).where(table.c.tenant_id == tenant_id)
    if (await connection.execute(statement)).scalar_one() >= at_most:
        setting = "RELAY_TENANT_MAX_CHANNELS" if table.name == "channels" else "RELAY_TENANT_MAX_TEMPLATES"
        raise Conflict(
            f"the tenant {tenant_id!r} has its quota of {at_most} {table.name.replace('_', ' ')} ({setting})"
        )


async def require_silence_room(connection: AsyncConnection, tenant_id: str | None, at_most: int) -> None:
    """Reject another silence if so many have not ended; `at_most` is for those of a tenant.

    The caller serializes additions with the lock on the configuration.

    Raises:
        Conflict: names the limit.
    """
    has_not_ended = or_(silences.c.ends_at.is_(None), silences.c.ends_at > func.now())
    statement = select(
        func.count().label("all"), func.count().filter(silences.c.tenant_id == tenant_id).label("own")
    ).where(has_not_ended)
    found = (await connection.execute(statement)).one()
    if found.all >= MAX_SILENCES:
        raise Conflict(f"there are {found.all} silences that have not ended, the most there may be; expire others")
    if tenant_id is not None and found.own >= at_most:
        raise Conflict(
            f"the tenant {tenant_id!r} has its quota of {at_most} silences that have not ended "
            "(RELAY_TENANT_MAX_SILENCES)"
        )
