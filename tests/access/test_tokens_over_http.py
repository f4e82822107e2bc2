"""Users of another application, and of an authenticating proxy, call a running relay."""

import time
from typing import Any

import pytest

from tests.access.issuer import CLAIMS, ec_key, publish, rsa_key, token
from tests.fixtures.relays import ApiResponse, Relay, RelayFactory
from tests.fixtures.sampling import representatives
from tests.fixtures.sink import Sink

HOOK = {"channel_type": "webhook", "webhook_url": "https://hooks.example.com/x"}


def issued(**claims: Any) -> str:
    return token(**{"exp": int(time.time()) + 60} | claims)


@pytest.fixture
async def relay(start_relay: RelayFactory, sink: Sink) -> Relay:
    """A relay that accepts tokens with the keys of the sink."""
    publish(sink, ec_key())
    return await start_relay(
        deliver=False,
        jwt_jwks_url=f"{sink.url}/keys",
        jwt_algorithms=("ES256", "RS256"),
        jwt_issuer=CLAIMS["iss"],
        jwt_audience=CLAIMS["aud"],
        auth_roles="operator=operator,root=admin:*,customer=viewer",
    )


async def test_a_token_is_a_principal_with_a_role_and_tenants(relay: Relay) -> None:
    me = (await relay.call("GET", "/me", key=issued())).json
    assert me == {
        "identity": f"token:{CLAIMS['iss']}:user-1",
        "name": "Ana",
        "role": "operator",
        "tenants": ["a"],
        "source": None,
        "method": "jwt",
        "may": ["read", "change"],
    }


async def test_what_a_user_changes_is_in_the_audit(relay: Relay) -> None:
    created = await relay.call("POST", "/channels", key=issued(), json={"name": "Ops", **HOOK})
    assert (created.status, created.json["tenant_id"]) == (201, "a")
    [entry] = await relay.items("/audit")
    assert (entry["author"], entry["author_name"], entry["method"]) == (
        f"token:{CLAIMS['iss']}:user-1",
        "Ana",
        "jwt",
    )
    assert (await relay.call("GET", "/channels/ops", key=issued(tenant_id="b"))).status == 404
    assert (await relay.call("GET", "/channels/ops", key=issued(tenant_id=["b", "a"]))).status == 200
    assert (await relay.call("GET", "/channels/ops", key=issued(role="root", tenant_id=None))).status == 200


async def test_a_token_of_less_is_refused(relay: Relay) -> None:
    async def status(**claims: Any) -> int:
        return (await relay.call("POST", "/channels", key=issued(**claims), json={"name": "x", **HOOK})).status

    assert await status(role="customer") == 403
    assert await status(role="unknown") == 403
    assert await status(tenant_id=None) == 403
    assert await status(tenant_id=[]) == 403


@pytest.mark.parametrize(
    "claims",
    representatives(
        [
            {"exp": 1},
            {"aud": "other"},
            {"iss": "https://other.example"},
            {"header": {"alg": "ES256", "kid": "unknown"}},
            {"exp": None},
            {"nbf": 4_000_000_000},
            {"aud": None},
            {"sub": ""},
            {"sub": None},
            {"header": {"crit": ["b64"], "b64": True}},
        ],
        keep=4,
    ),
    ids=str,
)
async def test_a_token_that_is_not_for_the_relay_is_unauthorized(relay: Relay, claims: dict[str, Any]) -> None:
    response: ApiResponse = await relay.call("GET", "/me", key=issued(**claims))
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer"), response.body


async def test_an_expired_token_is_no_guess(relay: Relay) -> None:
    """Otherwise a page whose token has expired would learn after some requests that it must wait."""
    expired = [(await relay.call("GET", "/me", key=issued(exp=1))).status for _ in range(30)]
    forged = [(await relay.call("GET", "/me", key=issued(key=ec_key("other")))).status for _ in range(30)]
    assert (set(expired), set(forged)) == ({401}, {401, 429})


async def test_keys_of_the_issuer_rotate(relay: Relay, sink: Sink) -> None:
    assert (await relay.call("GET", "/me", key=issued())).status == 200
    publish(sink, ec_key(), rsa_key())

    rotated = issued(key=rsa_key(), header={"alg": "RS256"})

    assert (await relay.call("GET", "/me", key=rotated)).status == 200
    assert (await relay.call("GET", "/me", key=issued())).status == 200


async def test_headers_of_a_proxy_are_accepted_from_its_address_alone(start_relay: RelayFactory) -> None:
    headers = {"X-Auth-User": "ana", "X-Auth-Roles": "dev,operator", "X-Scope-OrgID": "a|b"}
    behind = await start_relay(deliver=False, auth_proxies="127.0.0.0/8")
    beside = await start_relay(deliver=False, auth_proxies="192.0.2.0/24", trusted_proxies="127.0.0.1")

    me = (await behind.call("GET", "/me", key=None, headers=headers)).json
    forged = await beside.call("GET", "/me", key=None, headers=headers | {"X-Forwarded-For": "192.0.2.1"})
    plain = await behind.call("GET", "/me", key=None)

    assert (me["identity"], me["role"], me["tenants"]) == ("proxy:proxy:ana", "operator", ["a", "b"])
    assert (forged.status, plain.status) == (401, 401)
