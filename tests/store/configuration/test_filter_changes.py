"""Only the channels that changed are loaded, if all that changed is recorded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.domain.channel_types import Filters, WebhookChannel
from relay.domain.templates.message_templates import MessageTemplate, validate_message_template
from relay.store.configuration import channels, filter_changes, message_templates
from relay.store.configuration.filter_changes import load_changes
from relay.store.outbox import lane_states
from relay.store.postgres.database import Database, HeldConnection
from relay.store.postgres.statements import DriverConnection
from tests.fixtures.callers import ANYONE
from tests.store.conftest import make
from tests.store.makers import SEAL

CRITICAL = Filters(severities=("critical",))
ROWS_READ = """
    SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_user_tables
    WHERE relname IN ('channels', 'versions') ORDER BY relname
"""
MANY_VERSIONS = """
    INSERT INTO versions (kind, object_id, number, action, author, author_name, method, changes, config_version)
    SELECT 'channel', 'ops', n + 1, 'updated', 'a', 'a', 'a', '{}', -n FROM generate_series(1, 3000) AS n
"""
MANY_CHANNELS = """
    INSERT INTO channels (id, channel_type, config, sealed)
    SELECT 'other-' || n, 'webhook', '{"name": "Other", "enabled": true}', '' FROM generate_series(1, 3000) AS n
"""


async def version_of(driver: DriverConnection) -> int:
    return (await channels.load_filters(driver))[0]


async def patch(database: Database, channel_id: str, **fields: Any) -> None:
    async with database.begin() as connection:
        before = await channels.get(connection, channel_id, SEAL, None, lock=True)
        assert isinstance(before, WebhookChannel)
        values = {name: getattr(before, name) for name in before.__struct_fields__}
        await channels.change(connection, before, WebhookChannel(**values | fields), SEAL, ANYONE)


async def test_changed_channels_are_loaded_and_no_others(
    database: Database, driver: DriverConnection, ops: str, backup: str
) -> None:
    since = await version_of(driver)
    await patch(database, ops, severities=("critical",))
    await make(database, "new")
    await patch(database, ops, name="Ops 2")

    assert await load_changes(driver, since) == (since + 3, {ops: CRITICAL, "new": Filters()})
    assert await load_changes(driver, since + 2) == (since + 3, {ops: CRITICAL})
    assert await load_changes(driver, since + 3) == (since + 3, {})


async def test_a_deleted_channel_has_no_filters(
    database: Database, driver: DriverConnection, ops: str, backup: str
) -> None:
    since = await version_of(driver)
    async with database.begin() as connection:
        await channels.remove(connection, ops, ANYONE)

    assert await load_changes(driver, since) == (since + 1, {ops: None})

    await make(database, ops)
    assert await load_changes(driver, since) == (since + 2, {ops: Filters()})


async def test_a_changed_message_template_changes_no_filters(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    template = validate_message_template(MessageTemplate(name="Ours", title="one"))
    async with database.begin() as connection:
        await message_templates.add(connection, template, ANYONE)
    await patch(database, ops, template=template.id)
    since = await version_of(driver)
    async with database.begin() as connection:
        before = await message_templates.get(connection, template.id, None, lock=True)
        after = MessageTemplate(id=before.id, name="Ours", title="two")
        await message_templates.change(connection, before, after, ANYONE)

    assert await load_changes(driver, since) == (since + 1, {})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE channels SET updated_at = now()",
        """UPDATE channels SET config = config || '{"severities": ["critical"]}' WHERE id = 'ops'""",
        "DELETE FROM channels WHERE id = 'backup'",
    ],
)
async def test_a_change_that_is_not_recorded_requires_all_filters(
    database: Database, driver: DriverConnection, ops: str, backup: str, statement: str
) -> None:
    since = await version_of(driver)
    await patch(database, ops, name="Before")
    await driver.execute(statement)
    assert await load_changes(driver, since) is None
    await patch(database, ops, name="After")

    assert await load_changes(driver, since) is None
    assert await load_changes(driver, since + 2) is not None


async def test_a_channel_that_the_relay_disabled_requires_all_filters_and_is_routed(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    since, updated_at = await version_of(driver), await driver.fetchval("SELECT updated_at FROM channels")
    await lane_states.disable(driver, ops, updated_at, "the webhook was deleted")

    assert await load_changes(driver, since) is None
    await patch(database, ops, severities=("critical",), enabled=True)
    assert await load_changes(driver, since + 1) == (since + 2, {ops: CRITICAL})


async def test_a_version_of_the_future_or_too_far_in_the_past_requires_all_filters(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    since = await version_of(driver)
    assert await load_changes(driver, since + 1) is None
    await driver.execute(
        "INSERT INTO versions (kind, object_id, number, action, author, author_name, method, changes, "
        "config_version) SELECT 'channel', 'ops', 1 + n, 'updated', 'a', 'a', 'a', '{}', $1 + n "
        "FROM generate_series(1, $2::bigint) AS n",
        since,
        filter_changes.MAX_CHANGES + 1,
    )
    await driver.execute("UPDATE config_version SET version = $1", since + filter_changes.MAX_CHANGES)
    assert (await load_changes(driver, since)) == (since + filter_changes.MAX_CHANGES, {ops: Filters()})
    await driver.execute("UPDATE config_version SET version = version + 1")
    assert await load_changes(driver, since) is None


@pytest.fixture
async def held(database: Database) -> AsyncIterator[HeldConnection]:
    """A connection as that of a committer."""
    connection = HeldConnection(database, enable_seqscan="off")
    yield connection
    await connection.drop()


@pytest.mark.parametrize("analyze", ["SELECT", "ANALYZE channels, versions"])
async def test_no_other_channel_or_version_is_read(
    database: Database, held: HeldConnection, ops: str, analyze: str
) -> None:
    async with held.use() as driver:
        for statement in (MANY_VERSIONS, MANY_CHANNELS, analyze):
            await driver.execute(statement)
        since = await version_of(driver)
    await patch(database, ops, severities=("critical",))

    async with held.use() as driver:
        before = await rows_read(driver)
        assert await load_changes(driver, since) == (since + 1, {ops: CRITICAL})
        after = await rows_read(driver)

    assert {name: after[name] - before[name] for name in before} == {"channels": 1, "versions": 1}


async def rows_read(driver: DriverConnection) -> dict[str, int]:
    await driver.fetchval("SELECT pg_stat_force_next_flush()")
    return {row["relname"]: row["rows"] for row in await driver.fetch(ROWS_READ)}


async def test_changes_wait_for_the_lock_of_a_commit(
    database: Database, driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    since = await version_of(driver)
    async with driver.transaction():
        await filter_changes.lock_version(driver)
        async with other.transaction():
            await filter_changes.lock_version(other)  # commits do not wait for each other
        changing = asyncio.create_task(patch(database, ops, severities=("critical",)))
        await asyncio.sleep(0.2)
        assert (await load_changes(driver, since), changing.done()) == ((since, {}), False)
    await changing

    assert await load_changes(driver, since) == (since + 1, {ops: CRITICAL})
