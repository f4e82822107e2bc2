"""Preview of a delivery: the message that an attempt would send now, read without a claim."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from relay.deliver.message_edits import PreparedMessage, destination_hash_of
from relay.deliver.messages import MessageReader, is_verbatim
from relay.deliver.receipt_cache import ReceiptCache
from relay.domain.channel_types import Channel
from relay.domain.errors import NotFound
from relay.domain.history import State
from relay.domain.notifications import Message, Notification
from relay.store.outbox import contents
from relay.store.outbox.contents import DeliverySnapshot
from relay.store.postgres.database import ApiConnection, Database, HeldConnection


async def preview_delivery(
    database: Database, delivery_id: int, channel: Channel, history_url: str, tenant_label: str
) -> tuple[Message, list[str]]:
    """The message of a delivery to a channel, its own or another one, and notes on the preview.

    Raises:
        NotFound: there is no such delivery, or its webhook is unreadable.
    """
    async with _held_connection(database) as connection:
        async with connection.use() as driver:
            seen = await contents.snapshot(driver, delivery_id)
        if seen is None:
            raise NotFound(f"there is no delivery {delivery_id}")
        prepared = await _prepare(connection, seen, channel, history_url, tenant_label)
    if prepared is None:
        raise NotFound(f"the webhook of the delivery {delivery_id} cannot be read")
    return prepared.message, _notes(seen, prepared.message, channel)


@asynccontextmanager
async def _held_connection(database: Database) -> AsyncIterator[HeldConnection]:
    connection = ApiConnection(database)
    try:
        yield connection
    finally:
        await connection.drop()


async def _prepare(
    connection: HeldConnection, seen: DeliverySnapshot, channel: Channel, history_url: str, tenant_label: str
) -> PreparedMessage | None:
    receipts = ReceiptCache(connection, tenant_label)
    reader = MessageReader(connection, connection, receipts, history_url)
    claimed = msgspec.structs.replace(seen.claimed, channel_id=channel.id)
    running = asyncio.create_task(receipts.run())
    try:
        prepared = await reader.prepare_messages([claimed], destination_hash_of(channel), seen.moment)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return prepared.get(claimed.id)


def _notes(seen: DeliverySnapshot, message: Message, channel: Channel) -> list[str]:
    """How the preview may differ from what was or will be sent."""
    claimed, notes = seen.claimed, []
    if seen.state is State.MERGED:
        notes.append(
            f"delivery {claimed.id} was merged into delivery {seen.merged_into}; "
            "this preview shows it without the others"
        )
    if isinstance(message, Notification) and any(message.message_refs):
        notes.append(
            "the channel's message of this group is edited; these requests update it to the current state"
        )
    elif seen.state in (State.DELIVERED, State.DEAD) and not is_verbatim(claimed, seen.moment):
        notes.append("alerts are shown in their current state, which may differ from when this was sent")
    if claimed.progress is not None and seen.state in (State.PENDING, State.SENDING):
        notes.append("the platform already accepted some of these requests; they are not sent again if unchanged")
    if claimed.channel_id != channel.id:
        notes.append(
            f"delivery {claimed.id} belongs to channel {claimed.channel_id}; "
            f"the filters of {channel.id} are not applied"
        )
    return notes
