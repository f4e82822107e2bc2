"""Matchers of schema 0008 after the upgrade: the quoted form, with the same meaning."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from relay.domain.matchers import MAX_LENGTH, parse_earlier, parse_matchers
from relay.store.postgres import migrations
from relay.store.postgres.database import Database
from tests.fixtures.relays import alert, running, webhook
from tests.fixtures.sink import Sink

REWRITTEN = {
    'team="db"': 'team="db"',
    "team=db": 'team="db"',
    "severity=critical,team=db": 'severity="critical,team=db"',
    "severity=critical team=db": 'severity="critical team=db"',
    "severity='critical'": "severity=\"'critical'\"",
    "team=": 'team=""',
    r'a=~"\d+"': r'a=~"\\d+"',
    r'a="b\"c\n"': r'a="b\"c\n"',
    r"path=C:\new": r'path="C:\new"',
    '"foo bar" != x': '"foo bar"!="x"',
    ' team =~ "db|infra" ': 'team=~"db|infra"',
    "été": "été",
}
TOO_LONG = "a=".ljust(MAX_LENGTH, "\\")


@pytest.fixture
async def database(empty_database_url: str) -> Database:
    database = Database(empty_database_url)
    await migrations.upgrade(database, "0008")
    return database


async def run(database: Database, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    async with database.begin() as connection:
        found = await connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []


async def add_channel(database: Database, channel_id: str, matchers: list[str]) -> None:
    config = {"name": channel_id, "matchers": matchers, "enabled": True}
    columns = "INSERT INTO channels (id, channel_type, config, sealed)"
    values = "VALUES (:id, 'webhook', CAST(:config AS jsonb), '')"
    await run(database, f"{columns} {values}", id=channel_id, config=json.dumps(config))


async def test_matchers_are_rewritten_with_their_meaning(database: Database) -> None:
    await add_channel(database, "ops", list(REWRITTEN))
    await add_channel(database, "long", [TOO_LONG])
    await add_channel(database, "none", [])
    body = {"channels": [{"matchers": ["team=db", {"$": "more"}]}, {"name": "x"}], "parameters": {}}
    await run(
        database,
        "INSERT INTO channel_templates (id, body) VALUES ('t', CAST(:body AS jsonb))",
        body=json.dumps(body),
    )

    await migrations.upgrade(database)

    stored = dict(await run(database, "SELECT id, config -> 'matchers' FROM channels"))
    assert stored == {"ops": list(REWRITTEN.values()), "long": [TOO_LONG], "none": []}
    for before, after in REWRITTEN.items():
        if (matcher := parse_earlier(before)) is not None:
            assert parse_matchers(after) == (matcher,)
    [[template]] = await run(database, "SELECT body FROM channel_templates")
    assert template == {"channels": [{"matchers": ['team="db"', {"$": "more"}]}, {"name": "x"}], "parameters": {}}

    await migrations.downgrade(database, "0008")
    assert dict(await run(database, "SELECT id, config -> 'matchers' FROM channels")) == stored
    await database.close()


async def test_a_matcher_that_is_too_long_to_rewrite_keeps_working_and_is_reported(
    database_url: str, sink: Sink
) -> None:
    async with running(database_url) as relay:
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, matchers=["a=x"])
        await run(
            relay.services.database,
            "UPDATE channels SET config = jsonb_set(config, '{matchers}', CAST(:matchers AS jsonb))",
            matchers=json.dumps([TOO_LONG]),
        )
    value = "\\" * ((MAX_LENGTH - 2) // 2)
    async with running(database_url) as relay:
        await relay.webhook(webhook(alert(a=value)))
        await relay.settled(1)
        health = await relay.call("GET", "/channels/ops/health")
        [caveat] = health.json["caveats"]
        assert caveat.startswith("matchers[0] is in the syntax of an earlier release")
        assert (await relay.call("PATCH", "/channels/ops", json={"name": "New"})).status == 200
