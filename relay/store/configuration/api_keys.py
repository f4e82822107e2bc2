"""API keys. Only a hash of a key is stored; the key itself is returned once, on creation."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import cast, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from relay.domain.api_keys import ApiKey, NewApiKey, public_fields
from relay.domain.errors import Conflict, NotFound
from relay.domain.principals import Author, Role, Tenants
from relay.domain.versions import Action, Change, ObjectKind, changes_between
from relay.store.configuration import versions
from relay.store.postgres.statements import DriverConnection, Query, Statement, read_row
from relay.store.tables import api_keys

KEY_PREFIX: Final = "relay_"
USED_EVERY: Final = "1 minute"
"""How often the time of the last use is written."""

_columns: Final = [api_keys.c[name] for name in ApiKey.__struct_fields__]


class FoundKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a hash. `unused`: its last use is to be written."""

    hash: bytes
    id: str
    name: str
    role: Role
    tenants: tuple[str, ...] | None
    source: str | None
    revoked: bool
    expired: bool
    unused: bool


_FOUND: Final = f"""
  k.id, k.name, k.role, k.tenants, k.source, k.revoked_at IS NOT NULL AS revoked,
  coalesce(k.expires_at <= now(), false) AS expired,
  coalesce(k.last_used_at < now() - interval '{USED_EVERY}', true) AS unused
  FROM api_keys k
"""
FIND: Final = Query(
    FoundKey,
    f"""
    SELECT k.hash, {_FOUND} WHERE k.hash = ANY (:hashes::bytea[])
    UNION ALL
    SELECT k.previous_hash, {_FOUND} WHERE k.previous_hash = ANY (:hashes::bytea[]) AND k.previous_until > now()
    """,
)
USED: Final = Statement(
    f"""
    UPDATE api_keys SET last_used_at = now() WHERE id = ANY (ARRAY(
      SELECT id FROM api_keys WHERE id = ANY (:ids)
        AND coalesce(last_used_at < now() - interval '{USED_EVERY}', true)
      ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    ))
    """
)


def new_secret() -> str:
    """Generate a key: a prefix that secret scanners recognize, and 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    """Hash a key. A fast hash is enough, because 256 random bits can't be guessed from it."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


async def create(connection: AsyncConnection, new: NewApiKey, author: Author) -> tuple[ApiKey, str]:
    """Create a validated key. Returns the key and its secret, which can't be read again.

    Raises:
        Conflict: a key that is not revoked has the name.
    """
    secret = new_secret()
    statement = insert(api_keys).values(
        id=secrets.token_hex(4),
        name=new.name,
        hash=hash_of(secret),
        role=new.role.value,
        tenants=new.tenants,
        source=new.source,
        expires_at=new.expires_at,
        created_by=author.identity,
    )
    try:
        row = (await connection.execute(statement.returning(*_columns))).one()
    except IntegrityError:
        raise Conflict(f"the name {new.name!r} is taken by another key; revoke that first") from None
    key = read_row(row, ApiKey)
    await _record(connection, author, Action.CREATED, None, key)
    return key, secret


async def get(connection: AsyncConnection, key_id: str, tenants: Tenants, *, active: bool = False) -> ApiKey:
    """Return one key of the tenants; with `active`, one that is not revoked, locked until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    statement = select(*_columns).where(api_keys.c.id == key_id, *_visible(tenants))
    if active:
        statement = statement.where(api_keys.c.revoked_at.is_(None)).with_for_update()
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"there is no {'active ' if active else ''}key {key_id!r}")
    return read_row(row, ApiKey)


async def page(connection: AsyncConnection, tenants: Tenants, after: str | None, limit: int) -> list[ApiKey]:
    """Return the keys of the tenants, revoked ones included, in the order of their ids, starting after `after`."""
    statement = select(*_columns).where(*_visible(tenants)).order_by(api_keys.c.id).limit(limit)
    if after is not None:
        statement = statement.where(api_keys.c.id > after)
    return [read_row(row, ApiKey) for row in await connection.execute(statement)]


async def rotate(
    connection: AsyncConnection, key_id: str, tenants: Tenants, overlap: timedelta, author: Author
) -> tuple[ApiKey, str]:
    """Replace the secret of a key. The old one remains valid for `overlap`; one before that ends now.

    Raises:
        NotFound: there is no such active key.
    """
    await get(connection, key_id, tenants, active=True)
    secret = new_secret()
    statement = (
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(hash=hash_of(secret), previous_hash=api_keys.c.hash, previous_until=func.now() + overlap)
        .returning(*_columns)
    )
    key = read_row((await connection.execute(statement)).one(), ApiKey)
    await _record(connection, author, Action.ROTATED, key, key)
    return key, secret


async def revoke(connection: AsyncConnection, key_id: str, tenants: Tenants, author: Author) -> None:
    """Revoke a key.

    Raises:
        NotFound: the key does not exist or is already revoked.
    """
    key = await get(connection, key_id, tenants, active=True)
    await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=func.now()))
    await _record(connection, author, Action.REVOKED, key, None)


async def has_ingest_key(connection: AsyncConnection) -> bool:
    """Whether there is an ingest key that is neither revoked nor expired."""
    valid = func.coalesce(api_keys.c.expires_at > func.now(), True)
    statement = select(api_keys.c.id).where(
        api_keys.c.role == Role.INGEST.value, api_keys.c.revoked_at.is_(None), valid
    )
    return (await connection.execute(statement.limit(1))).first() is not None


async def find(connection: DriverConnection, hashes: Sequence[bytes]) -> dict[bytes, FoundKey]:
    """Return the keys with these hashes, revoked and expired ones included."""
    return {found.hash: found for found in await FIND.fetch(connection, hashes=hashes)}


async def write_use(connection: DriverConnection, key_ids: Sequence[str]) -> None:
    """Write that keys were used, at most once in USED_EVERY."""
    await USED.execute(connection, ids=key_ids)


async def _record(
    connection: AsyncConnection, author: Author, action: Action, before: ApiKey | None, after: ApiKey | None
) -> None:
    earlier = None if before is None else public_fields(before)
    later = None if after is None else public_fields(after)
    key = after or before
    assert key is not None
    tenant_id = key.tenants[0] if key.tenants is not None and len(key.tenants) == 1 else None
    change = Change(
        kind=ObjectKind.KEY,
        object_id=key.id,
        action=action,
        tenant_id=tenant_id,
        body=later,
        changes=changes_between(earlier, later),
    )
    await versions.record(connection, author, change)


def _visible(tenants: Tenants) -> list[Any]:
    """Keys for tenants among these, and for no others."""
    if tenants is None:
        return []
    return [api_keys.c.tenants.is_not(None), api_keys.c.tenants.contained_by(cast(sorted(tenants), ARRAY(Text)))]
