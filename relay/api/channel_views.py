"""Channels as responses show them, and the check of changed ones."""

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.channel_bodies import ChannelView
from relay.domain.channel_types import Channel, own_fields
from relay.domain.channels import mask_secrets
from relay.domain.errors import NotFound
from relay.domain.versions import ObjectKind
from relay.notify import registry
from relay.notify.transport.egress_policy import EgressPolicy
from relay.store.configuration import versions
from relay.store.reports import channel_health


async def check(channel: Channel, egress_policy: EgressPolicy) -> None:
    """Reject settings that its platform would not accept, or a destination that is not allowed."""
    # Compiling a long template or importing Apprise would block the event loop.
    await asyncio.to_thread(registry.check_channel, channel, egress_policy)


def may_repair(before: Channel, after: Channel) -> bool:
    """Whether a change enabled the channel, or changed where, how or how fast it sends."""
    if after.enabled and not before.enabled:
        return True
    sending = {"rate_limit", *after.SECRET, *own_fields(type(after))}
    return any(getattr(before, name) != getattr(after, name) for name in sending)


async def view_of(connection: AsyncConnection, channel: Channel) -> ChannelView:
    """A channel as responses show it.

    Raises:
        NotFound: it was deleted since it was read.
    """
    found = await views_of(connection, [channel])
    if not found:
        raise NotFound(f"there is no channel {channel.id!r}")
    return found[0]


async def views_of(connection: AsyncConnection, found: Sequence[Channel]) -> list[ChannelView]:
    """Channels as responses show them, without those deleted since they were read."""
    ids = [channel.id for channel in found]
    health = await channel_health.of_channels(connection, ids, None)
    numbers = await versions.current(connection, ObjectKind.CHANNEL, ids)
    return [
        ChannelView(
            mask_secrets(channel),
            disabled_reason=health[channel.id].disabled_reason,
            version=numbers.get(channel.id, 0),
            health=health[channel.id],
        )
        for channel in found
        if channel.id in health
    ]
