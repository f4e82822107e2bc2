"""What would a delivery tell a channel, if it were told now? Nothing is claimed for the answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from relay.deliver.message_edits import PreparedMessage, destination_hash_of
from relay.deliver.messages import Contents, is_plain
from relay.deliver.receipts import Receipts
from relay.domain.channel_types import Channel
from relay.domain.errors import NotFound
from relay.domain.history import State
from relay.domain.notifications import Message, Notification
from relay.store.outbox import contents
from relay.store.outbox.contents import Seen
from relay.store.postgres.database import Database, HeldConnection


async def preview_delivery(
    database: Database, delivery_id: int, channel: Channel, history_url: str
) -> tuple[Message, list[str]]:
    """The message of a delivery to a channel, be it the delivery's own or another one; and what to know of it.

    Raises:
        NotFound: there is no such delivery, or its webhook can't be read any more.
    """
    async with _reading(database) as held:
        async with held.use() as driver:
            seen = await contents.seen(driver, delivery_id)
        if seen is None:
            raise NotFound(f"there is no delivery {delivery_id}")
        telling = await _telling(held, seen, channel, history_url)
    if telling is None:
        raise NotFound(f"the webhook that the delivery {delivery_id} comes from can't be read any more")
    return telling.message, _notes(seen, telling.message, channel)


@asynccontextmanager
async def _reading(database: Database) -> AsyncIterator[HeldConnection]:
    held = HeldConnection(database)
    try:
        yield held
    finally:
        await held.drop()


async def _telling(held: HeldConnection, seen: Seen, channel: Channel, history_url: str) -> PreparedMessage | None:
    receipts = Receipts(held)
    claimed = msgspec.structs.replace(seen.claimed, channel_id=channel.id)
    reading = asyncio.create_task(receipts.run())
    try:
        found = await Contents(held, held, receipts, history_url).prepare_messages(
            [claimed], destination_hash_of(channel), seen.moment
        )
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return found.get(claimed.id)


def _notes(seen: Seen, message: Message, channel: Channel) -> list[str]:
    """What keeps this from being just what was sent, or will be."""
    claimed, notes = seen.claimed, []
    if seen.state is State.MERGED:
        notes.append(
            f"the delivery {claimed.id} was merged into {seen.merged_into}, which tells it; this is it by itself"
        )
    if isinstance(message, Notification) and any(message.message_refs):
        notes.append("the channel's message of this group is edited: these requests set it right as of now")
    elif seen.state in (State.DELIVERED, State.DEAD) and not is_plain(claimed, seen.moment):
        notes.append("each alert is told as it is by now, and may have been told otherwise when this was sent")
    if claimed.progress is not None and seen.state in (State.PENDING, State.SENDING):
        notes.append("the platform took some of these before, which are not sent again if all are still the same")
    if claimed.channel_id != channel.id:
        notes.append(
            f"the delivery {claimed.id} is to {claimed.channel_id}; the filters of {channel.id} are not asked"
        )
    return notes
