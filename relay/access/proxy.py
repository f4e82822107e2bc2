"""Authenticating proxies: principals from the headers of a proxy that has authenticated the user."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from relay.domain.client_address import Network, is_within
from relay.domain.errors import Unauthorized
from relay.domain.grants import Grant, granted, require_name
from relay.domain.principals import Principal

USER: Final = "x-auth-user"
ROLES: Final = "x-auth-roles"
TENANTS: Final = "x-scope-orgid"


def principal_of_proxy(
    headers: Iterable[tuple[bytes, bytes]],
    peer_address: str | None,
    networks: Sequence[Network],
    grants: Mapping[str, Grant],
) -> Principal | None:
    """The principal that an authenticating proxy names; None if the peer is none, or names no user.

    `headers` are those of the ASGI scope. `peer_address` is the address of the connection, never one of
    X-Forwarded-For; None without one. `networks` and `grants` are RELAY_AUTH_PROXIES and RELAY_AUTH_ROLES.

    Raises:
        Unauthorized: a header occurs twice or is malformed.
        Forbidden: the user has no role or no tenant in the relay.
    """
    if not is_within(peer_address or "", networks):
        return None
    values = _single_values(headers)
    if not values[USER]:
        return None
    user = require_name("X-Auth-User", values[USER])
    role, tenants = granted(grants, _parts(values[ROLES], ","), _parts(values[TENANTS], "|"))
    return Principal(
        kind="proxy", issuer="proxy", subject=user, name=user, role=role, tenants=tenants, method="proxy"
    )


def _single_values(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The values of the three headers, empty for one that is missing.

    A header that occurs twice is refused: the proxy may have added its own to that of the client.
    """
    values: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        if name not in (USER, ROLES, TENANTS):
            continue
        if name in values:
            raise Unauthorized(f"the header {name} is ambiguous: it occurs more than once")
        try:
            values[name] = raw_value.decode().strip()
        except UnicodeDecodeError:
            raise Unauthorized(f"the header {name} is not UTF-8") from None
    return {name: values.get(name, "") for name in (USER, ROLES, TENANTS)}


def _parts(value: str, separator: str) -> list[str]:
    return [part.strip() for part in value.split(separator) if part.strip()]
