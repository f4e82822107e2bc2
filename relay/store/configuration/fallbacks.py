"""Which channel may be the fallback of which?"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.channel_types import Channel
from relay.domain.errors import InvalidInput
from relay.store.tables import channels

# The chain of fallbacks from a channel on, in its order. It ends at the channel that is being written, whose own
# fallback is about to change.
CHAIN: Final = text(
    """
    WITH RECURSIVE chain (id, next, tenant_id, depth) AS (
      SELECT id, config ->> 'fallback_channel_id', config ->> 'tenant_id', 1 FROM channels WHERE id = :first
      UNION ALL
      SELECT c.id, c.config ->> 'fallback_channel_id', c.config ->> 'tenant_id', chain.depth + 1
      FROM chain JOIN channels c ON c.id = chain.next WHERE chain.id <> :written AND chain.depth < :longest
    )
    SELECT id, tenant_id FROM chain ORDER BY depth
    """
)
MAX_LISTED: Final = 10
"""Channels that an error names."""
MAX_CHAIN: Final = 1000
"""The net under walks along a chain, which the checks keep free of circles."""

_fallback = channels.c.config["fallback_channel_id"].astext
_tenant = channels.c.config["tenant_id"].astext


async def dependents(connection: AsyncConnection, channel_id: str) -> Sequence[str]:
    """The channels that name this one as their fallback, by id."""
    named_by = select(channels.c.id).where(_fallback == channel_id).order_by(channels.c.id)
    return (await connection.execute(named_by)).scalars().all()


async def check_fallback(connection: AsyncConnection, channel: Channel) -> None:
    """Refuse a fallback that does not exist, that leads back here, or that serves another tenant.

    Raises:
        InvalidInput: says which.
    """
    first, field = channel.fallback_channel_id, "fallback_channel_id"
    if first is None:
        return
    wanted = {"first": first, "written": channel.id, "longest": MAX_CHAIN}
    chain = (await connection.execute(CHAIN, wanted)).all()
    if not chain:
        raise InvalidInput(field, f"there is no channel {first!r}")
    path = [row.id for row in chain]
    if channel.id in path:
        raise InvalidInput(field, f"makes a circle: {' → '.join([channel.id, *path])}")
    if chain[0].tenant_id not in (None, channel.tenant_id):
        raise InvalidInput(
            field,
            f"the channel {first!r} serves the tenant {chain[0].tenant_id!r}, this one serves {_whom(channel)}",
        )


async def check_dependents(connection: AsyncConnection, channel: Channel) -> None:
    """Refuse a tenant that others, for which this channel is the fallback, don't serve.

    Raises:
        InvalidInput: names them.
    """
    if channel.tenant_id is None:
        return
    statement = (
        select(channels.c.id)
        .where(_fallback == channel.id, func.coalesce(_tenant, "") != channel.tenant_id)
        .order_by(channels.c.id)
    )
    if others := (await connection.execute(statement)).scalars().all():
        raise InvalidInput(
            "tenant_id", f"this channel is the fallback of {format_ids(others)}, which may tell of other tenants"
        )


def _whom(channel: Channel) -> str:
    return "all" if channel.tenant_id is None else repr(channel.tenant_id)


def format_ids(channel_ids: Sequence[str]) -> str:
    """Channels as an error names them."""
    shown = ", ".join(map(repr, channel_ids[:MAX_LISTED]))
    more = len(channel_ids) - MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown
