"""Edited messages show who acknowledged an alert, and no one hears of that."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.editing import editing_channel
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink
from tests.notify.strict.platform import PostedMessage, StrictPlatform

GROUP = {"group_key": '{}:{group="g"}'}


@pytest.fixture
async def channel(relay: Relay, channel_type: str, strict_platform: StrictPlatform, sink: Sink) -> dict[str, Any]:
    """A channel of the type."""
    return await relay.channel(**editing_channel(channel_type, sink.url))


async def notify(relay: Relay, *alerts: dict[str, Any], **query: str) -> dict[str, int]:
    """Post a webhook, wait until nothing is pending, and return the ids of the alerts by name."""
    await relay.webhook(webhook(*alerts), **query)
    await finished(relay)
    return {item["alertname"]: item["id"] for item in await relay.items("/history")}


async def finished(relay: Relay) -> None:
    async with asyncio.timeout(20):
        while await relay.items("/deliveries?state=pending") + await relay.items("/deliveries?state=sending"):
            await asyncio.sleep(0.05)


def shown(message: PostedMessage) -> str:
    """The text of a message without escapes."""
    return message.text.replace("\\", "")


async def test_a_message_shows_an_acknowledgement_until_it_is_withdrawn(
    relay: Relay, channel: dict[str, Any], strict_platform: StrictPlatform
) -> None:
    found = await notify(relay, alert("DiskFull"), alert("HighLoad"))
    path = f"/history/{found['DiskFull']}/acknowledge"

    ends = {"until": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    until = (await relay.change("POST", path, json={"comment": "on it,\nwait"} | ends)).json["until"]
    await finished(relay)

    [message] = strict_platform.messages
    assert shown(message).count("acknowledged by") == 1
    name = (await relay.call("GET", "/me")).json["name"]
    assert f"acknowledged by {name} until {until[:19].replace('T', ' ')} UTC (on it, wait)" in shown(message)
    assert "FIRING:2" in shown(message)

    await relay.change("DELETE", path)
    await finished(relay)
    [message] = strict_platform.messages
    assert "acknowledged" not in shown(message)
    assert len(message.versions) == 3
    kinds = [delivery["kind"] for delivery in await relay.items("/deliveries?state=delivered")]
    assert kinds == ["refresh", "refresh", "group"]


async def test_a_resolved_alert_is_not_shown_as_acknowledged(
    relay: Relay, channel: dict[str, Any], strict_platform: StrictPlatform
) -> None:
    found = await notify(relay, alert("DiskFull"), alert("HighLoad"))
    await relay.change("POST", f"/history/{found['DiskFull']}/acknowledge")
    await finished(relay)
    await notify(relay, alert("DiskFull", "resolved"), alert("HighLoad"))

    assert "RESOLVED:1" in shown(strict_platform.messages[0])
    assert "acknowledged" not in shown(strict_platform.messages[0])


async def test_an_acknowledgement_is_escaped_and_bounded(
    relay: Relay, channel: dict[str, Any], strict_platform: StrictPlatform
) -> None:
    await notify(relay, alert("DiskFull"))
    comment = "<!channel> @everyone <b>*x*</b> [a](http://b) " + "<&>" * 300

    await relay.change("POST", "/groups/acknowledge", json={**GROUP, "comment": comment[:1000]})
    await finished(relay)

    # The strict platforms refuse markup that is not closed, and texts that are too long.
    [message] = strict_platform.messages
    assert len(message.versions) == 2
    assert "acknowledged by" in shown(message)
    assert "…" in shown(message)
    assert " @everyone" not in message.text


async def test_only_messages_that_show_the_alert_are_edited(
    start_relay: RelayFactory, channel_type: str, strict_platform: StrictPlatform, sink: Sink
) -> None:
    relay = await start_relay()
    await relay.channel(**editing_channel(channel_type, sink.url, severities=["critical"], name="critical"))
    await relay.channel(**editing_channel(channel_type, sink.url, name="all"))
    await relay.channel(name="plain", channel_type="webhook", webhook_url=sink.url + "/api/x", severities=["none"])
    found = await notify(relay, alert("DiskFull", severity="critical"), alert("HighLoad"))
    await relay.webhook(webhook(alert("Other"), group="other"))
    await finished(relay)

    await relay.change("POST", f"/history/{found['HighLoad']}/acknowledge")
    await finished(relay)

    edited = [message for message in strict_platform.messages if len(message.versions) > 1]
    assert ["acknowledged" in shown(message) for message in edited] == [True]
    assert len(strict_platform.messages) == 3
    refreshes = [item for item in await relay.items("/deliveries") if item["kind"] == "refresh"]
    assert [item["channel_id"] for item in refreshes] == ["all"]


async def test_a_disabled_channel_and_one_that_no_longer_edits_are_sent_nothing(
    relay: Relay, channel: dict[str, Any], strict_platform: StrictPlatform
) -> None:
    found = await notify(relay, alert("DiskFull"))
    path = f"/history/{found['DiskFull']}/acknowledge"

    await relay.change("PATCH", f"/channels/{channel['id']}", json={"enabled": False})
    await relay.change("POST", path)
    assert len(await relay.items("/deliveries")) == 1
    await relay.change("PATCH", f"/channels/{channel['id']}", json={"enabled": True, "update_message": False})
    await relay.change("DELETE", path)
    await finished(relay)

    assert [len(message.versions) for message in strict_platform.messages] == [1]
