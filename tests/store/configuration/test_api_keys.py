"""Storage of API keys."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from relay.domain.api_keys import ApiKey, NewApiKey
from relay.domain.errors import Conflict, NotFound
from relay.domain.principals import Role
from relay.store.configuration import api_keys
from relay.store.configuration.api_keys import FoundKey, hash_of
from relay.store.postgres.database import Database
from relay.store.postgres.statements import DriverConnection
from relay.store.tables import api_keys as table
from tests.fixtures.callers import AUTHOR


async def create(database: Database, name: str = "deploy", **fields: Any) -> tuple[ApiKey, str]:
    async with database.begin() as connection:
        return await api_keys.create(connection, NewApiKey(name=name, role=Role.VIEWER, **fields), AUTHOR)


async def revoke(database: Database, key: ApiKey) -> None:
    async with database.begin() as connection:
        await api_keys.revoke(connection, key.id, None, AUTHOR)


async def find(driver: DriverConnection, secret: str) -> FoundKey | None:
    return (await api_keys.find(driver, [hash_of(secret)])).get(hash_of(secret))


async def test_the_secret_is_not_stored(database: Database) -> None:
    _, secret = await create(database)
    async with database.begin() as connection:
        row = (await connection.execute(select(table))).one()

    assert secret.startswith("relay_")
    assert secret not in str(row)
    assert secret.encode() not in row.hash
    assert len(row.hash) == 32


async def test_a_key_is_found_by_its_secret_and_revoked_once(database: Database, driver: DriverConnection) -> None:
    key, secret = await create(database, tenants=("acme",))
    found = await find(driver, secret)
    assert found is not None
    assert (found.id, found.role, found.tenants, found.revoked) == (key.id, Role.VIEWER, ("acme",), False)
    assert await find(driver, f"{secret} ") is None

    await revoke(database, key)

    found = await find(driver, secret)
    assert found is not None
    assert found.revoked
    with pytest.raises(NotFound, match=key.id):
        await revoke(database, key)


async def test_a_name_is_free_again_after_the_key_is_revoked(database: Database) -> None:
    key, _ = await create(database)
    with pytest.raises(Conflict, match="'deploy' is taken"):
        await create(database)
    await revoke(database, key)

    await create(database)


async def test_an_old_secret_is_valid_until_the_overlap_ends(database: Database, driver: DriverConnection) -> None:
    key, first = await create(database)
    async with database.begin() as connection:
        _, second = await api_keys.rotate(connection, key.id, None, timedelta(hours=1), AUTHOR)
    assert await find(driver, first) is not None
    assert await find(driver, second) is not None

    async with database.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET previous_until = now() - interval '1 second'"))

    assert await find(driver, first) is None
    assert await find(driver, second) is not None


async def test_only_the_last_old_secret_is_valid(database: Database, driver: DriverConnection) -> None:
    key, first = await create(database)
    for _ in range(2):
        async with database.begin() as connection:
            await api_keys.rotate(connection, key.id, None, timedelta(hours=1), AUTHOR)

    assert await find(driver, first) is None


async def test_an_expired_key_is_found_as_expired(database: Database, driver: DriverConnection) -> None:
    _, secret = await create(database, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    found = await find(driver, secret)

    assert found is not None
    assert found.expired


async def test_the_last_use_is_written_once_a_minute(database: Database, driver: DriverConnection) -> None:
    key, secret = await create(database)
    assert [found.unused for found in (await api_keys.find(driver, [hash_of(secret)])).values()] == [True]
    await api_keys.write_use(driver, [key.id])
    async with database.begin() as connection:
        first = (await api_keys.get(connection, key.id, None)).last_used_at
    assert first is not None

    await api_keys.write_use(driver, [key.id])

    async with database.begin() as connection:
        assert (await api_keys.get(connection, key.id, None)).last_used_at == first
    assert [found.unused for found in (await api_keys.find(driver, [hash_of(secret)])).values()] == [False]


async def test_keys_are_visible_to_who_has_all_their_tenants(database: Database) -> None:
    for name, tenants in (("all", None), ("one", ("acme",)), ("both", ("acme", "globex"))):
        await create(database, name, tenants=tenants)

    async with database.begin() as connection:
        seen = {
            scope: {key.name for key in await api_keys.page(connection, tenants, None, 10)}
            for scope, tenants in (
                ("global", None),
                ("acme", frozenset({"acme"})),
                ("two", frozenset({"acme", "globex"})),
            )
        }

    assert seen == {"global": {"all", "one", "both"}, "acme": {"one"}, "two": {"one", "both"}}
