"""API keys: what one may do, and for how long."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from relay.domain.channels import MAX_NAME
from relay.domain.errors import Forbidden, InvalidInput
from relay.domain.fields import require_storable
from relay.domain.identity import require_sending_source
from relay.domain.principals import Principal, Role, Tenants, includes, tenants_of

MAX_TENANTS: Final = 100
MAX_TENANT: Final = 255
"""Characters in the name of a tenant; the tenants of alerts are cut to as many."""
MAX_OVERLAP: Final = timedelta(days=30)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret.

    `tenants` null means all tenants. `source` is the source of the webhooks that it posts. `last_used_at` is exact
    to a minute. `previous_until` is until when the key before the last rotation is valid.
    """

    id: str
    name: str
    role: Role
    tenants: tuple[str, ...] | None
    source: str | None
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime
    created_by: str | None
    revoked_at: datetime | None
    previous_until: datetime | None


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to create. `tenant_id` is short for one of `tenants`; without both, the key is for all tenants."""

    name: str
    role: Role
    tenant_id: str | None = None
    tenants: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_TENANTS)] | None = None
    source: str | None = None
    expires_at: datetime | None = None


class CreatedApiKey(ApiKey, frozen=True, kw_only=True):
    """A key with its secret, which is shown once."""

    key: str


def validate_new_key(given: NewApiKey, creator: Principal | None, now: datetime) -> NewApiKey:
    """Return the key with the tenants that it gets; `creator` None is the command line in the database.

    Raises:
        InvalidInput: names the field.
        Forbidden: the creator may not create such a key.
    """
    require_storable(msgspec.to_builtins(given))
    if not given.name.strip():
        raise InvalidInput("name", "must not be empty")
    if len(given.name) > MAX_NAME:
        raise InvalidInput("name", f"must not be longer than {MAX_NAME} characters")
    tenants = _tenants(given, creator)
    if given.role is Role.INGEST and tenants is not None and len(tenants) > 1:
        raise InvalidInput("tenants", "of an ingest key must be at most one, which its webhooks get")
    if given.source is not None:
        require_sending_source("source", given.source)
        if given.role is not Role.INGEST:
            raise InvalidInput("source", "requires the role ingest")
    if given.expires_at is not None:
        if given.expires_at.tzinfo is None:
            raise InvalidInput("expires_at", "must have a time zone, such as 2027-01-31T00:00:00Z")
        if given.expires_at <= now:
            raise InvalidInput("expires_at", "must be in the future")
    if creator is not None and not includes(creator.role, given.role):
        raise Forbidden(f"the role {creator.role} may not create keys of the role {given.role}")
    names = None if tenants is None else tuple(sorted(tenants))
    return msgspec.structs.replace(given, tenant_id=None, tenants=names)


def _tenants(given: NewApiKey, creator: Principal | None) -> Tenants:
    if given.tenant_id is not None and given.tenants is not None:
        raise InvalidInput("tenants", "can't be combined with `tenant_id`")
    field = "tenants" if given.tenant_id is None else "tenant_id"
    wanted = tenants_of(given.tenants) if given.tenant_id is None else frozenset({given.tenant_id})
    if wanted is not None and not wanted:
        raise InvalidInput("tenants", "must not be empty; omit it for all tenants")
    for tenant in wanted or ():
        if not 1 <= len(tenant) <= MAX_TENANT:
            raise InvalidInput(field, f"must have 1 to {MAX_TENANT} characters")
    own = None if creator is None else creator.tenants
    if own is None:
        return wanted
    if len(own) == 1:
        return own
    if wanted is None or not wanted <= own:
        raise InvalidInput(field, f"must be among {', '.join(sorted(own))}")
    return wanted


def public_fields(key: ApiKey) -> dict[str, Any]:
    """What versions record of a key: all that its owner decides."""
    shown: dict[str, Any] = msgspec.to_builtins(key)
    return {name: shown[name] for name in ("name", "role", "tenants", "source", "expires_at")}
