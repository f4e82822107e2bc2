"""Do the delivery commands ask for what was meant, and show what came back?"""

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
WHEN = ["--since", "2026-11-23T00:00:00Z", "--until", "2026-11-24T00:00:00Z"]
ASKED = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}


async def test_a_list_shows_a_line_for_each_delivery(api: FakeApi, relay_at: Relay) -> None:
    api.answer({"items": [DEAD, {**DEAD, "id": 16, "group_key": None}], "next": None})
    ran = await relay_at("deliveries", "list")
    heading, first, second = ran.out.splitlines()
    assert heading.split()[:4] == ["ID", "CHANNEL", "ID", "STATE"]
    assert first.split()[:4] == ["17", "ops", "dead", "2"]
    assert "400 no such field" in first
    assert second.split()[0] == "16"
    assert (api.seen[0].method, api.seen[0].path, api.seen[0].query) == ("GET", "/deliveries", {"limit": "50"})


async def test_the_filters_of_a_list_are_sent(api: FakeApi, relay_at: Relay) -> None:
    api.answer({"items": [], "next": None})
    ran = await relay_at("deliveries", "list", "--channel-id", "ops", "--state", "dead", *WHEN)
    assert ran.code == 0
    assert api.seen[0].query == {"limit": "50", "channel_id": "ops", "state": "dead", **ASKED}


async def test_as_many_pages_are_read_as_the_limit_takes(api: FakeApi, relay_at: Relay) -> None:
    for size, following in ((500, "a"), (100, "b")):
        api.answer({"items": [DEAD] * size, "next": following})
    ran = await relay_at("deliveries", "list", "--limit", "600", "--state", "dead", "--output", "json")
    assert len(ran.json["items"]) == 600
    assert [seen.query for seen in api.seen] == [
        {"limit": "500", "state": "dead"},
        {"limit": "100", "state": "dead", "cursor": "a"},
    ]


async def test_one_delivery_is_shown_with_its_tries(api: FakeApi, relay_at: Relay) -> None:
    api.answer({**DEAD, "attempts": ATTEMPTS})
    ran = await relay_at("deliveries", "get", "17")
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert (lines["id"], lines["state"], lines["next_attempt_at"]) == ("17", "dead", "-")
    assert "status_code: 400" in lines["attempts"]
    assert api.seen[0].path == "/deliveries/17"


async def test_one_is_sent_again(api: FakeApi, relay_at: Relay) -> None:
    api.answer({**DEAD, "state": "pending"}, 202)
    ran = await relay_at("deliveries", "redeliver", "17", "--output", "json")
    assert (ran.code, ran.json["state"]) == (0, "pending")
    assert (api.seen[0].method, api.seen[0].path) == ("POST", "/deliveries/17/redeliver")


async def test_what_can_not_be_sent_again_is_told_in_one_line(api: FakeApi, relay_at: Relay) -> None:
    api.refuse(409, "the delivery 17 was merged into 18; send that one again")
    ran = await relay_at("deliveries", "redeliver", "17")
    assert (ran.code, ran.err) == (1, "relay: the delivery 17 was merged into 18; send that one again\n")


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ([], {}),
        (
            ["--channel-id", "ops", "--state", "delivered", *WHEN],
            {"channel_id": "ops", "state": "delivered", **ASKED},
        ),
    ],
    ids=["all", "some"],
)
async def test_all_that_fit_are_sent_again(
    api: FakeApi, relay_at: Relay, words: list[str], body: dict[str, str]
) -> None:
    api.answer({"redelivered": 3, "more": True})
    ran = await relay_at("deliveries", "redeliver-all", *words)
    assert dict(line.split() for line in ran.out.splitlines()) == {"redelivered": "3", "more": "yes"}
    assert (api.seen[0].method, api.seen[0].path, api.body) == ("POST", "/deliveries/redeliver", body)


@pytest.mark.parametrize(
    "words",
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
async def test_what_means_nothing_is_not_sent(api: FakeApi, relay_at: Relay, words: list[str]) -> None:
    ran = await relay_at("deliveries", *words)
    assert (ran.code, ran.err.startswith("relay: ")) == (2, True)
    assert api.seen == []


async def test_a_dead_letter_is_found_and_sent_again_with_a_real_server(
    relay: Relay, start_relay: RelayFactory, sink: Sink
) -> None:
    server = await start_relay()
    known = {"RELAY_URL": server.url, "RELAY_KEY": ADMIN_KEY}
    sink.script = lambda _: web.Response(status=400, text="not like this")
    words = ["--name", "Ops", "--webhook-url", sink.url, "--rate-limit", '{"per_second": 50, "burst": 5}']
    assert (await relay("channels", "create", "webhook", *words, **known)).code == 0
    await server.webhook(webhook())
    [dead] = await server.settled(1, "dead")
    sink.script = None

    listed = await relay("deliveries", "list", "--state", "dead", "--channel-id", "ops", **known)
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == [str(dead["id"])]
    again = await relay("deliveries", "redeliver", str(dead["id"]), "--output", "json", **known)
    assert (again.code, again.json["id"]) == (0, dead["id"])
    await server.settled(1)
    shown = await relay("deliveries", "get", str(dead["id"]), "--output", "json", **known)
    assert [one["outcome"] for one in shown.json["attempts"]] == ["rejected", "sent"]

    every = await relay("deliveries", "redeliver-all", "--state", "delivered", "--output", "json", **known)
    assert every.json == {"redelivered": 1, "more": False}
    assert (await relay("channels", "health", "ops", "--output", "json", **known)).json["state"] in {
        *("healthy", "degraded", "failing"),
    }
    refused = await relay("deliveries", "list", "--since", "yesterday", **known)
    assert (refused.code, refused.err.startswith("relay: since: ")) == (1, True)
