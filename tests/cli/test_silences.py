"""`relay silence` creates, lists, changes and expires silences, as `amtool silence` does."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.relays import ADMIN_KEY, RelayFactory, alert, webhook
from tests.fixtures.relays import Relay as Service

from .conftest import CommandResult, FakeApi, Relay

Silence = Callable[..., Awaitable[CommandResult]]


@pytest.fixture
async def service(start_relay: RelayFactory) -> Service:
    return await start_relay(deliver=False)


@pytest.fixture
def silence(service: Service, relay: Relay) -> Silence:
    """`relay silence` with the address of a real relay."""

    async def run(*arguments: str) -> CommandResult:
        return await relay("silence", *arguments, RELAY_URL=service.url, RELAY_KEY=ADMIN_KEY)

    return run


async def made(silence: Silence, *arguments: str) -> str:
    result = await silence("add", *arguments)
    assert result.code == 0, result.err
    return result.out.strip()


async def read(silence: Silence, silence_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await silence("get", silence_id, "--output", "json")).json
    return found


async def test_a_silence_is_added_found_and_expired(silence: Silence) -> None:
    first = await made(silence, "Watchdog", "team=~db|infra", "--for", "2h", "--comment", "upgrade")
    found = await read(silence, first)
    shown = [(one["name"], one["value"], one["isRegex"]) for one in found["matchers"]]
    assert shown == [("alertname", "Watchdog", False), ("team", "db|infra", True)]
    lasting = datetime.fromisoformat(found["ends_at"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < lasting <= timedelta(hours=2)
    assert (found["comment"], found["state"]) == ("upgrade", "active")

    other = await made(silence, "alertname=X")
    table = (await silence("query")).out.splitlines()
    assert table[0].split()[:3] == ["ID", "STATE", "MATCHERS"]
    assert [line.split()[0] for line in table[1:]] == [other, first]
    assert 'alertname="Watchdog", team=~"db|infra"' in table[2]
    assert (await silence("query", "-q", "Watchdog")).out.split() == [first]
    assert (await silence("query", "-q", "team=~db|infra", "alertname=Watchdog")).out.split() == [first]
    assert (await silence("query", "-q", "--created-by", "nobody")).out.split() == []

    result = await silence("expire", first, other)
    assert (result.code, result.out.count("is expired")) == (0, 2)
    assert (await silence("query", "-q")).out.split() == []
    assert sorted((await silence("query", "-q", "--expired")).out.split()) == sorted([first, other])


async def test_all_options_reach_the_silence(service: Service, silence: Silence) -> None:
    channel = {"channel_type": "webhook", "webhook_url": "http://127.0.0.1:9/x", "tenant_id": "acme"}
    await service.channel(id="ops", name="ops", **channel)
    silence_id = await made(
        silence,
        *("a=b", "-c", "x", "-a", "ops", "--start", "2100-01-03T02:00:00Z", "--end", "2101-01-01T00:00:00Z"),
        *("--rrule", "FREQ=WEEKLY;BYDAY=SU", "--duration", "3h", "--time-zone", "Europe/Vienna"),
        *("--tenant", "acme", "--channel", "ops", "--no-send-resolved", "--expire-when-resolved"),
        *("--expires-if-unmatched-for", "4h", "--remind-before", "15m", "--remind-channel", "ops"),
    )
    found = await read(silence, silence_id)
    expected = {
        "comment": "x",
        "created_by": "ops",
        "state": "pending",
        "rrule": "FREQ=WEEKLY;BYDAY=SU",
        "duration": "3h",
        "time_zone": "Europe/Vienna",
        "tenant_id": "acme",
        "channels": ["ops"],
        "send_resolved": False,
        "expire_when_resolved": True,
        "expires_if_unmatched_for": "4h",
        "remind_before": "15m",
        "remind_channel_id": "ops",
    }
    assert {name: found[name] for name in expected} == expected


async def test_silences_are_updated(silence: Silence) -> None:
    one, two = await made(silence, "A"), await made(silence, "B", "--expires-if-unmatched-for", "1h")
    result = await silence("update", one, two, "--comment", "longer", "--for", "5h")
    assert result.out.split() == [one, two]
    result = await silence("update", two, "--clear", "expires-if-unmatched-for")
    assert (await read(silence, two))["expires_if_unmatched_for"] is None
    result = await silence("update", one, "--matcher", "alertname=C")
    assert f"the silence {one} is replaced by {result.out.strip()}" in result.err
    assert (await read(silence, one))["state"] == "expired"
    assert (await read(silence, result.out.strip()))["comment"] == "longer"


async def test_a_preview_counts_the_alerts(service: Service, silence: Silence) -> None:
    assert (await service.webhook(webhook(alert("A", team="db"), alert("B", team="web")))).status == 202
    result = await silence("preview", "team=db")
    lines = result.out.splitlines()
    assert (lines[0], lines[2].split()[1]) == ("alerts firing now: 1", "A")
    assert "alerts of the last 7 days: 1" in lines
    silence_id = await made(silence, "B")
    shown = (await silence("preview", "--id", silence_id, "--output", "json")).json
    assert [one["alertname"] for one in shown["now"]["alerts"]] == ["B"]


async def test_wrong_arguments_are_refused(api: FakeApi, relay_at: Relay) -> None:
    for arguments, text in (
        (("add",), "give a matcher"),
        (("add", "A", "--for", "1h", "--end", "2100-01-01T00:00:00Z"), "can't be combined with --end"),
        (("add", "A", "--for", "soon"), "--for"),
        (("add", "A", "--for", "1h", "--start", "soon"), "--start"),
        (("expire",), "give the id"),
        (("update",), "give the id"),
        (("update", "x"), "nothing to update"),
        (("preview",), "either matchers or --id"),
        (("preview", "A", "--id", "x"), "either matchers or --id"),
    ):
        result = await relay_at("silence", *arguments)
        assert (result.code, text in result.err) == (1, True), (arguments, result.err)
    assert api.requests == []
