"""Encryption of channel secrets at rest, and key rotation."""

from sqlalchemy import select

from relay.domain.channel_types import WebhookChannel
from relay.store.configuration import channels
from relay.store.configuration.seal import Seal, new_key
from relay.store.postgres.database import Database
from relay.store.tables import channels as table
from tests.fixtures.callers import ANYONE
from tests.fixtures.relays import SECRET_KEY, RelayFactory, webhook
from tests.fixtures.sink import Sink

CHANNEL = WebhookChannel(
    id="ops",
    name="Ops",
    webhook_url="https://example.com/s3cret",
    custom_headers={"Authorization": "Bearer s3cret"},
)


async def test_no_column_contains_a_secret(database: Database) -> None:
    async with database.begin() as connection:
        await channels.add(connection, CHANNEL, Seal(new_key()), ANYONE)
        row = (await connection.execute(select(table))).one()

    assert b"s3cret" not in row.sealed
    assert b"webhook_url" not in row.sealed
    assert "s3cret" not in str(row.config)


async def test_a_stored_channel_is_read_unchanged(database: Database) -> None:
    seal = Seal(new_key())
    async with database.begin() as connection:
        await channels.add(connection, CHANNEL, seal, ANYONE)

        assert await channels.get(connection, "ops", seal, None) == CHANNEL


async def test_a_sealed_value_of_another_channel_is_not_decrypted(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay()
    for name in ("a", "b"):
        await relay.channel(name=name, channel_type="webhook", webhook_url=sink.url)
    async with relay.services.database.begin() as connection:
        sealed = select(table.c.sealed).where(table.c.id == "a").scalar_subquery()
        await connection.execute(table.update().where(table.c.id == "b").values(sealed=sealed))

    response = await relay.call("GET", "/channels/b")

    assert (response.status, "belong to another channel" in response.json["detail"]) == (500, True)


async def test_a_missing_key_affects_only_the_channels_it_sealed(start_relay: RelayFactory, sink: Sink) -> None:
    old = await start_relay(secret_key=new_key(), deliver=False)
    await old.channel(name="Lost", channel_type="webhook", webhook_url=sink.url)
    relay = await start_relay()
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/ops")

    lost = await relay.call("GET", "/channels/lost")
    assert (lost.status, lost.json["title"]) == (500, "Internal Server Error")
    assert lost.json["detail"] == (
        "the secrets of lost are sealed with a key that RELAY_SECRET_KEY does not contain"
    )
    assert [channel["id"] for channel in await relay.items("/channels")] == ["lost", "ops"]
    assert (await relay.webhook(webhook())).json["notifications"] == 2
    await sink.wait_for(1, "/ops")
    assert (await relay.call("DELETE", "/channels/lost")).status == 204


async def test_after_a_rotation_old_channels_are_readable_and_changed_ones_use_the_new_key(
    start_relay: RelayFactory, sink: Sink
) -> None:
    new = new_key()
    before = await start_relay(deliver=False)
    await before.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/s3cret")
    rotated = await start_relay(secret_key=f"{new},{SECRET_KEY}", deliver=False)
    await rotated.call("PATCH", "/channels/ops", json={"name": "Operations"})

    after = await start_relay(secret_key=new)

    assert (await after.call("GET", "/channels/ops")).json["name"] == "Operations"
    assert (await before.call("GET", "/channels/ops")).status == 500
    await after.webhook(webhook())
    await sink.wait_for(1, "/s3cret")
