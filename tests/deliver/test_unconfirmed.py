"""Messages that the platform may have accepted: few copies, and a record of each."""

import asyncio
from typing import Any

import pytest

from relay.deliver import decision
from tests.fixtures.behaviors import sends
from tests.fixtures.platforms import OK, Platform
from tests.fixtures.relays import Relay, alert, webhook

UNPARSABLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok"


async def channels(relay: Relay, platform: Platform) -> None:
    """A channel and its fallback."""
    filters: dict[str, dict[str, Any]] = {
        "first": {"fallback_channel_id": "second"},
        "second": {"alert_names": ["nothing"]},
    }
    for name in ("second", "first"):
        url = f"{platform.url}/{name}"
        await relay.channel(id=name, name=name, channel_type="webhook", webhook_url=url, **filters[name])


async def test_a_response_that_cannot_be_parsed_is_sent_once_within_seconds(
    relay: Relay, platform: Platform
) -> None:
    platform.script = lambda request: sends(UNPARSABLE) if request.path == "/first" else OK
    await channels(relay, platform)

    await relay.webhook(webhook(alert("DiskFull")))
    await platform.wait_for(1)
    await asyncio.sleep(6)

    assert len(platform.received) == 1
    [delivery] = await relay.items("/deliveries")
    [attempt] = (await relay.call("GET", f"/deliveries/{delivery['id']}")).json["attempts"]
    assert (delivery["state"], attempt["reason"]) == ("pending", "unexpectedResponse")
    assert attempt["detail"].startswith("unexpected response, which could not be parsed: ")


async def test_a_message_that_is_never_confirmed_goes_to_the_fallback_after_a_few_copies(
    relay: Relay, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision, "UNCONFIRMED_DELAYS", (0.05, 0.05))
    platform.script = lambda request: sends(UNPARSABLE) if request.path == "/first" else OK
    await channels(relay, platform)

    await relay.webhook(webhook(alert("DiskFull")))
    [dead] = await relay.settled(1, state="dead")
    await relay.settled(1)

    assert [request.path for request in platform.received] == ["/first"] * 3 + ["/second"]
    assert platform.at("/second")[0].json["fallback_for"]["reason"].startswith("sent 3 times, and never confirmed")

    # A redelivery is a new beginning.
    await relay.call("POST", f"/deliveries/{dead['id']}/redeliver")
    await platform.wait_for(7)
    assert len(platform.at("/first")) == 6
