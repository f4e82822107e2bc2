"""Replies of Slack bots to resolved alerts, of schema 0009, after the upgrade and after a downgrade."""

import json
from typing import Any

from sqlalchemy import text

from relay.store.postgres import migrations
from relay.store.postgres.database import Database

ALL = ["firing", "repeat", "resolved"]


async def configs(database: Database, table: str = "channels", column: str = "config") -> dict[str, Any]:
    async with database.begin() as connection:
        found = await connection.execute(text(f"SELECT id, {column} FROM {table}"))
        return {row[0]: row[1] for row in found}


async def test_replies_to_resolved_alerts_stay_as_they_are(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await migrations.upgrade(database, "0009")
    channels = {"on": {"slack_reply_resolved": True}, "off": {"slack_reply_resolved": False}, "other": {}}
    template = {"channels": [{"channel_type": "slack", "slack_reply_resolved": True}]}
    async with database.begin() as connection:
        for name, config in channels.items():
            insert = "INSERT INTO channels (id, channel_type, config, sealed) VALUES (:id, 'slack', :config, '')"
            await connection.execute(
                text(insert.replace(":config", "CAST(:config AS jsonb)")),
                {"id": name, "config": json.dumps(config | {"name": name, "enabled": True})},
            )
        insert = "INSERT INTO channel_templates (id, body) VALUES ('t', CAST(:body AS jsonb))"
        await connection.execute(text(insert), {"body": json.dumps(template)})

    await migrations.upgrade(database)

    assert await configs(database) == {
        "on": {"enabled": True, "name": "on", "notify_on": ALL},
        "off": {"enabled": True, "name": "off"},
        "other": {"enabled": True, "name": "other"},
    }
    upgraded = await configs(database, "channel_templates", "body")
    assert upgraded == {"t": {"channels": [{"channel_type": "slack", "notify_on": ALL}]}}

    await migrations.downgrade(database, "0009")

    assert await configs(database) == {
        "on": {"enabled": True, "name": "on", "slack_reply_resolved": True},
        "off": {"enabled": True, "name": "off"},
        "other": {"enabled": True, "name": "other"},
    }
    assert await configs(database, "channel_templates", "body") == {"t": template}
    await database.close()
