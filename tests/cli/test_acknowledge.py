"""`relay ack` sends what is given, and shows the response."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.relays import ADMIN_KEY, RelayFactory, webhook

from .conftest import FakeApi, Relay

GROUP = '{}:{group="g"}'


async def test_an_alert_is_acknowledged(api: FakeApi, relay_at: Relay) -> None:
    until = "2026-11-23T18:00:00Z"
    api.respond({"by": "key:relay:1", "by_name": "alice", "since": until, "until": until, "comment": "on it"})
    result = await relay_at("ack", "17", "--comment", "on it", "--until", until)
    assert dict(line.split(maxsplit=1) for line in result.out.splitlines())["by_name"] == "alice"
    assert (api.requests[0].method, api.requests[0].path) == ("POST", "/history/17/acknowledge")
    assert api.body == {"comment": "on it", "until": until}


async def test_a_duration_is_sent_as_the_time_when_it_ends(api: FakeApi, relay_at: Relay) -> None:
    assert (await relay_at("ack", "17", "--for", "2h")).code == 0
    left = datetime.fromisoformat(api.body["until"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < left <= timedelta(hours=2)


async def test_a_group_is_acknowledged_and_withdrawn(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"acknowledged": 2, "alert_ids": [17, 18]})
    api.respond({"withdrawn": 2, "alert_ids": [17, 18]})
    group = ["--group", GROUP, "--source", "eu", "--tenant-id", "acme"]
    result = await relay_at("ack", *group)
    assert "17, 18" in result.out
    result = await relay_at("ack", *group, "--withdraw", "--output", "json")
    assert result.json == {"withdrawn": 2, "alert_ids": [17, 18]}
    assert [(request.method, request.path) for request in api.requests] == [
        ("POST", "/groups/acknowledge"),
        ("DELETE", "/groups/acknowledge"),
    ]
    assert [request.body for request in api.requests] == [
        {"group_key": GROUP, "source": "eu", "tenant_id": "acme"}
    ] * 2


async def test_the_acknowledgement_of_an_alert_is_withdrawn(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("ack", "17", "--withdraw")
    assert result.out == "the alert 17 is no longer acknowledged\n"
    assert (api.requests[0].method, api.requests[0].path, api.body) == ("DELETE", "/history/17/acknowledge", None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "either the id of an alert or --group"),
        (["17", "--group", GROUP], "either the id of an alert or --group"),
        (["17", "--source", "eu"], "require --group"),
        (["17", "--withdraw", "--comment", "x"], "--withdraw"),
        (["17", "--until", "2026-11-23T18:00:00Z", "--for", "1h"], "--for"),
        (["17", "--for", "soon"], "--for: must be a duration"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_contradictory_arguments_are_not_sent(
    api: FakeApi, relay_at: Relay, arguments: list[str], text: str
) -> None:
    result = await relay_at("ack", *arguments)
    assert (result.code, text in result.err) == (1, True), result.err
    assert api.requests == []


async def test_a_relay_acknowledges(relay: Relay, start_relay: RelayFactory) -> None:
    server = await start_relay()
    known = {"RELAY_URL": server.url, "RELAY_KEY": ADMIN_KEY}
    await server.webhook(webhook())
    [item] = await server.items("/history")

    made = await relay("ack", str(item["id"]), "--for", "1h", "--comment", "on it", "--output", "json", **known)
    assert (made.code, made.json["comment"]) == (0, "on it")
    assert (await server.items("/history"))[0]["acknowledgement"] == made.json
    assert (await relay("ack", str(item["id"]), "--withdraw", **known)).code == 0
    again = await relay("ack", "--group", GROUP, "--output", "json", **known)
    assert again.json == {"acknowledged": 1, "alert_ids": [item["id"]]}
    assert (await relay("ack", "--group", GROUP, "--withdraw", **known)).code == 0
    missing = await relay("ack", "999", **known)
    assert (missing.code, missing.err) == (1, "relay: there is no alert 999 in the history\n")
