"""Headers of authenticating proxies."""

import ipaddress

import pytest

from relay.access.proxy import principal_of_proxy
from relay.domain.errors import Forbidden, Unauthorized
from relay.domain.grants import parse_grants
from relay.domain.principals import Principal, Role

NETWORKS = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
GRANTS = parse_grants("platform-admin=admin:*,ops=operator")
PROXY = "10.0.0.5"
HEADERS = {"X-Auth-User": "ana", "X-Auth-Roles": "dev, ops", "X-Scope-OrgID": "a|b"}


def principal(peer: str | None = PROXY, *more: tuple[str, str]) -> Principal | None:
    pairs = [(name.encode(), value.encode()) for name, value in (*HEADERS.items(), *more)]
    return principal_of_proxy(pairs, peer, NETWORKS, GRANTS)


def headers(**values: bytes) -> list[tuple[bytes, bytes]]:
    """Raw headers, with underscores in place of dashes."""
    return [(name.replace("_", "-").encode(), value) for name, value in values.items()]


def test_a_proxy_names_the_user() -> None:
    expected = Principal(
        kind="proxy",
        issuer="proxy",
        subject="ana",
        name="ana",
        role=Role.OPERATOR,
        tenants=frozenset({"a", "b"}),
        method="proxy",
    )
    assert principal() == expected
    assert expected.identity == "proxy:proxy:ana"


@pytest.mark.parametrize("peer", ["10.255.0.1", "::ffff:10.0.0.5", "fd00::1", "fd00::1%eth0"])
def test_an_address_in_the_networks_is_a_proxy(peer: str) -> None:
    assert principal(peer) is not None


@pytest.mark.parametrize("peer", ["11.0.0.1", "::ffff:11.0.0.1", "::1", "proxy", "10.0.0.5,11.0.0.1", "", None])
def test_the_headers_of_any_other_address_are_ignored(peer: str | None) -> None:
    assert principal(peer) is None
    assert principal(peer, ("X-Auth-User", "eve"), ("X-Forwarded-For", PROXY)) is None


def test_without_networks_there_is_no_proxy() -> None:
    assert principal_of_proxy([(b"x-auth-user", b"ana")], PROXY, [], GRANTS) is None


def test_without_a_user_there_is_no_principal() -> None:
    assert principal_of_proxy([(b"x-auth-roles", b"ops")], PROXY, NETWORKS, GRANTS) is None
    assert principal_of_proxy([(b"x-auth-user", b" ")], PROXY, NETWORKS, GRANTS) is None


@pytest.mark.parametrize("name", [*HEADERS, "x-auth-user", "X-SCOPE-ORGID"])
def test_a_header_that_occurs_twice_is_ambiguous(name: str) -> None:
    with pytest.raises(Unauthorized, match="ambiguous"):
        principal(PROXY, (name, "eve"))


def test_the_name_may_be_utf_8() -> None:
    pairs = headers(x_auth_user="Åsa".encode(), x_auth_roles=b"platform-admin")
    found = principal_of_proxy(pairs, PROXY, NETWORKS, GRANTS)
    assert found is not None
    assert (found.name, found.role, found.tenants) == ("Åsa", Role.ADMIN, None)


@pytest.mark.parametrize("user", [b"\xff", b"a" * 256, b"a\0b"])
def test_a_malformed_name_is_refused(user: bytes) -> None:
    with pytest.raises(Unauthorized):
        principal_of_proxy(headers(x_auth_user=user, x_auth_roles=b"ops"), PROXY, NETWORKS, GRANTS)


@pytest.mark.parametrize("roles", [b"", b"dev", b"ops dev"])
def test_a_user_without_a_granted_role_is_refused(roles: bytes) -> None:
    pairs = headers(x_auth_user=b"ana", x_auth_roles=roles, x_scope_orgid=b"a")
    with pytest.raises(Forbidden, match="no role"):
        principal_of_proxy(pairs, PROXY, NETWORKS, GRANTS)


@pytest.mark.parametrize("tenants", [b"", b"|", b" | "])
def test_a_user_without_tenants_is_refused(tenants: bytes) -> None:
    pairs = headers(x_auth_user=b"ana", x_auth_roles=b"ops", x_scope_orgid=tenants)
    with pytest.raises(Forbidden, match="no tenants"):
        principal_of_proxy(pairs, PROXY, NETWORKS, GRANTS)
