"""Roles and tenants that are granted for those of another application."""

import pytest

from relay.domain.errors import Forbidden, Unauthorized
from relay.domain.grants import granted, parse_grants
from relay.domain.principals import Role, Tenants

GRANTS = parse_grants("root=admin:*, ops=operator,reader=viewer,auditor=viewer:*,push=ingest:*,a=b=viewer")


@pytest.mark.parametrize(
    ("roles", "tenants", "expected"),
    [
        (["root"], [], (Role.ADMIN, None)),
        (["root"], ["a"], (Role.ADMIN, None)),
        (["reader", "ops"], ["a", "b"], (Role.OPERATOR, frozenset({"a", "b"}))),
        (["unknown", "reader"], ["a"], (Role.VIEWER, frozenset({"a"}))),
        (["reader", "auditor"], ["a"], (Role.VIEWER, None)),
        (["push", "reader"], ["a"], (Role.VIEWER, frozenset({"a"}))),
        (["push"], [], (Role.INGEST, None)),
        (["a=b"], ["a"], (Role.VIEWER, frozenset({"a"}))),
    ],
)
def test_the_highest_role_applies(roles: list[str], tenants: list[str], expected: tuple[Role, Tenants]) -> None:
    assert granted(GRANTS, roles, tenants) == expected


def test_a_lower_role_for_all_tenants_does_not_extend_a_higher_one() -> None:
    assert granted(GRANTS, ["ops", "auditor"], ["a"]) == (Role.OPERATOR, frozenset({"a"}))
    with pytest.raises(Forbidden):
        granted(GRANTS, ["ops", "auditor"], [])


def test_without_a_setting_the_names_are_those_of_the_relay() -> None:
    for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER):
        assert granted(parse_grants(""), [role.value], ["a"]) == (role, frozenset({"a"}))
    with pytest.raises(Forbidden, match="no tenants"):
        granted(parse_grants(""), ["admin"], [])
    with pytest.raises(Forbidden, match="no role"):
        granted(parse_grants(""), ["ingest"], ["a"])


@pytest.mark.parametrize("roles", [[], ["unknown"], ["admin"], ["OPS"], [""]])
def test_a_user_without_a_granted_role_is_refused(roles: list[str]) -> None:
    with pytest.raises(Forbidden, match="no role"):
        granted(GRANTS, roles, ["a"])


@pytest.mark.parametrize("tenant", ["", "a" * 256, "a\0b", "\ud800"])
def test_a_tenant_that_can_not_be_stored_is_refused(tenant: str) -> None:
    with pytest.raises(Unauthorized, match="a tenant must"):
        granted(GRANTS, ["ops"], ["a", tenant])
