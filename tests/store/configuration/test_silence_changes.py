"""The silences that have not ended, and those that changed since a version of the configuration."""

from datetime import UTC, datetime, timedelta

import msgspec

from relay.domain.matchers import Matcher, Op
from relay.domain.silences import Silence
from relay.store.configuration.filter_changes import load_changes as load_filter_changes
from relay.store.configuration.silences import load, load_changes
from relay.store.postgres.statements import DriverConnection

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def silence(silence_id: str, ends_at: datetime | None = NOW + HOUR) -> Silence:
    return Silence(
        id=silence_id,
        matchers=(Matcher("team", Op.EQUAL, "db"),),
        starts_at=NOW - HOUR,
        ends_at=ends_at,
        created_by="me",
        comment="x",
    )


async def write(driver: DriverConnection, *silences: Silence, recorded: bool = True) -> int:
    """Insert silences in one statement, and return the version that it made."""
    async with driver.transaction():
        rows = [(one.id, msgspec.json.encode(one).decode(), one.starts_at, one.ends_at) for one in silences]
        await driver.execute(
            """
            INSERT INTO silences (id, body, starts_at, ends_at)
            SELECT id, body::jsonb - 'id', starts_at, ends_at
            FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
              AS s (id, body, starts_at, ends_at)
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )
        return await record(driver, *(one.id for one in silences)) if recorded else await version_of(driver)


async def change(driver: DriverConnection, changed: Silence) -> int:
    async with driver.transaction():
        body = msgspec.json.encode(changed).decode()
        await driver.execute(
            "UPDATE silences SET body = $2::text::jsonb - 'id', starts_at = $3, ends_at = $4 WHERE id = $1",
            *(changed.id, body, changed.starts_at, changed.ends_at),
        )
        return await record(driver, changed.id)


async def record(driver: DriverConnection, *ids: str) -> int:
    await driver.execute(
        """
        INSERT INTO versions
          (kind, object_id, number, action, author, author_name, method, changes, config_version)
        SELECT 'silence', s.id, (SELECT count(*) FROM versions v WHERE v.object_id = s.id) + 1, 'updated',
          'x', 'x', 'x', '{}', (SELECT version FROM config_version)
        FROM unnest($1::text[]) AS s (id)
        """,
        list(ids),
    )
    return await version_of(driver)


async def version_of(driver: DriverConnection) -> int:
    return int(await driver.fetchval("SELECT version FROM config_version"))


async def test_all_that_have_not_ended_are_loaded_with_the_version(driver: DriverConnection) -> None:
    assert await load(driver) == (await version_of(driver), {})
    current, endless = silence("current"), silence("endless", None)
    version = await write(driver, current, endless, silence("ended", NOW - timedelta(minutes=1)))
    assert await load(driver) == (version, {"current": current, "endless": endless})


async def test_only_changed_silences_are_loaded(driver: DriverConnection) -> None:
    await write(driver, silence("a"), silence("b"))
    since = await version_of(driver)
    assert await load_changes(driver, since) == (since, {})
    changed = silence("b", NOW + 2 * HOUR)
    await change(driver, changed)
    await write(driver, silence("c"))
    assert await load_changes(driver, since) == (since + 2, {"b": changed, "c": silence("c")})
    assert await load_changes(driver, since + 1) == (since + 2, {"c": silence("c")})


async def test_an_ended_or_deleted_silence_is_none(driver: DriverConnection) -> None:
    await write(driver, silence("a"), silence("b"))
    since = await version_of(driver)
    await change(driver, silence("a", NOW - timedelta(seconds=1)))
    await driver.execute("DELETE FROM silences WHERE id = 'b'")
    await record(driver, "b")
    assert await load_changes(driver, since) == (since + 2, {"a": None, "b": None})


async def test_a_change_that_is_not_recorded_requires_all(driver: DriverConnection) -> None:
    since = await version_of(driver)
    await write(driver, silence("a"), recorded=False)
    await write(driver, silence("b"))
    assert await load_changes(driver, since) is None


async def test_a_silence_is_no_changed_filter(driver: DriverConnection) -> None:
    since = await version_of(driver)
    await write(driver, silence("a"))
    assert await load_filter_changes(driver, since) == (since + 1, {})


async def test_what_upkeep_remembers_changes_no_version(driver: DriverConnection) -> None:
    version = await write(driver, silence("a"))
    await driver.execute("UPDATE silences SET matched_at = now(), reminded_for = now()")
    assert await version_of(driver) == version


async def test_the_body_is_what_was_written(driver: DriverConnection) -> None:
    full = msgspec.structs.replace(
        silence("a", None), tenant_id="acme", channels=("x", "y"), rrule="FREQ=DAILY", duration="1h"
    )
    await write(driver, full)
    assert (await load(driver))[1]["a"] == full
