"""Fallback channels: validation of the chain, and lookup of dependents."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.channel_types import Channel
from relay.domain.errors import InvalidInput
from relay.domain.principals import Tenants, sees
from relay.store.tables import channels

# The chain of fallbacks that starts at a channel, in order. It ends at the channel that is being written, because
# its own fallback is about to change.
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
"""Maximum number of channels in an error message."""
MAX_CHAIN: Final = 1000
"""An upper bound for recursion, in case a chain has a cycle despite the validation."""

_fallback = channels.c.config["fallback_channel_id"].astext
_tenant = channels.c.config["tenant_id"].astext


async def dependents(connection: AsyncConnection, channel_id: str) -> Sequence[str]:
    """Return the ids of the channels that have this one as their fallback."""
    statement = select(channels.c.id).where(_fallback == channel_id).order_by(channels.c.id)
    return (await connection.execute(statement)).scalars().all()


async def check_fallback(connection: AsyncConnection, channel: Channel, tenants: Tenants) -> None:
    """Reject a fallback that does not exist for the tenants, creates a cycle, or has another tenant.

    Raises:
        InvalidInput: the fallback is invalid; states why.
    """
    first, field = channel.fallback_channel_id, "fallback_channel_id"
    if first is None:
        return
    parameters = {"first": first, "written": channel.id, "longest": MAX_CHAIN}
    chain = (await connection.execute(CHAIN, parameters)).all()
    if not chain or not sees(tenants, chain[0].tenant_id):
        raise InvalidInput(field, f"there is no channel {first!r}")
    path = [row.id for row in chain]
    if channel.id in path:
        raise InvalidInput(field, f"creates a cycle: {' → '.join([channel.id, *path])}")
    if chain[0].tenant_id not in (None, channel.tenant_id):
        raise InvalidInput(
            field,
            f"the channel {first!r} has the tenant {chain[0].tenant_id!r}, this one has {_tenant_of(channel)}",
        )


async def check_dependents(connection: AsyncConnection, channel: Channel) -> None:
    """Reject a tenant that differs from those of the channels that have this one as their fallback.

    Raises:
        InvalidInput: names those channels.
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
            "tenant_id",
            f"this channel is the fallback of {format_ids(others)}, which gets alerts of other tenants",
        )


def _tenant_of(channel: Channel) -> str:
    return "all tenants" if channel.tenant_id is None else f"the tenant {channel.tenant_id!r}"


def format_ids(channel_ids: Sequence[str]) -> str:
    """Format channel ids for an error message."""
    shown = ", ".join(map(repr, channel_ids[:MAX_LISTED]))
    more = len(channel_ids) - MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown
