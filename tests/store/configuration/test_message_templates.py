"""Storage of message templates and their versions, and their effect on channels and lanes."""

from typing import Any

import pytest

from relay.domain.channels import parse_channel
from relay.domain.errors import Conflict, InvalidInput, NotFound
from relay.domain.templates.message_templates import MessageTemplate, validate_message_template
from relay.store.configuration import channels, message_templates
from relay.store.configuration.seal import Seal, new_key
from relay.store.outbox import lanes
from relay.store.postgres.database import Database
from relay.store.postgres.statements import DriverConnection
from tests.fixtures.callers import ANYONE

SEAL = Seal(new_key())


def template(**fields: Any) -> MessageTemplate:
    return validate_message_template(MessageTemplate(**{"name": "Ours", "title": "one"} | fields))


def channel(channel_id: str = "ops", **fields: Any) -> Any:
    body = {"channel_type": "webhook", "id": channel_id, "name": "Ops", "webhook_url": "https://x.example.com"}
    return parse_channel(body | fields)


async def test_every_version_is_kept_until_the_template_is_deleted(database: Database) -> None:
    async with database.begin() as connection:
        first = await message_templates.add(connection, template(), ANYONE)
        assert first.version == 1
    for number in (2, 3):
        async with database.begin() as connection:
            before = await message_templates.get(connection, "ours", None, lock=True)
            after = await message_templates.change(
                connection, before, template(title=None, body=f"no. {number}"), ANYONE
            )
        assert (before.version, after.version) == (number - 1, number)
        assert before.updated_at is not None
        assert after.updated_at is not None
        assert after.updated_at > before.updated_at

    async with database.begin() as connection:
        kept = await message_templates.list_versions(connection, "ours", None, None, 10)
        assert [(one.version, one.title, one.body) for one in kept] == [
            (3, None, "no. 3"),
            (2, None, "no. 2"),
            (1, "one", None),
        ]
        assert kept[-1].created_at == first.updated_at
        assert await message_templates.list_versions(connection, "ours", None, 3, 1) == kept[1:2]
        assert await message_templates.version(connection, "ours", None, 2) == kept[1]
        with pytest.raises(NotFound, match="no version 4"):
            await message_templates.version(connection, "ours", None, 4)

        await message_templates.remove(connection, "ours", ANYONE)
        with pytest.raises(NotFound):
            await message_templates.list_versions(connection, "ours", None, None, 10)
        assert (await message_templates.add(connection, template(), ANYONE)).version == 5


async def test_an_id_must_be_unique(database: Database) -> None:
    async with database.begin() as connection:
        await message_templates.add(connection, template(), ANYONE)
    with pytest.raises(Conflict, match="'ours' is taken"):
        async with database.begin() as connection:
            await message_templates.add(connection, template(), ANYONE)


async def test_a_channel_needs_an_existing_template_and_prevents_its_deletion(database: Database) -> None:
    async with database.begin() as connection:
        await message_templates.add(connection, template(), ANYONE)
        with pytest.raises(InvalidInput, match="template: there is no message template 'other'"):
            await channels.add(connection, channel(template="other"), SEAL, ANYONE)
        named = channel(template="ours")
        await channels.add(connection, named, SEAL, ANYONE)
        assert await message_templates.for_channel(connection, named) == await message_templates.get(
            connection, "ours", None
        )
        with pytest.raises(InvalidInput, match="no message template 'other'"):
            await channels.change(connection, named, channel(template="other"), SEAL, ANYONE)
        with pytest.raises(Conflict, match="is used by 'ops'; change that first"):
            await message_templates.remove(connection, "ours", ANYONE)
        await channels.change(connection, named, channel(), SEAL, ANYONE)
        await message_templates.remove(connection, "ours", ANYONE)


async def test_a_lease_includes_the_template_and_a_change_makes_it_stale(
    database: Database, driver: DriverConnection
) -> None:
    async with database.begin() as connection:
        first = await message_templates.add(connection, template(), ANYONE)
        await channels.add(connection, channel("with", template="ours"), SEAL, ANYONE)
        await channels.add(connection, channel("without"), SEAL, ANYONE)
    await driver.execute("UPDATE lanes SET next_due = now()")
    held = {lease.channel_id: lease for lease in await lanes.claim_lanes(driver, "one", SEAL, 9, ())}
    assert held["without"].template is None
    assert held["with"].template is not None
    assert held["with"].template.parts == {"title": "one"}

    async with database.begin() as connection:
        await message_templates.change(connection, first, template(title="two"), ANYONE)

    read = {
        one.channel_id: await lanes.read_lease(driver, "one", SEAL, one.channel_id, one.epoch)
        for one in held.values()
    }
    assert read["without"] is not None
    assert read["without"].config_version == held["without"].config_version
    assert read["with"] is not None
    assert read["with"].config_version > held["with"].config_version
    assert read["with"].template is not None
    assert (read["with"].template.version, read["with"].template.title) == (2, "two")
