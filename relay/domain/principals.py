"""Principals: who makes a request, with which role and for which tenants."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from relay.domain.errors import Forbidden, InvalidInput


class Role(StrEnum):
    """What a principal may do. Each of the first three includes the next; `ingest` is for webhooks alone."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    INGEST = "ingest"


class Access(StrEnum):
    """What a route requires.

    `public`: nothing. `self`: any principal. `read`, `change` and `manage`: a viewer, an operator and an admin.
    `ingest`: an ingest key or an admin.
    """

    PUBLIC = "public"
    SELF = "self"
    READ = "read"
    CHANGE = "change"
    MANAGE = "manage"
    INGEST = "ingest"


_GRANTED: Final = {
    Role.VIEWER: frozenset({Access.PUBLIC, Access.SELF, Access.READ}),
    Role.OPERATOR: frozenset({Access.PUBLIC, Access.SELF, Access.READ, Access.CHANGE}),
    Role.ADMIN: frozenset(Access),
    Role.INGEST: frozenset({Access.PUBLIC, Access.SELF, Access.INGEST}),
}

Tenants = frozenset[str] | None
"""Tenants whose objects are visible; None for all objects, those without a tenant included."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request.

    `kind`, `issuer` and `subject` identify it for ever; `name` is for people. `tenants` None is for all. `method`
    is how it authenticated. `source` is the source of its webhooks, if its key names one.
    """

    kind: str
    issuer: str
    subject: str
    name: str
    role: Role
    tenants: Tenants = None
    source: str | None = None
    method: str

    @property
    def identity(self) -> str:
        """The identity that audit, silences and acknowledgements store."""
        return f"{self.kind}:{self.issuer}:{self.subject}"

    def may(self, access: Access) -> bool:
        """Whether its role includes what a route requires."""
        return access in _GRANTED[self.role]

    def sees(self, tenant_id: str | None) -> bool:
        """Whether objects of a tenant, or without one, are visible to it."""
        return sees(self.tenants, tenant_id)

    def owner_of_new(self, tenant_id: str | None) -> str | None:
        """The tenant of an object that it creates, for the tenant that the body has.

        Raises:
            InvalidInput: it has several tenants, and the body has none of them.
        """
        if self.tenants is None or tenant_id in self.tenants:
            return tenant_id
        if len(self.tenants) == 1:
            return next(iter(self.tenants))
        if not self.tenants:
            raise Forbidden(f"{self.name} has no tenants")
        raise InvalidInput("tenant_id", f"must be one of {', '.join(sorted(self.tenants))}")


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a change, from where and by which request."""

    identity: str
    name: str
    method: str
    address: str | None = None
    request_id: str | None = None


RELAY: Final = Author(identity="relay:relay:delivery", name="Alert Relay", method="relay")
"""The relay itself, which disables channels whose destination is gone."""


def sees(tenants: Tenants, tenant_id: str | None) -> bool:
    """Whether objects of a tenant, or without one, are visible to who has these tenants."""
    return tenants is None or tenant_id in tenants


def includes(role: Role, other: Role) -> bool:
    """Whether a role includes all that another one may do."""
    return _GRANTED[other] <= _GRANTED[role]


def tenants_of(names: Iterable[str] | None) -> Tenants:
    """The tenants of a list; None for all."""
    return None if names is None else frozenset(names)
