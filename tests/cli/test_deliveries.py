"""`relay deliveries` sends the given filters and shows the responses."""

from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.relays import ADMIN_KEY, RelayFactory, webhook
from tests.fixtures.sink import Sink

from .conftest import FakeApi, Relay

DEAD: dict[str, Any] = {
    "id": 17,
    "channel_id": "ops",
    "kind": "group",
    "group_key": '{}:{alertname="Down"}',
    "state": "dead",
    "attempt_count": 2,
    "created_at": "2026-11-23T15:33:27Z",
    "next_attempt_at": None,
    "last_reason": "clientError",
    "last_error": "400 no such field",
}
ATTEMPTS = [{"number": 1, "outcome": "rejected", "status_code": 400, "detail": "no such field"}]
TIMES = ["--since", "2026-11-23T00:00:00Z", "--until", "2026-11-24T00:00:00Z"]
TIME_QUERY = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}


async def test_the_list_has_a_line_per_delivery(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [DEAD, {**DEAD, "id": 16, "group_key": None}], "next": None})
    result = await relay_at("deliveries", "list")
    heading, first, second = result.out.splitlines()
    assert heading.split()[:4] == ["ID", "CHANNEL", "ID", "STATE"]
    assert first.split()[:4] == ["17", "ops", "dead", "2"]
    assert "400 no such field" in first
    assert second.split()[0] == "16"
    assert (api.requests[0].method, api.requests[0].path, api.requests[0].query) == (
        "GET",
        "/deliveries",
        {"limit": "50"},
    )


async def test_the_filters_of_the_list_are_sent(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [], "next": None})
    result = await relay_at("deliveries", "list", "--channel-id", "ops", "--state", "dead", *TIMES)
    assert result.code == 0
    assert api.requests[0].query == {"limit": "50", "channel_id": "ops", "state": "dead", **TIME_QUERY}


async def test_deliveries_are_listed_by_source(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [], "next": None})
    assert (await relay_at("deliveries", "list", "--source", "eu")).code == 0
    assert api.requests[0].query == {"limit": "50", "source": "eu"}


async def test_pages_are_read_until_the_limit(api: FakeApi, relay_at: Relay) -> None:
    for size, following in ((500, "a"), (100, "b")):
        api.respond({"items": [DEAD] * size, "next": following})
    result = await relay_at("deliveries", "list", "--limit", "600", "--state", "dead", "--output", "json")
    assert len(result.json["items"]) == 600
    assert [request.query for request in api.requests] == [
        {"limit": "500", "state": "dead"},
        {"limit": "100", "state": "dead", "cursor": "a"},
    ]


async def test_a_delivery_is_shown_with_its_attempts(api: FakeApi, relay_at: Relay) -> None:
    api.respond({**DEAD, "attempts": ATTEMPTS})
    result = await relay_at("deliveries", "get", "17")
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert (lines["id"], lines["state"], lines["next_attempt_at"]) == ("17", "dead", "-")
    assert "status_code: 400" in lines["attempts"]
    assert api.requests[0].path == "/deliveries/17"


async def test_a_delivery_is_redelivered(api: FakeApi, relay_at: Relay) -> None:
    api.respond({**DEAD, "state": "pending"}, 202)
    result = await relay_at("deliveries", "redeliver", "17", "--output", "json")
    assert (result.code, result.json["state"]) == (0, "pending")
    assert (api.requests[0].method, api.requests[0].path) == ("POST", "/deliveries/17/redeliver")


async def test_a_rejected_redelivery_is_reported_in_one_line(api: FakeApi, relay_at: Relay) -> None:
    api.respond_problem(409, "the delivery 17 was merged into 18; redeliver that one")
    result = await relay_at("deliveries", "redeliver", "17")
    assert (result.code, result.err) == (1, "relay: the delivery 17 was merged into 18; redeliver that one\n")


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ([], {}),
        (
            ["--channel-id", "ops", "--state", "delivered", *TIMES],
            {"channel_id": "ops", "state": "delivered", **TIME_QUERY},
        ),
    ],
    ids=["all", "some"],
)
async def test_all_matching_deliveries_are_redelivered(
    api: FakeApi, relay_at: Relay, arguments: list[str], body: dict[str, str]
) -> None:
    api.respond({"redelivered": 3, "more": True})
    result = await relay_at("deliveries", "redeliver-all", *arguments)
    assert dict(line.split() for line in result.out.splitlines()) == {"redelivered": "3", "more": "yes"}
    assert (api.requests[0].method, api.requests[0].path, api.body) == ("POST", "/deliveries/redeliver", body)


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--state", "lost"],
        ["list", "--limit", "0"],
        ["get", "x"],
        ["redeliver", "-1"],
        ["redeliver"],
        ["redeliver-all", "--state", "pending"],
    ],
    ids=" ".join,
)
async def test_invalid_arguments_are_not_sent(api: FakeApi, relay_at: Relay, arguments: list[str]) -> None:
    result = await relay_at("deliveries", *arguments)
    assert (result.code, result.err.startswith("relay: ")) == (2, True)
    assert api.requests == []


async def test_a_dead_delivery_is_listed_and_redelivered_by_a_relay(
    relay: Relay, start_relay: RelayFactory, sink: Sink
) -> None:
    server = await start_relay()
    known = {"RELAY_URL": server.url, "RELAY_KEY": ADMIN_KEY}
    sink.script = lambda _: web.Response(status=400, text="not like this")
    arguments = ["--name", "Ops", "--webhook-url", sink.url, "--rate-limit", '{"per_second": 50, "burst": 5}']
    assert (await relay("channels", "create", "webhook", *arguments, **known)).code == 0
    await server.webhook(webhook())
    [dead] = await server.settled(1, "dead")
    sink.script = None

    listed = await relay("deliveries", "list", "--state", "dead", "--channel-id", "ops", **known)
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == [str(dead["id"])]
    again = await relay("deliveries", "redeliver", str(dead["id"]), "--output", "json", **known)
    assert (again.code, again.json["id"]) == (0, dead["id"])
    await server.settled(1)
    delivery = await relay("deliveries", "get", str(dead["id"]), "--output", "json", **known)
    assert [attempt["outcome"] for attempt in delivery.json["attempts"]] == ["rejected", "sent"]

    every = await relay("deliveries", "redeliver-all", "--state", "delivered", "--output", "json", **known)
    assert every.json == {"redelivered": 1, "more": False}
    assert (await relay("channels", "health", "ops", "--output", "json", **known)).json["state"] in {
        *("healthy", "degraded", "failing"),
    }
    rejected = await relay("deliveries", "list", "--since", "yesterday", **known)
    assert (rejected.code, rejected.err.startswith("relay: since: ")) == (1, True)
