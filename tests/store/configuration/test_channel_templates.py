"""Storage of custom channel templates, listed in one order with the built-in ones."""

from typing import Any

import pytest
from sqlalchemy import text

from relay.domain.errors import Conflict, NotFound, Unreadable
from relay.domain.templates.built_in import IDS, built_in_templates
from relay.domain.templates.channel_templates import ChannelTemplate, parse_channel_template
from relay.domain.templates.checks import validate_channel_template
from relay.store.configuration import channel_templates
from relay.store.postgres.database import Database
from tests.fixtures.callers import ANYONE

BUILT_IN = "critical-to-slack"


def template(template_id: str = "mine", **more: Any) -> ChannelTemplate:
    body = {"channel_type": "slack", "name": "A", "webhook_url": {"$": "url"}, "severities": ["critical"]}
    parameters = [{"name": "url", "description": "The URL."}]
    given = {"id": template_id, "name": "Mine", "parameters": parameters, "channels": [body]} | more
    return validate_channel_template(parse_channel_template(given))


async def store(database: Database, *templates: ChannelTemplate) -> None:
    async with database.begin() as connection:
        for template in templates:
            await channel_templates.add(connection, template, ANYONE)


async def test_a_template_is_stored_changed_and_deleted(database: Database) -> None:
    await store(database, template())
    async with database.begin() as connection:
        assert await channel_templates.get(connection, "mine", None) == template()

        changed = template(name="Ours", description="Changed.")
        await channel_templates.change(connection, template(), changed, ANYONE)
        assert await channel_templates.get_custom(connection, "mine", None) == changed

        await channel_templates.remove(connection, "mine", ANYONE)
        for read in (channel_templates.get, channel_templates.get_custom):
            with pytest.raises(NotFound, match="no channel template 'mine'"):
                await read(connection, "mine", None)
        with pytest.raises(NotFound, match="no channel template 'mine'"):
            await channel_templates.remove(connection, "mine", ANYONE)


async def test_an_id_must_be_unique_and_not_built_in(database: Database) -> None:
    await store(database, template())
    with pytest.raises(Conflict, match="'mine' is taken"):
        await store(database, template())
    for template_id in IDS:
        with pytest.raises(Conflict, match="reserved for a built-in"):
            await store(database, template(template_id))


async def test_a_built_in_template_is_read_only(database: Database) -> None:
    async with database.begin() as connection:
        assert await channel_templates.get(connection, BUILT_IN, None) == built_in_templates()[BUILT_IN]
        with pytest.raises(Conflict, match="is built in"):
            await channel_templates.get_custom(connection, BUILT_IN, None)
        with pytest.raises(Conflict, match="is built in"):
            await channel_templates.remove(connection, BUILT_IN, ANYONE)


async def test_pages_contain_all_templates_in_one_order(database: Database) -> None:
    own = ["a_b", "a-b", "a1", "critical", "critical_to", "z", "0", *(f"m{at}" for at in range(5))]
    await store(database, *map(template, own))
    expected = sorted([*own, *built_in_templates()])

    async with database.begin() as connection:
        for size in (1, 2, 3, 50):
            seen: list[str] = []
            while found := await channel_templates.page(connection, None, seen[-1] if seen else None, size):
                assert len(found) <= size
                seen += [one.id for one in found]
            assert seen == expected


async def test_a_custom_template_takes_precedence_over_a_later_built_in_one(database: Database) -> None:
    mine = template("later", name="Mine")
    await store(database, mine)
    async with database.begin() as connection:
        await connection.execute(text(f"UPDATE channel_templates SET id = '{BUILT_IN}'"))

        assert (await channel_templates.get(connection, BUILT_IN, None)).name == "Mine"
        found = {template.id: template for template in await channel_templates.page(connection, None, None, 500)}
        assert (found[BUILT_IN].name, found[BUILT_IN].builtin) == ("Mine", False)
        await channel_templates.remove(connection, BUILT_IN, ANYONE)
        assert (await channel_templates.get(connection, BUILT_IN, None)).builtin


async def test_a_template_of_another_release_is_unreadable(database: Database) -> None:
    await store(database, template())
    async with database.begin() as connection:
        await connection.execute(text("""UPDATE channel_templates SET body = body || '{"loops": 3}'"""))
        with pytest.raises(Unreadable, match="'mine' was stored by another release: loops"):
            await channel_templates.get(connection, "mine", None)
