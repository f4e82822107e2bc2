"""docs/access.md states what each role may do on each route; a running relay does the same."""

import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from litestar.routes import HTTPRoute
from sqlalchemy import text

from relay.app import BASE_PATH, create_application
from tests.access.access_cases import CASES, COLUMNS, OTHER, OWNER, ROLES, Objects
from tests.fixtures.relays import ApiResponse, Relay, RelayFactory
from tests.fixtures.sink import Sink

PAGE = Path(__file__).parents[2] / "docs" / "access.md"


def documented() -> dict[str, dict[str, str]]:
    """The rows of the table: the cells of each route by the names of their columns."""
    rows: dict[str, dict[str, str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(COLUMNS) + 1 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = dict(zip(COLUMNS, cells[1:], strict=True))
    return rows


def routes() -> set[str]:
    """Every method and path of the application, OPTIONS excepted."""
    found = set()
    for route in create_application().routes:
        assert isinstance(route, HTTPRoute)
        path = re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", route.path).removeprefix(BASE_PATH)
        found |= {f"{method} {path}" for method in route.methods if method != "OPTIONS"}
    return found


class Callers:
    """Keys of each role and tenant, and keys that are not accepted."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.keys: dict[str, str] = {}

    async def create(self) -> None:
        for role in ROLES:
            for tenant in (OWNER, OTHER, None):
                self.keys[f"{role} {tenant}"] = (await self._key(role=role, tenant_id=tenant))["key"]
        expired, revoked = await self._key(role="admin"), await self._key(role="admin")
        async with self._relay.services.database.begin() as connection:
            statement = text("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = :id")
            await connection.execute(statement, {"id": expired["id"]})
        await self._relay.call("DELETE", f"/keys/{revoked['id']}")
        self.keys |= {"expired key": expired["key"], "revoked key": revoked["key"]}

    async def _key(self, **fields: Any) -> dict[str, Any]:
        response = await self._relay.call("POST", "/keys", json={"name": secrets.token_hex(8), **fields})
        assert response.status == 201, response.body
        key: dict[str, Any] = response.json
        return key

    def of(self, column: str) -> list[str | None]:
        """The keys whose statuses the cell of a column lists."""
        if column in ROLES:
            return [self.keys[f"{column} {tenant}"] for tenant in (OWNER, OTHER, None)]
        if column == "wrong key":
            return [f"relay_{secrets.token_urlsafe(32)}"]
        return [self.keys.get(column)]


@pytest.fixture
async def relay(start_relay: RelayFactory) -> Relay:
    """A relay that sends nothing by itself, and takes each request for one of another client."""
    quotas = {"tenant_max_channels": 10_000, "tenant_max_templates": 10_000, "ingest_rate": 10_000}
    return await start_relay(deliver=False, trusted_proxies="127.0.0.1", **quotas)


async def call(relay: Relay, row: str, key: str | None, objects: Objects) -> ApiResponse:
    path, body = await CASES[row](objects)
    headers = {"X-Forwarded-For": f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.1"}
    given = {} if body is None else {"json": body}
    return await relay.call(row.split(maxsplit=1)[0], path, key=key, headers=headers, **given)


@pytest.mark.slow
async def test_every_cell_is_what_a_running_relay_responds(relay: Relay, sink: Sink) -> None:
    callers = Callers(relay)
    await callers.create()
    objects = Objects(relay, sink.url, callers.keys[f"ingest {OWNER}"])
    await objects.delivery()

    seen = {
        row: {
            column: " / ".join([str((await call(relay, row, key, objects)).status) for key in callers.of(column)])
            for column in COLUMNS
        }
        for row in CASES
    }

    assert seen == documented(), "\n".join(
        f"| `{row}` | {' | '.join(cells.values())} |" for row, cells in seen.items()
    )


def test_every_route_has_a_row() -> None:
    assert set(documented()) == routes()
