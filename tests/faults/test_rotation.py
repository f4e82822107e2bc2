"""Rotations of the secret key, API keys and the issuer's key under load refuse nothing and lose nothing."""

import asyncio
import itertools
import time

import pytest
from aiohttp import web
from joserfc.jwk import Key
from sqlalchemy import text

from relay.store.configuration.reseal import reseal
from relay.store.configuration.seal import Seal, new_key
from tests.access.issuer import CLAIMS, ec_key, public, rsa_key, token
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

pytestmark = pytest.mark.slow

OLD, NEW = new_key(), new_key()
LOADERS = 4


class Load:
    """Clients that post webhooks and read channels, through the relay and with the credentials of the moment."""

    def __init__(self, relay: Relay, ingest_key: str, user_token: str) -> None:
        self.relay, self.ingest_key, self.user_token = relay, ingest_key, user_token
        self.posted = 0
        self.refused: list[tuple[int, bytes]] = []
        self._numbers = itertools.count()
        self._stopping = False

    async def run(self) -> None:
        while not self._stopping:
            relay, number = self.relay, next(self._numbers)
            body = webhook(alert(f"A{number}"), group=str(number))
            posted = await relay.call("POST", "/webhook", key=self.ingest_key, json=body)
            read = await relay.call("GET", "/channels", key=self.user_token)
            self.posted += posted.status == 202
            self.refused += [(each.status, each.body) for each in (posted, read) if each.status not in (200, 202)]

    async def for_a_while(self, webhooks: int = 40) -> None:
        """Wait until so many more webhooks are accepted."""
        reached = self.posted + webhooks
        while self.posted < reached and not self.refused:
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._stopping = True


async def test_rotations_under_load_refuse_nothing_and_lose_nothing(
    start_relay: RelayFactory, sink: Sink, database_url: str
) -> None:
    keys: list[Key] = [ec_key()]
    sink.script = lambda request: (
        web.json_response(public(*keys)) if request.path == "/keys" else web.Response(text="ok")
    )
    tokens = {
        "jwt_jwks_url": f"{sink.url}/keys",
        "jwt_algorithms": ("ES256", "RS256"),
        "jwt_issuer": CLAIMS["iss"],
        "jwt_audience": CLAIMS["aud"],
        "auth_roles": "operator=operator:*",
        "ingest_rate": 100_000,
    }
    expires = int(time.time()) + 3600

    relay = await start_relay(secret_key=OLD, **tokens)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/hook")
    key = (await relay.call("POST", "/keys", json={"name": "am", "role": "ingest"})).json
    load = Load(relay, key["key"], token(exp=expires))
    loaders = [asyncio.create_task(load.run()) for _ in range(LOADERS)]
    await load.for_a_while()

    # The secret key: processes read both before any seals with the new one alone.
    load.relay = await start_relay(secret_key=f"{NEW},{OLD}", **tokens)
    await load.for_a_while()
    async with relay.services.database.begin() as connection:
        assert await reseal(connection, Seal(f"{NEW},{OLD}")) == 1
    await load.for_a_while()
    load.relay = await start_relay(secret_key=NEW, **tokens)
    await load.for_a_while()

    for _ in range(3):
        rotated = await load.relay.call("POST", f"/keys/{key['id']}/rotate", json={"overlap": "1h"})
        await load.for_a_while(10)
        load.ingest_key = rotated.json["key"]
        await load.for_a_while(10)

    keys.append(rsa_key())
    load.user_token = token(rsa_key(), {"alg": "RS256"}, exp=expires)
    await load.for_a_while()
    keys.pop(0)
    await load.for_a_while()
    load.stop()
    await asyncio.gather(*loaders)

    assert load.refused == []
    await all_delivered(load)


async def all_delivered(load: Load) -> None:
    """Every webhook is stored once, and none of its deliveries is dead."""
    async with load.relay.services.database.begin() as connection:
        rows = await connection.execute(text("SELECT count(*), count(DISTINCT group_hash) FROM receipts"))
        assert tuple(rows.one()) == (load.posted, load.posted)
    async with asyncio.timeout(240):  # the circuit breaker of the relay with the old key holds the lane back
        while await load.relay.items("/deliveries?state=pending") + await load.relay.items(
            "/deliveries?state=sending"
        ):
            await asyncio.sleep(0.1)
    assert await load.relay.items("/deliveries?state=dead") == []
