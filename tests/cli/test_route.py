"""`relay route` and `relay why` show verdicts and reasons."""

from typing import Any

import pytest

from tests.fixtures.relays import ADMIN_KEY, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

from .conftest import FakeApi, Relay

SILENCE: dict[str, Any] = {
    "kind": "silence",
    "id": "s1",
    "comment": "maintenance",
    "created_by": "Ann",
    "since": None,
}
VERDICTS: list[dict[str, Any]] = [
    {"channel_id": "db", "matched": False, "reason": "matchers: no", "suppressed_by": []},
    {
        "channel_id": "ops",
        "matched": True,
        "reason": None,
        "suppressed_by": [SILENCE, SILENCE | {"comment": None}],
    },
]
WHY: dict[str, Any] = {
    "channel_id": "ops",
    "channel_name": "Ops",
    "verdict": "sent",
    "detail": "sent at noon",
    "webhooks": [{"received_at": "noon", "firing": True, "count": 1, "verdict": "sent", "detail": "sent at noon"}],
}


async def test_the_matching_channels_come_first_with_their_silences(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"alerts": [{"labels": {}, "channels": VERDICTS}]})

    result = await relay_at(
        "route", "Down", "team=db", 'note="a=b"', "--source", "eu", "--at", "2026-11-23T12:00:00Z"
    )

    heading, first, second = result.out.splitlines()
    assert heading.split() == ["CHANNEL", "ID", "MATCHED", "SILENCED", "REASON"]
    assert first.split(maxsplit=2) == ["ops", "yes", "s1 (maintenance), s1  -"]
    assert second.split(maxsplit=3) == ["db", "no", "-", "matchers: no"]
    assert api.body == {
        "labels": {"alertname": "Down", "team": "db", "note": "a=b"},
        "source": "eu",
        "at": "2026-11-23T12:00:00Z",
    }


@pytest.mark.parametrize("arguments", [[], ["alertname=A", "x"], ["team=~db"], ["team!=db"], ["=x"]], ids=str)
async def test_what_is_no_label_is_refused(api: FakeApi, relay_at: Relay, arguments: list[str]) -> None:
    result = await relay_at("route", *arguments)
    assert (result.code, api.requests) == (1, [])
    assert "severity=critical" in result.err


async def test_an_alert_is_explained_for_each_channel(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"channels": [WHY], "channels_omitted": 3})

    result = await relay_at("why", "7")

    assert [line.split(maxsplit=2) for line in result.out.splitlines()] == [
        ["CHANNEL", "ID", "VERDICT  DETAIL"],
        ["ops", "sent", "sent at noon"],
        ["3", "more", "channels did not match"],
    ]
    assert api.requests[0].path == "/history/7"


async def test_one_channel_is_explained_with_every_webhook(api: FakeApi, relay_at: Relay) -> None:
    api.respond(WHY)

    result = await relay_at("why", "7", "--channel", "ops")

    first, blank, heading, row = result.out.splitlines()
    assert (first, blank) == ("Ops: sent at noon", "")
    assert heading.split() == ["RECEIVED", "AT", "FIRING", "COUNT", "VERDICT", "DETAIL"]
    assert row.split(maxsplit=4) == ["noon", "yes", "1", "sent", "sent at noon"]
    assert (api.requests[0].path, api.requests[0].query) == ("/history/7/why", {"channel": "ops"})


async def test_an_alert_of_a_relay_is_routed_and_explained(
    relay: Relay, start_relay: RelayFactory, sink: Sink
) -> None:
    server = await start_relay()
    known = {"RELAY_URL": server.url, "RELAY_KEY": ADMIN_KEY}
    await server.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await server.webhook(webhook(alert("Down")))
    await server.settled(1)
    [item] = await server.items("/history")

    routed = await relay("route", "Down", "severity=info", **known)
    explained = await relay("why", str(item["id"]), "--channel", "ops", "--output", "json", **known)

    assert routed.out.splitlines()[1].split() == ["ops", "yes", "-", "-"]
    assert (explained.json["verdict"], len(explained.json["webhooks"])) == ("sent", 1)
    assert "sent at" in (await relay("why", str(item["id"]), **known)).out
    unknown = await relay("why", "999", **known)
    assert (unknown.code, unknown.err) == (1, "relay: there is no alert 999 in the history\n")
