"""The last step of a key rotation."""

import pytest

from relay.domain.channel_types import WebhookChannel
from relay.domain.errors import SealBroken
from relay.store.configuration import channels
from relay.store.configuration.reseal import reseal
from relay.store.configuration.seal import Seal, new_key
from relay.store.postgres.database import Database
from tests.fixtures.callers import ANYONE

OLD, NEW = new_key(), new_key()


def channel(channel_id: str) -> WebhookChannel:
    return WebhookChannel(id=channel_id, name=channel_id, webhook_url=f"https://example.com/{channel_id}")


async def store(database: Database, channel_id: str, key: str) -> None:
    async with database.begin() as connection:
        await channels.add(connection, channel(channel_id), Seal(key), ANYONE)


async def test_the_new_key_decrypts_every_channel_afterwards(database: Database) -> None:
    await store(database, "before", OLD)
    await store(database, "since", NEW)

    async with database.begin() as connection:
        assert await reseal(connection, Seal(f"{NEW},{OLD}")) == 1

    async with database.begin() as connection:
        for channel_id in ("before", "since"):
            assert await channels.get(connection, channel_id, Seal(NEW), None) == channel(channel_id)
        assert await reseal(connection, Seal(f"{NEW},{OLD}")) == 0


async def test_a_missing_key_is_an_error_and_changes_nothing(database: Database) -> None:
    await store(database, "a", OLD)
    await store(database, "b", new_key())

    with pytest.raises(
        SealBroken, match="the secrets of b are sealed with a key that RELAY_SECRET_KEY does not contain"
    ):
        async with database.begin() as connection:
            await reseal(connection, Seal(f"{NEW},{OLD}"))

    async with database.begin() as connection:
        assert await channels.get(connection, "a", Seal(OLD), None) == channel("a")
