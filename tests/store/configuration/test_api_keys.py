"""Storage of API keys."""

import pytest
from sqlalchemy import select

from relay.domain.errors import NotFound
from relay.store.configuration import api_keys
from relay.store.postgres.database import Database
from relay.store.tables import api_keys as table


async def test_the_secret_is_not_stored(database: Database) -> None:
    async with database.begin() as connection:
        _, secret = await api_keys.create(connection, "deploy")
        row = (await connection.execute(select(table))).one()

    assert secret.startswith("relay_")
    assert secret not in str(row)
    assert secret.encode() not in row.hash
    assert len(row.hash) == 32


async def test_a_key_is_found_by_its_secret_until_it_is_revoked(database: Database) -> None:
    async with database.begin() as connection:
        key, secret = await api_keys.create(connection, "deploy")
        assert await api_keys.find(connection, secret) == key
        assert await api_keys.find(connection, f"{secret} ") is None

        await api_keys.revoke(connection, key.id)

        assert await api_keys.find(connection, secret) is None
        with pytest.raises(NotFound, match=key.id):
            await api_keys.revoke(connection, key.id)


async def test_all_keys_are_listed_including_revoked_ones(database: Database) -> None:
    async with database.begin() as connection:
        await api_keys.create(connection, "first")
    async with database.begin() as connection:
        second, _ = await api_keys.create(connection, "second")
        await api_keys.revoke(connection, second.id)

        listed = await api_keys.list_keys(connection)

    assert [(delivery.name, delivery.revoked_at is not None) for delivery in listed] == [
        ("first", False),
        ("second", True),
    ]
