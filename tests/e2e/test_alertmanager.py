"""End to end: a real Alertmanager, the relay as a process, and a sink for several channel types."""

from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from relay.app import BASE_PATH
from tests.fixtures.alertmanagers import alertmanager, needs_alertmanager
from tests.fixtures.processes import create_channel, on_database, relay_process
from tests.fixtures.relays import ADMIN_KEY
from tests.fixtures.sink import Received, Sink

TYPES = ("slack", "discord", "teams", "webhook")

pytestmark = [pytest.mark.slow, needs_alertmanager]


async def test_alerts_sent_to_alertmanager_arrive_firing_and_resolved_on_every_platform(
    database_url: str, sink: Sink
) -> None:
    async with relay_process(on_database(database_url)) as relay:
        for channel_type in TYPES:
            unedited: dict[str, Any] = {"update_message": False} if channel_type == "discord" else {}
            url = f"{sink.url}/{channel_type}"
            await create_channel(
                relay.url, name=channel_type, channel_type=channel_type, webhook_url=url, **unedited
            )
        async with alertmanager(f"{relay.url}{BASE_PATH}/webhook") as sender:
            # Alertmanager sends alerts that are older than group_wait immediately, one by one, so they start now.
            started = datetime.now(UTC)
            await sender.push(pushed("api-1", started), pushed("api-2", started))
            firing = {channel_type: (await sink.wait_for(1, f"/{channel_type}"))[0] for channel_type in TYPES}
            await sender.push(pushed("api-1", started, ended=True), pushed("api-2", started, ended=True))
            resolved = {channel_type: (await sink.wait_for(2, f"/{channel_type}"))[1] for channel_type in TYPES}

        assert_formatted(firing, "FIRING:2", slack="#D32F2F", discord=0xD32F2F, teams="attention")
        assert_formatted(resolved, "RESOLVED:2", slack="#2E7D32", discord=0x2E7D32, teams="good")
        assert {alert["status"] for alert in await history(relay.url)} == {"resolved"}


def assert_formatted(messages: dict[str, Received], counts: str, **colors: str | int) -> None:
    """Each platform got its own format, with the counts, the color, the labels, the texts and the links."""
    slack, discord = messages["slack"].json, messages["discord"].json["embeds"][0]
    teams = messages["teams"].json["attachments"][0]
    assert slack["text"] == f"*[{counts}] HighErrorRate*"
    assert slack["attachments"][0]["color"] == colors["slack"]
    assert discord["title"] == f"\\[{counts}\\] HighErrorRate"
    assert discord["color"] == colors["discord"]
    assert teams["contentType"] == "application/vnd.microsoft.card.adaptive"
    heading = teams["content"]["body"][0]["inlines"][0]
    assert (heading["text"], heading["color"]) == (f"[{counts}] HighErrorRate", colors["teams"])
    plain = messages["webhook"].json
    assert f"{plain['status'].upper()}:{len(plain['alerts'])}" == counts
    for channel_type in TYPES:
        text = messages[channel_type].body.decode()
        for expected in (
            "High error rate",
            "12.4 errors/sec",
            "api-1:8000",
            "api-2:8000",
            "tenant-a",
            "prometheus.example",
        ):
            assert expected in text, (channel_type, expected)


def pushed(instance: str, started: datetime, *, ended: bool = False) -> dict[str, Any]:
    """An alert as Prometheus sends it."""
    alert = {
        "startsAt": started.isoformat(),
        "labels": {
            "alertname": "HighErrorRate",
            "severity": "critical",
            "tenant_id": "tenant-a",
            "instance": f"{instance}:8000",
        },
        "annotations": {"summary": "High error rate", "description": "It is 12.4 errors/sec"},
        "generatorURL": "http://prometheus.example.com/graph",
    }
    return alert | ({"endsAt": datetime.now(UTC).isoformat()} if ended else {})


async def history(url: str) -> list[dict[str, Any]]:
    """The relay's history."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}{BASE_PATH}/history", headers=headers) as response,
    ):
        items: list[dict[str, Any]] = (await response.json())["items"]
        return items
