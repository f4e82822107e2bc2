"""Who may call the API? Keys are stored as hashes; a key is shown once, when it is made."""

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


_shown = [api_keys.c[name] for name in Key.__struct_fields__]


def new_secret() -> str:
    """A fresh key: the prefix that secret scanners look for, and 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


async def create(connection: AsyncConnection, name: str) -> tuple[Key, str]:
    """Make an administrator's key; the second of the answer is the secret, which nobody can read again."""
    secret = new_secret()
    statement = insert(api_keys).values(id=secrets.token_hex(4), name=name, hash=_hash(secret), role=ADMIN)
    row = (await connection.execute(statement.returning(*_shown))).one()
    return _key(row), secret


async def find(connection: AsyncConnection, secret: str) -> Key | None:
    """The key that a secret belongs to, unless it is revoked."""
    statement = select(*_shown).where(api_keys.c.hash == _hash(secret), api_keys.c.revoked_at.is_(None))
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _key(row)


async def list_keys(connection: AsyncConnection) -> list[Key]:
    """All keys, revoked ones included, oldest first."""
    return [_key(row) for row in await connection.execute(select(*_shown).order_by(api_keys.c.created_at))]


async def revoke(connection: AsyncConnection, key_id: str) -> None:
    """Let a key open nothing from now on.

    Raises:
        NotFound: there is no such key, or it is revoked already.
    """
    statement = (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    if (await connection.execute(statement)).rowcount == 0:
        raise NotFound(f"there is no key {key_id!r} that could be revoked")


def _hash(secret: str) -> bytes:
    """A fast hash is enough: a key has 256 random bits, so nobody can guess it from its hash."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _key(row: Any) -> Key:
    return Key(**row._mapping)
