"""`relay sources` shows the sources with their senders."""

from typing import Any

from .conftest import FakeApi, Relay

SENDER = {"external_url": "http://am", "address": "10.0.0.1", "last_seen_at": "2026-11-23T15:33:27Z"}
EU: dict[str, Any] = {"name": "eu", "stale_after": 3600.0, "senders": [SENDER, {**SENDER, "address": "am-1"}]}


async def test_the_list_has_a_line_per_sender(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [EU, {"name": "us", "stale_after": None, "senders": []}], "next": None})
    result = await relay_at("sources", "list")
    _, first, second, third = result.out.splitlines()
    assert first.split() == ["eu", "http://am", "10.0.0.1", "2026-11-23T15:33:27Z", "3600.0"]
    assert second.split()[2] == "am-1"
    assert third.split()[0] == "us"
    assert api.requests[0].path == "/sources"


async def test_one_source_is_shown_as_json(api: FakeApi, relay_at: Relay) -> None:
    api.respond(EU)
    result = await relay_at("sources", "get", "eu", "--output", "json")
    assert result.json == EU
    assert api.requests[0].path == "/sources/eu"


async def test_the_time_for_stale_alerts_is_set_and_cleared(api: FakeApi, relay_at: Relay) -> None:
    for options, sent in ((("--stale-after", "3600"), 3600.0), (("--clear",), None)):
        api.respond(EU)
        result = await relay_at("sources", "update", "eu", *options)
        assert result.code == 0
        assert (api.requests[-1].method, api.requests[-1].path) == ("PATCH", "/sources/eu")
        assert api.requests[-1].body == {"stale_after": sent}


async def test_an_update_requires_one_option(api: FakeApi, relay_at: Relay) -> None:
    for options in ((), ("--stale-after", "1", "--clear")):
        result = await relay_at("sources", "update", "eu", *options)
        assert result.code == 1
        assert "either --stale-after or --clear" in result.err
    assert api.requests == []
