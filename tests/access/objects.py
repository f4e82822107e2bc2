"""Keys and objects of tenants, created in one line each."""

from typing import Any, Final

from tests.access.tenants import ask, changed
from tests.fixtures.relays import Relay

HOOK: Final = {"channel_type": "slack", "webhook_url": "https://hooks.example.com/x"}
MESSAGE: Final = {"name": "T", "title": "t"}


async def key_for(relay: Relay, *tenants: str, role: str = "admin", by: str | None = None) -> str:
    """The secret of a new key for tenants, created by the global admin or with another key."""
    body = {"name": f"{role} of {tenants} by {by}", "role": role, "tenants": list(tenants)}
    given = {} if by is None else {"key": by}
    response = await ask(relay, "POST", "/keys", json=body, **given)
    assert response.status == 201, response.body
    secret: str = response.json["key"]
    return secret


async def create(relay: Relay, key: str, path: str, **body: Any) -> Any:
    return await changed(relay, "POST", path, key, body)
