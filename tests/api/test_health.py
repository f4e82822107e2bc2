"""Liveness, readiness and metrics."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from relay.store.postgres.migrations import downgrade, head, upgrade
from tests.fixtures.postgres import execute, sibling, temporary_database
from tests.fixtures.relays import Relay, running, webhook
from tests.fixtures.sink import Sink


async def test_a_healthy_relay_responds_200(relay: Relay) -> None:
    assert (await relay.call("GET", "-/healthy", key=None)).body == b"alive"
    for path in ("-/ready", "health"):
        response = await relay.call("GET", path, key=None)
        assert (response.status, response.json) == (200, {"status": "ok", "database": True})


async def test_without_its_database_the_relay_is_healthy_but_not_ready(
    postgres_url: str, migrated_template: str
) -> None:
    async with temporary_database(postgres_url, "dropped_under_it", template=migrated_template):
        async with running(sibling(postgres_url, "dropped_under_it")) as relay:
            await relay.channel(name="Ops", channel_type="slack", webhook_url="https://hooks.example.com/x")
            await execute(postgres_url, "DROP DATABASE dropped_under_it WITH (FORCE)")

            ready = await relay.call("GET", "-/ready", key=None)
            assert (ready.status, ready.json) == (
                503,
                {"status": "degraded", "database": False, "detail": "the database is unavailable"},
            )
            assert (await relay.call("GET", "health", key=None)).status == 200
            assert (await relay.call("GET", "-/healthy", key=None)).status == 200
            assert (await relay.webhook_once(webhook())).status == 503
            listed = await relay.call("GET", "/channels")
            assert (listed.status, listed.json["status"], listed.headers["Retry-After"]) == (503, 503, "5")
        await execute(postgres_url, "CREATE DATABASE dropped_under_it")


@pytest.mark.parametrize(
    ("revision", "problem"), [("0007", "the schema is behind"), ("9999", "the schema is ahead"), ("", "is behind")]
)
async def test_with_another_schema_the_relay_is_not_ready(relay: Relay, revision: str, problem: str) -> None:
    database = relay.services.database
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM alembic_version"))
        if revision:
            added = text("INSERT INTO alembic_version VALUES (:revision)")
            await connection.execute(added, {"revision": revision})
    ready = await relay.call("GET", "-/ready", key=None)
    assert (ready.status, ready.json["status"], ready.json["database"]) == (503, "degraded", True)
    assert problem in ready.json["detail"]
    assert head() in ready.json["detail"]


async def test_metrics_are_in_the_text_format_of_prometheus(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook())
    await relay.settled(1)

    page = await relay.call("GET", "metrics", key=None)

    assert page.headers["Content-Type"].count("charset") == 1  # Prometheus rejects a page with two
    families = {family.name: family for family in text_string_to_metric_families(page.body.decode())}
    assert all(name.startswith("relay_") for name in families)
    accepted = [
        family.value for family in families["relay_webhooks"].samples if family.labels == {"result": "accepted"}
    ]
    assert accepted == [1.0]
    assert any(family.labels.get("outcome") == "sent" for family in families["relay_delivery_attempts"].samples)


async def test_responses_name_a_schema_that_changed_under_the_relay(relay: Relay) -> None:
    database = relay.services.database
    await relay.webhook(webhook(group="before"))
    await downgrade(database, "0007")

    for _ in range(2):
        response = await relay.webhook_once(webhook(group="while"))
        assert response.status == 503
        assert "the schema is behind: the database is at revision 0007" in response.json["detail"]
        assert "relay db upgrade" in response.json["detail"]
    listed = await relay.call("GET", "/sources")
    assert (listed.status, listed.headers["Retry-After"]) == (503, "5")
    assert "the schema is behind" in listed.json["detail"]

    await upgrade(database)
    async with asyncio.timeout(10):
        assert (await relay.webhook(webhook(group="after"))).status == 202
    assert (await relay.call("GET", "/sources")).status == 200
