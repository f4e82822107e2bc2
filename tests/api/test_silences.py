"""Silences over the API: what they are created with, how they change, and how they end."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.api.assertions import rejected
from tests.fixtures.relays import ApiResponse, Relay
from tests.fixtures.silencing import body, expire, later, post, read, silence

UNKNOWN = "00000000-0000-4000-8000-000000000000"
CHANNEL = {"channel_type": "webhook", "webhook_url": "http://127.0.0.1:9/x"}


async def change(relay: Relay, silence_id: str, **fields: Any) -> ApiResponse:
    return await relay.call("PATCH", f"/silences/{silence_id}", json=fields)


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_silence_is_created_as_alertmanager_would(relay: Relay) -> None:
    response = await post(relay, starts_at="2020-01-01T00:00:00Z")
    created = response.json
    assert (response.status, response.headers["ETag"]) == (201, '"1"')
    assert response.headers["Location"] == f"/api/v1/monitoring/alerts/silences/{created['id']}"
    assert created["matchers"] == [{"name": "team", "value": "db", "isRegex": False, "isEqual": True}]
    assert (created["state"], created["comment"], created["created_by"]) == ("active", "work", "RELAY_ADMIN_KEY")
    assert abs(time_of(created["starts_at"]) - time_of(created["created_at"])) < timedelta(seconds=5)
    assert (created["next"], created["tenant_id"], created["channels"]) == ([], None, [])
    assert await read(relay, created["id"]) == created


async def test_matchers_may_be_objects_or_texts(relay: Relay) -> None:
    given = [{"name": "a", "value": "b.*", "isRegex": True, "isEqual": False}, 'c=~"d", "ü"!="e"']
    created = await silence(relay, matchers=given)
    shown = [(one["name"], one["value"], one["isRegex"], one["isEqual"]) for one in created["matchers"]]
    assert shown == [("a", "b.*", True, False), ("c", "d", True, True), ("ü", "e", False, False)]
    assert (await silence(relay, matchers='{a="b"}'))["matchers"][0]["name"] == "a"
    assert (await silence(relay, matchers=created["matchers"]))["matchers"] == created["matchers"]


async def test_all_fields_are_kept(relay: Relay) -> None:
    await relay.channel(id="ops", name="ops", **CHANNEL, tenant_id="acme")
    given: dict[str, Any] = {
        "starts_at": later(days=1),
        "ends_at": later(days=30),
        "rrule": "FREQ=DAILY",
        "duration": "2h",
        "time_zone": "Europe/Vienna",
        "created_by": "ops@example.com",
        "tenant_id": "acme",
        "channels": ["ops"],
        "send_resolved": False,
        "expire_when_resolved": True,
        "expires_if_unmatched_for": "3h",
        "remind_before": "15m",
        "remind_channel_id": "ops",
    }
    created = await silence(relay, **given)
    for name in given.keys() - {"starts_at", "ends_at"}:
        assert created[name] == given[name], name
    assert created["state"] == "pending"
    starts = [time_of(window["starts_at"]) for window in created["next"]]
    assert len(starts) == 3
    assert time_of(created["next"][0]["ends_at"]) - starts[0] == timedelta(hours=2)
    assert await read(relay, created["id"]) == created


INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"matchers": []}, "matchers", "at least 1"),
    ({"matchers": None}, "matchers", "missing"),
    ({"matchers": ['a=""']}, "matchers", "must not match the empty string"),
    ({"matchers": ['a=~".*"', 'b=""']}, "matchers", "must not match the empty string"),
    ({"matchers": ['a=~"("']}, "matchers[0]", "regular expression"),
    ({"matchers": ["a"]}, "matchers[0]", "not a matcher"),
    ({"matchers": [{"name": "", "value": "x"}]}, "matchers[0].name", "empty"),
    ({"matchers": [{"name": "a"}]}, "matchers[0].value", "missing"),
    ({"matchers": [{"name": "a", "value": "b", "regex": True}]}, "matchers[0].regex", "not a known field"),
    ({"matchers": ['a="b"'] * 101}, "matchers", "100"),
    ({"ends_at": None}, "ends_at", "missing"),
    ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at", "end time can't be in the past"),
    ({"starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"}, "ends_at", "before end time"),
    ({"starts_at": "2030-01-01T00:00:00"}, "starts_at", "time zone"),
    ({"comment": "x" * 5000}, "comment", "4096"),
    ({"comment": "\0"}, "comment", "U+0000"),
    ({"comment": 1}, "comment", "Expected `str`"),
    ({"tenant_id": ""}, "tenant_id", "empty"),
    ({"rrule": "FREQ=DAILY"}, "duration", "missing"),
    ({"duration": "1h"}, "rrule", "missing"),
    ({"rrule": "FREQ=SECONDLY", "duration": "1h"}, "rrule", "FREQ"),
    ({"rrule": "FREQ=DAILY", "duration": "x"}, "duration", "duration"),
    ({"time_zone": "Europe/Vienna"}, "time_zone", "rrule"),
    ({"rrule": "FREQ=DAILY", "duration": "1h", "time_zone": "Mars"}, "time_zone", "Mars"),
    ({"remind_before": "1h"}, "remind_channel_id", "missing"),
    ({"remind_channel_id": "ops"}, "remind_before", "missing"),
    ({"remind_channel_id": "gone", "remind_before": "1h"}, "remind_channel_id", "no channel 'gone'"),
    ({"channels": ["gone"]}, "channels[0]", "no channel 'gone'"),
    ({"expires_if_unmatched_for": "0s"}, "expires_if_unmatched_for", "more than 0"),
    ({"id": "x"}, "id", "not a known field"),
    ({"matcher": []}, "matcher", "not a known field"),
]


async def test_an_invalid_field_is_named(relay: Relay) -> None:
    for fields, field, text in INVALID:
        rejected(await post(relay, **fields), field, text)
        rejected(await relay.call("POST", "/silences/preview", json=body(**fields)), field, text)
    large = await post(relay, matchers=[f'a="{"x" * 4000}"'] * 5)
    assert (large.status, "limit: 16384 bytes" in large.json["detail"]) == (400, True)
    assert await relay.items("/silences") == []


async def test_comment_and_end_change_in_place(relay: Relay) -> None:
    created = await silence(relay)
    end = later(hours=5)
    response = await change(relay, created["id"], comment="longer", ends_at=end)
    assert (response.status, response.headers["ETag"], response.json["replaces"]) == (200, '"2"', None)
    assert response.json["id"] == created["id"]
    assert (response.json["comment"], time_of(response.json["ends_at"])) == ("longer", time_of(end))
    same = await change(relay, created["id"], **response.json)
    assert (same.status, same.headers["ETag"]) == (200, '"2"')


@pytest.mark.parametrize("fields", [{"matchers": ['team="web"']}, {"starts_at": "2100-01-01T00:00:00Z"}])
async def test_other_matchers_or_another_start_make_a_new_silence(relay: Relay, fields: dict[str, Any]) -> None:
    created = await silence(relay, ends_at="2101-01-01T00:00:00Z")
    response = await change(relay, created["id"], **fields)
    assert (response.status, response.json["replaces"]) == (200, created["id"])
    assert response.json["id"] != created["id"]
    assert response.json["comment"] == "work"
    assert (await read(relay, created["id"]))["state"] == "expired"
    assert response.json == await read(relay, response.json["id"]) | {"replaces": created["id"]}


async def test_a_change_of_an_expired_silence_makes_a_new_one(relay: Relay) -> None:
    created = await silence(relay)
    ended = await expire(relay, created["id"])
    renewed = (await change(relay, created["id"], ends_at=later(hours=2))).json
    assert (renewed["state"], renewed["replaces"]) == ("active", created["id"])
    assert await read(relay, created["id"]) == ended


async def test_null_resets_a_field(relay: Relay) -> None:
    created = await silence(relay, expires_if_unmatched_for="1h", send_resolved=False)
    changed = (await change(relay, created["id"], expires_if_unmatched_for=None, send_resolved=None)).json
    assert (changed["expires_if_unmatched_for"], changed["send_resolved"]) == (None, True)
    rejected(await change(relay, created["id"], ends_at=None), "ends_at", "missing")
    rejected(await change(relay, created["id"], matchers=None), "matchers", "missing")
    rejected(await change(relay, created["id"], nonsense=1), "nonsense", "not a known field")
    rejected(await change(relay, created["id"], channels=["gone"]), "channels[0]", "no channel")


async def test_a_channel_that_was_deleted_since_may_remain(relay: Relay) -> None:
    await relay.channel(id="ops", name="ops", **CHANNEL)
    created = await silence(relay, channels=["ops"])
    await relay.change("DELETE", "/channels/ops")
    assert (await change(relay, created["id"], comment="x")).json["channels"] == ["ops"]


async def test_expiring_ends_a_silence_once(relay: Relay) -> None:
    created = await silence(relay)
    ended = await expire(relay, created["id"])
    assert (ended["state"], ended["version"]) == ("expired", 2)
    assert await expire(relay, created["id"]) == ended
    pending = await silence(relay, starts_at=later(hours=1), ends_at=later(hours=2))
    assert pending["state"] == "pending"
    ended = await expire(relay, pending["id"])
    assert (ended["state"], ended["starts_at"]) == ("expired", ended["ends_at"])


async def test_if_match_names_the_version_to_change(relay: Relay) -> None:
    created = await silence(relay)
    path, stale = f"/silences/{created['id']}", {"If-Match": '"7"'}
    for call in (
        relay.call("PATCH", path, json={"comment": "x"}, headers=stale),
        relay.call("POST", f"{path}/expire", headers=stale),
    ):
        response = await call
        assert (response.status, "is at version 1" in response.json["detail"]) == (412, True)
    current = {"If-Match": '"1"'}
    assert (await relay.call("PATCH", path, json={"comment": "x"}, headers=current)).status == 200


async def test_each_change_is_a_version_and_in_the_audit(relay: Relay) -> None:
    created = await silence(relay)
    await change(relay, created["id"], comment="x")
    await expire(relay, created["id"])
    versions = await relay.items(f"/silences/{created['id']}/versions")
    assert [(one["number"], one["action"]) for one in versions] == [(3, "updated"), (2, "updated"), (1, "created")]
    assert versions[1]["changes"] == {"comment": {"before": "work", "after": "x"}}
    assert [*versions[0]["changes"]] == ["ends_at"]
    audit = await relay.items(f"/audit?kind=silence&object_id={created['id']}")
    assert [entry["author_name"] for entry in audit] == ["RELAY_ADMIN_KEY"] * 3


async def test_an_unknown_silence_is_not_found(relay: Relay) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/expire"), ("GET", "/versions")):
        request: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
        response = await relay.call(method, f"/silences/{UNKNOWN}{path}", **request)
        assert response.status == 404, (method, path)


@pytest.mark.slow
async def test_there_are_at_most_20000_that_have_not_ended(relay: Relay, sql: Any) -> None:
    created = await silence(relay)
    ended = await silence(relay, ends_at=later(hours=2))
    await expire(relay, ended["id"])
    await sql.execute(
        """
        INSERT INTO silences (id, body, starts_at, ends_at)
        SELECT n::text, s.body, s.starts_at, s.ends_at FROM silences s, generate_series(1, 19999) AS n
        WHERE s.id = $1
        """,
        created["id"],
    )
    response = await post(relay)
    assert (response.status, "20000 silences" in response.json["detail"]) == (409, True)
    assert (await change(relay, created["id"], comment="x")).status == 200
    assert (await change(relay, created["id"], matchers=['a="b"'])).status == 200
    assert (await change(relay, ended["id"], ends_at=later(hours=3))).status == 409
    await expire(relay, "7")
    assert (await post(relay)).status == 201
