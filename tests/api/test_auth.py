"""Authentication: which endpoints require a key, and which keys are accepted."""

import re

from litestar.routes import HTTPRoute

from relay.app import BASE_PATH, create_application
from tests.fixtures.relays import ADMIN_KEY, ApiResponse, Relay, webhook

OPEN = {"/webhook"}


def unauthorized(response: ApiResponse) -> None:
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.json["status"], response.json["title"]) == (401, "Unauthorized")


def guarded_calls() -> list[tuple[str, str]]:
    """Every method of every route under the base path, except open ones."""
    found = []
    for route in create_application().routes:
        path = re.sub(r"\{[^}]*:int\}", "1", re.sub(r"\{[^}]*:str\}", "x", route.path))
        if isinstance(route, HTTPRoute) and path.startswith(BASE_PATH):
            found += [(method, path.removeprefix(BASE_PATH)) for method in route.methods]
    return [(method, path) for method, path in found if path not in OPEN]


async def test_every_route_except_the_webhook_requires_a_key(relay: Relay) -> None:
    calls = guarded_calls()
    assert {("POST", "/channels"), ("DELETE", "/channels/x"), ("GET", "/history/1")} <= set(calls)

    for method, path in calls:
        unauthorized(await relay.call(method, path, key=None))


async def test_the_webhook_and_the_health_endpoints_require_no_key(relay: Relay) -> None:
    assert (await relay.webhook(webhook())).status == 202
    for path in ("health", "-/healthy", "-/ready", "metrics", "schema", "schema/openapi.json"):
        assert (await relay.call("GET", path, key=None)).status == 200


async def test_an_invalid_key_is_rejected(relay: Relay) -> None:
    for given in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {ADMIN_KEY}x",
        f"Basic {ADMIN_KEY}",
        ADMIN_KEY,
        "Bearer é",
    ):
        unauthorized(await relay.call("GET", "/channels", key=None, headers={"Authorization": given}))


async def test_the_admin_key_is_accepted_with_the_scheme_in_any_case(relay: Relay) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        given = {"Authorization": f"{scheme} {ADMIN_KEY}"}
        assert (await relay.call("GET", "/channels", key=None, headers=given)).status == 200


async def test_a_key_of_the_database_is_accepted_until_it_is_revoked(relay: Relay) -> None:
    key = (await relay.call("POST", "/keys", json={"name": "deploy", "role": "viewer"})).json
    assert (await relay.call("GET", "/channels", key=key["key"])).status == 200

    assert (await relay.call("DELETE", f"/keys/{key['id']}")).status == 204

    unauthorized(await relay.call("GET", "/channels", key=key["key"]))
    unauthorized(await relay.call("GET", "/channels", key=key["id"]))


async def test_a_caller_without_a_key_can_not_find_out_what_exists(relay: Relay) -> None:
    await relay.channel(name="Ops", channel_type="slack", webhook_url="https://hooks.example.com/x")

    there = await relay.call("GET", "/channels/ops", key=None)
    gone = await relay.call("GET", "/channels/gone", key=None)
    malformed = await relay.call("POST", "/channels", key=None, data="{")

    assert there.json == gone.json == malformed.json
