"""API keys over the API: what each is created with, and what its owner may do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.relays import ApiResponse, Relay, RelayFactory
from tests.fixtures.sampling import representatives

FUTURE = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
PAST = "2020-01-01T00:00:00Z"


async def create(relay: Relay, key: str | None = None, **fields: Any) -> ApiResponse:
    caller = {} if key is None else {"key": key}
    return await relay.call("POST", "/keys", json={"name": "k", "role": "viewer"} | fields, **caller)


async def test_a_key_is_shown_once(relay: Relay) -> None:
    created = await create(relay, tenant_id="acme", expires_at=FUTURE)
    assert created.status == 201
    shown = (await relay.call("GET", f"/keys/{created.json['id']}")).json
    assert {name: value for name, value in created.json.items() if name != "key"} == shown
    assert (shown["tenants"], shown["role"], shown["last_used_at"]) == (["acme"], "viewer", None)
    assert shown["created_by"] == "key:settings:admin"
    listed = await relay.call("GET", "/keys")
    assert created.json["key"].encode() not in listed.body
    assert listed.json["items"] == [shown]


async def test_who_one_is_and_what_one_may_do(relay: Relay) -> None:
    created = (await create(relay, role="operator", tenants=["b", "a"])).json
    assert (await relay.call("GET", "/me", key=created["key"])).json == {
        "identity": f"key:relay:{created['id']}",
        "name": "k",
        "role": "operator",
        "tenants": ["a", "b"],
        "source": None,
        "method": "key",
        "may": ["read", "change"],
    }
    assert (await relay.call("GET", "/me")).json["may"] == ["read", "change", "manage", "ingest"]


@pytest.mark.parametrize(
    ("fields", "field"),
    representatives(
        [
            ({"name": " "}, "name"),
            ({"role": "root"}, "role"),
            ({"tenant_id": "a", "tenants": ["a"]}, "tenants"),
            ({"source": "prod"}, "source"),
            ({"expires_at": PAST}, "expires_at"),
            ({"name": "x" * 201}, "name"),
            ({"name": "\0"}, "name"),
            ({"tenants": []}, "tenants"),
            ({"tenants": [""]}, "tenants"),
            ({"tenant_id": ""}, "tenant_id"),
            ({"tenant_id": "\0"}, "tenant_id"),
            ({"tenants": ["a", "\0"]}, "tenants[1]"),
            ({"role": "ingest", "tenants": ["a", "b"]}, "tenants"),
            ({"role": "ingest", "source": "a@b"}, "source"),
            ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
            ({"rights": "all"}, "rights"),
        ],
        keep=5,
    ),
)
async def test_an_invalid_key_names_the_field(relay: Relay, fields: dict[str, Any], field: str) -> None:
    response = await create(relay, **fields)
    assert (response.status, response.json["errors"][0]["field"]) == (400, field), response.body


async def test_a_name_is_unique_among_keys_that_are_not_revoked(relay: Relay) -> None:
    first = (await create(relay)).json
    assert (await create(relay)).status == 409
    await relay.call("DELETE", f"/keys/{first['id']}")
    assert (await create(relay)).status == 201


async def test_a_rotated_key_and_the_old_one_are_valid_for_the_overlap(relay: Relay) -> None:
    old = (await create(relay)).json
    new = (await relay.call("POST", f"/keys/{old['id']}/rotate", json={"overlap": "1h"})).json
    assert (new["id"], new["previous_until"] is not None) == (old["id"], True)
    statuses = [(await relay.call("GET", "/me", key=key["key"])).status for key in (old, new)]
    assert statuses == [200, 200]
    newest = (await relay.call("POST", f"/keys/{old['id']}/rotate", json={"overlap": "0s"})).json
    statuses = [(await relay.call("GET", "/me", key=key["key"])).status for key in (old, new, newest)]
    assert statuses == [401, 401, 200]


@pytest.mark.parametrize("overlap", representatives(["31d", None, "", "1", "-1h", "1 h", "1h30", 5], keep=2))
async def test_an_overlap_is_a_duration_of_at_most_30_days(relay: Relay, overlap: Any) -> None:
    key = (await create(relay)).json
    response = await relay.call("POST", f"/keys/{key['id']}/rotate", json={"overlap": overlap})
    assert (response.status, response.json["errors"][0]["field"]) == (400, "overlap")


async def test_a_revocation_applies_to_the_next_request_in_every_process(start_relay: RelayFactory) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)
    for at in range(10):
        key = (await create(one, name=str(at))).json
        assert (await other.call("GET", "/me", key=key["key"])).status == 200
        await one.change("DELETE", f"/keys/{key['id']}")
        assert (await other.call("GET", "/me", key=key["key"])).status == 401
        one, other = other, one


async def test_the_last_use_of_a_key_is_shown(relay: Relay) -> None:
    key = (await create(relay)).json
    before = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(2):  # the use is written after the response
        await relay.call("GET", "/me", key=key["key"])
    shown = (await relay.call("GET", f"/keys/{key['id']}")).json
    assert before <= datetime.fromisoformat(shown["last_used_at"]) <= datetime.now(UTC) + timedelta(seconds=1)


async def test_a_refusal_names_the_role(relay: Relay) -> None:
    key = (await create(relay)).json["key"]
    response = await relay.call("POST", "/channels", key=key, json={})
    assert (response.status, response.json["detail"]) == (
        403,
        "the role viewer of 'k' does not allow this request",
    )
