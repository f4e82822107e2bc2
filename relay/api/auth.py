"""Authentication: the API accepts the keys of the database and the bootstrap admin key."""

import hmac
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

from relay.settings import Settings
from relay.store.configuration import api_keys
from relay.store.postgres.database import Database


async def require_admin(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard: accept administrators only. It reads `settings` and `database` from the application's state.

    Raises:
        NotAuthorizedException: the key is missing, unknown, revoked or not an administrator's.
    """
    settings: Settings = connection.app.state.settings
    database: Database = connection.app.state.database
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise NotAuthorizedException("send an API key: `Authorization: Bearer KEY`")
    if settings.admin_key is not None and hmac.compare_digest(given.encode(), settings.admin_key.encode()):
        return
    async with database.begin() as transaction:
        key = await api_keys.find(transaction, given)
    if key is None or key.role != api_keys.ADMIN or key.tenant_id is not None:
        raise NotAuthorizedException("the API key is unknown or revoked")
