"""API keys. Only a hash of a key is stored; the key itself is returned once, on creation."""

import hashlib
import secrets
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import NotFound
from relay.store.tables import api_keys

KEY_PREFIX: Final = "relay_"
ADMIN: Final = "admin"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. `tenant_id` None means all tenants."""

    id: str
    name: str
    role: str
    tenant_id: str | None
    created_at: datetime
    revoked_at: datetime | None


_columns = [api_keys.c[name] for name in Key.__struct_fields__]


def new_secret() -> str:
    """Generate a key: a prefix that secret scanners recognize, and 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


async def create(connection: AsyncConnection, name: str) -> tuple[Key, str]:
    """Create an admin key. Returns the key and its secret, which can't be read again."""
    secret = new_secret()
    statement = insert(api_keys).values(id=secrets.token_hex(4), name=name, hash=_hash(secret), role=ADMIN)
    row = (await connection.execute(statement.returning(*_columns))).one()
    return _key(row), secret


async def find(connection: AsyncConnection, secret: str) -> Key | None:
    """Return the key with this secret, unless it is revoked."""
    statement = select(*_columns).where(api_keys.c.hash == _hash(secret), api_keys.c.revoked_at.is_(None))
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _key(row)


async def list_keys(connection: AsyncConnection) -> list[Key]:
    """Return all keys, including revoked ones, oldest first."""
    return [_key(row) for row in await connection.execute(select(*_columns).order_by(api_keys.c.created_at))]


async def revoke(connection: AsyncConnection, key_id: str) -> None:
    """Revoke an API key.

    Raises:
        NotFound: the key does not exist or is already revoked.
    """
    statement = (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    if (await connection.execute(statement)).rowcount == 0:
        raise NotFound(f"there is no active key {key_id!r}")


def _hash(secret: str) -> bytes:
    """Hash a key. A fast hash is enough, because 256 random bits can't be guessed from it."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _key(row: Any) -> Key:
    return Key(**row._mapping)
