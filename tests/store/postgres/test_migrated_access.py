"""Keys, channels, templates and deliveries of schema 0010, after the upgrade and after a downgrade."""

from typing import Any

from sqlalchemy import text

from relay.store.postgres import migrations
from relay.store.postgres.database import Database

ROWS = (
    """
    INSERT INTO api_keys (id, name, hash, role, tenant_id, created_at, revoked_at) VALUES
      ('k1', 'ci', '\\x01', 'admin', NULL, '2026-01-01Z', NULL), ('k2', 'ci', '\\x02', 'admin', NULL, now(), NULL),
      ('k3', 'ci', '\\x03', 'admin', NULL, now(), now()), ('k4', 'acme', '\\x04', 'viewer', 'acme', now(), NULL)
    """,
    """
    INSERT INTO channels (id, channel_type, config, sealed) VALUES
      ('acme', 'webhook', '{"name": "Acme", "enabled": true, "tenant_id": "acme"}', ''),
      ('ops', 'slack', '{"name": "Ops", "enabled": true, "tenant_id": null}', '')
    """,
    """INSERT INTO channel_templates (id, body) VALUES ('t', '{"name": "T", "channels": []}')""",
    """INSERT INTO message_templates (id, version, body) VALUES ('m', 2, '{"name": "M", "title": "two"}')""",
    """
    INSERT INTO message_template_versions (template_id, version, body, created_at) VALUES
      ('m', 1, '{"name": "M", "title": "one"}', '2026-01-01Z'), ('m', 2, '{"name": "M", "title": "two"}', now())
    """,
    """
    INSERT INTO deliveries (receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since) VALUES
      (1, 'acme', 1, 0, 'pending', now(), now()), (1, 'acme', 2, 0, 'delivered', now(), now()),
      (1, 'ops', 1, 0, 'dead', now(), now()), (1, 'gone', 1, 0, 'dead', now(), now())
    """,
)


async def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    async with database.begin() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def stored(database_url: str) -> Database:
    database = Database(database_url)
    await migrations.upgrade(database, "0010")
    async with database.begin() as connection:
        for statement in ROWS:
            await connection.execute(text(statement.replace(":", "\\:")))
    return database


async def test_what_was_stored_has_tenants_and_versions(empty_database_url: str) -> None:
    database = await stored(empty_database_url)
    await migrations.upgrade(database)

    keys = await rows(database, "SELECT id, name, tenants, revoked_at IS NULL FROM api_keys ORDER BY id")
    assert keys == [
        ("k1", "ci", None, True),
        ("k2", "ci-k2", None, True),
        ("k3", "ci", None, False),
        ("k4", "acme", ["acme"], True),
    ]
    found = await rows(database, "SELECT channel_id, state, tenant_id FROM deliveries ORDER BY id")
    assert found == [
        ("acme", "pending", "acme"),
        ("acme", "delivered", "acme"),
        ("ops", "dead", None),
        ("gone", "dead", None),
    ]
    versions = await rows(
        database,
        "SELECT kind, object_id, number, tenant_id, body ->> 'name', body ->> 'title' FROM versions "
        "ORDER BY kind, object_id, number",
    )
    assert versions == [
        ("channel", "acme", 1, "acme", "Acme", None),
        ("channel", "ops", 1, None, "Ops", None),
        ("channel_template", "t", 1, None, "T", None),
        ("key", "k1", 1, None, "ci", None),
        ("key", "k2", 1, None, "ci-k2", None),
        ("key", "k4", 1, "acme", "acme", None),
        ("message_template", "m", 1, None, "M", "one"),
        ("message_template", "m", 2, None, "M", "two"),
    ]
    await database.close()


async def test_a_downgrade_keeps_template_versions_and_no_key_gains_rights(empty_database_url: str) -> None:
    database = await stored(empty_database_url)
    before = await rows(database, "SELECT * FROM message_template_versions ORDER BY version")
    await migrations.upgrade(database)
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO api_keys (id, name, hash, role, tenants) VALUES "
                "('k5', 'viewer', '\\x05', 'viewer', NULL), ('k6', 'both', '\\x06', 'admin', ARRAY['a', 'b'])"
            )
        )

    await migrations.downgrade(database, "0010")

    assert await rows(database, "SELECT * FROM message_template_versions ORDER BY version") == before
    live = await rows(database, "SELECT id, role, tenant_id FROM api_keys WHERE revoked_at IS NULL ORDER BY id")
    assert live == [("k1", "admin", None), ("k2", "admin", None)]
    await migrations.upgrade(database)
    await database.close()
