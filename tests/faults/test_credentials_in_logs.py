"""No credential of a request, valid or not, appears in what a relay prints."""

import base64
from typing import Any

import aiohttp
import asyncpg
import pytest

from relay.app import BASE_PATH
from tests.fixtures.processes import on_database, relay_process
from tests.fixtures.relays import ADMIN_KEY, webhook

pytestmark = pytest.mark.slow

MARK = "v3ry-s3cret"
HEADERS = (
    f"Bearer {MARK}",
    f"Bearer relay_{MARK}",
    f"Bearer e30.{MARK}.{MARK}",
    f"Basic {base64.b64encode(f'user:{MARK}'.encode()).decode()}",
    f"Basic {MARK}",
    f"Digest {MARK}",
    f"Bearer {ADMIN_KEY}",
)


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_no_credential_is_logged(database_url: str, log_format: str) -> None:
    environ = on_database(database_url) | {"RELAY_LOG_LEVEL": "debug", "RELAY_LOG_FORMAT": log_format}
    async with relay_process(environ) as relay, aiohttp.ClientSession() as session:

        async def call(method: str, path: str, **options: Any) -> int:
            url = f"{relay.url}{BASE_PATH}{path}?token={MARK}&access_token={MARK}"
            async with session.request(method, url, **options) as response:
                return response.status

        for header in HEADERS:
            for method, path in (("GET", "/channels"), ("POST", "/channels"), ("GET", "/nowhere")):
                await call(method, path, headers={"Authorization": header}, data=b"{")
            await call("POST", "/webhook", headers={"Authorization": header}, json=webhook())
        # An unexpected error logs a traceback.
        connection = await asyncpg.connect(database_url)
        await connection.execute("ALTER TABLE channels RENAME COLUMN config TO renamed")
        await connection.close()
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with session.get(f"{relay.url}{BASE_PATH}/channels", headers=headers) as response:
            assert response.status >= 500
        await relay.stop()

    encoded = base64.b64encode(f"user:{MARK}".encode()).decode()
    for secret in (MARK, encoded, ADMIN_KEY):
        assert secret not in relay.output
