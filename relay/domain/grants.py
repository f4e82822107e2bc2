"""Roles and tenants that the relay grants for the roles and tenants of another application."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from relay.domain.errors import Forbidden, InvalidInput, SettingsError, Unauthorized
from relay.domain.fields import require_storable
from relay.domain.principals import Role, Tenants

MAX_NAME: Final = 255
ALL_TENANTS: Final = ":*"
"""Suffix of a role that is granted for all tenants."""
HIGHEST_FIRST: Final = (Role.ADMIN, Role.OPERATOR, Role.VIEWER, Role.INGEST)


class Grant(msgspec.Struct, frozen=True):
    """A role, either for all tenants or for those that the application names."""

    role: Role
    all_tenants: bool = False


OWN: Final[Mapping[str, Grant]] = {role: Grant(role) for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER)}
"""The grants without a setting: the application uses the relay's names."""


def parse_grants(text: str) -> Mapping[str, Grant]:
    """Parse grants by the application's roles, such as `platform-admin=admin:*,ops=operator`; empty for `OWN`.

    The role of the relay follows the last `=`, so that a name of the application may contain one.

    Raises:
        SettingsError: an entry is malformed, has a role that the relay lacks, or repeats a name.
    """
    found: dict[str, Grant] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, role = (part.strip() for part in entry.rpartition("="))
        all_tenants = role.endswith(ALL_TENANTS)
        role = role.removesuffix(ALL_TENANTS)
        if not name or role not in HIGHEST_FIRST:
            allowed = ", ".join(HIGHEST_FIRST)
            raise SettingsError(
                f"RELAY_AUTH_ROLES: {entry!r} must be NAME=ROLE or NAME=ROLE{ALL_TENANTS}, with one of {allowed}"
            )
        if name in found:
            raise SettingsError(f"RELAY_AUTH_ROLES: {name!r} has two roles")
        found[name] = Grant(Role(role), all_tenants)
    return found or OWN


def granted(grants: Mapping[str, Grant], roles: Iterable[str], tenants: Iterable[str]) -> tuple[Role, Tenants]:
    """The role and the tenants of a user, from the names that the application uses.

    The highest role wins. It is for all tenants only if its own grant is: a lower role for all tenants does not
    extend it.

    Raises:
        Forbidden: none of the roles is granted, or there is no tenant.
        Unauthorized: a tenant's name is malformed.
    """
    found = {grant for role in roles if (grant := grants.get(role)) is not None}
    if not found:
        raise Forbidden("the user has no role that Alert Relay grants anything for")
    highest = min((grant.role for grant in found), key=HIGHEST_FIRST.index)
    if Grant(highest, all_tenants=True) in found:
        return highest, None
    names = frozenset(require_name("a tenant", tenant) for tenant in tenants)
    if not names:
        raise Forbidden("the user has no tenants")
    return highest, names


def require_name(what: str, value: object) -> str:
    """Check a name that another application gives, which Postgres must be able to store.

    Raises:
        Unauthorized: it is no text, empty, too long or not storable; calls it `what`.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise Unauthorized(f"{what} must be a text of 1 to {MAX_NAME} characters")
    try:
        require_storable(value)
    except InvalidInput as error:
        raise Unauthorized(f"{what} {error.message}") from None
    return value
