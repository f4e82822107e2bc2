"""Tests of a delivery for each way a platform can fail, and after the platform recovers."""

import asyncio
import email.utils
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.behaviors import Behavior, answers, drips_forever, hangs, resets_after, sends
from tests.fixtures.platforms import Arrival, Platform, listening, self_signed
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook

SEND_TIMEOUT = 2
TOLERANCE = 0.05
NOWHERE = "http://does-not-exist.invalid/"
GARBAGE = b"\x00\xff\x16\x03\x01this is not HTTP\r\n\r\n"


@dataclass(frozen=True)
class Fault:
    """One way to fail, and the expected outcome of the first attempt and its reason."""

    name: str
    behavior: Behavior
    outcome: str
    reason: str | None = None
    channel_type: str = "webhook"

    @property
    def state(self) -> str:
        return {"sent": "delivered", "retry": "pending", "rejected": "dead"}[self.outcome]


def discord_limits(seconds: float) -> Behavior:
    """https://docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit"""
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
    return answers(429, json.dumps(body), {"Content-Type": "application/json"})


async def limits_until_a_date(writer: asyncio.StreamWriter) -> None:
    """Retry-After as an HTTP date in whole seconds, at least two from now."""
    date = email.utils.formatdate(math.ceil(time.time() + 2), usegmt=True)
    await answers(429, headers={"Retry-After": date})(writer)


def slack_error(code: str) -> Behavior:
    """An error of Slack inside a 200."""
    return answers(200, json.dumps({"ok": False, "error": code}), {"Content-Type": "application/json"})


FAULTS = [
    Fault("204", answers(204), "sent"),
    Fault("200 with a body that never ends", drips_forever(200), "sent"),
    Fault("301", answers(301, headers={"Location": "/followed"}), "retry", "other"),
    Fault("401", answers(401, "no"), "retry", "authError"),
    Fault("403", answers(403, "no"), "retry", "authError"),
    Fault("404", answers(404, "nobody here"), "retry", "clientError"),
    Fault("408", answers(408), "retry", "clientError"),
    Fault("429 with seconds", answers(429, headers={"Retry-After": "1"}), "retry", "rateLimited"),
    Fault("429 with a date", limits_until_a_date, "retry", "rateLimited"),
    Fault("429 of Discord", discord_limits(0.3), "retry", "rateLimited", "discord"),
    Fault("500", answers(500, "oops"), "retry", "serverError"),
    Fault("502", answers(502, "<html>Bad Gateway</html>"), "retry", "serverError"),
    Fault("503 with Retry-After", answers(503, headers={"Retry-After": "1"}), "retry", "serverError"),
    Fault("500 with a body that never ends", drips_forever(500), "retry", "serverError"),
    Fault("a reset in the middle", resets_after(b""), "retry", "connectionError"),
    Fault("a reset in the headers", resets_after(b"HTTP/1.1 200 OK\r\nContent-"), "retry", "connectionError"),
    Fault("a hang", hangs, "retry", "contextDeadlineExceeded"),
    Fault("garbage", sends(GARBAGE), "retry", "connectionError"),
    Fault("400", answers(400, "bad"), "rejected", "clientError"),
    Fault("413", answers(413, "too large"), "rejected", "clientError"),
    Fault("418", answers(418, "short and stout"), "rejected", "clientError"),
    Fault("200 with ok: false", slack_error("invalid_blocks"), "rejected", "clientError", "slack"),
]


@pytest.fixture
async def relay(start_relay: RelayFactory) -> Relay:
    """A relay that waits at most two seconds for a platform."""
    return await start_relay(send_timeout=SEND_TIMEOUT, allowed_targets="127.0.0.0/8,does-not-exist.invalid")


def accepts(channel_type: str) -> Behavior:
    """The success of a platform."""
    return answers(200, '{"id": "1"}' if channel_type == "discord" else "ok")


async def attempt_once(relay: Relay, url: str, channel_type: str = "webhook") -> Any:
    """The delivery of one alert to a new channel, after its first attempt."""
    await relay.channel(name="Ops", channel_type=channel_type, webhook_url=url)
    await relay.webhook(webhook(group="first"))
    return await attempted(relay)


async def attempted(relay: Relay) -> Any:
    """The first delivery, once it has an attempt."""
    [delivery] = await relay.items("/deliveries")
    return await wait_until(
        lambda: detail(relay, delivery["id"]), lambda found: found["attempts"] and found["state"] != "sending"
    )


async def detail(relay: Relay, delivery_id: int) -> Any:
    """A delivery with its attempts."""
    return (await relay.call("GET", f"/deliveries/{delivery_id}")).json


async def channel_of(relay: Relay) -> Any:
    """The channel as the API shows it."""
    return (await relay.call("GET", "/channels/ops")).json


async def wait_until(read: Callable[[], Any], condition: Callable[[Any], bool], max_wait: float = 30) -> Any:
    """Read until the condition holds; return what was read."""
    found = None
    try:
        async with asyncio.timeout(max_wait):
            while not condition(found := await read()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"timed out with {found}") from None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_leads_to_the_expected_state_and_recovery(
    fault: Fault, relay: Relay, platform: Platform
) -> None:
    platform.always(fault.behavior)

    delivery = await attempt_once(relay, platform.url, fault.channel_type)

    first = delivery["attempts"][0]
    assert (first["outcome"], first["reason"]) == (fault.outcome, fault.reason)
    assert (delivery["state"], delivery["last_reason"]) == (fault.state, fault.reason)
    assert platform.at("/followed") == []
    await check_recovery(fault, relay, platform, delivery["id"])


async def check_recovery(fault: Fault, relay: Relay, platform: Platform, first: int) -> None:
    """A pending delivery is delivered, a final one stays unchanged, and a later one is delivered."""
    platform.always(accepts(fault.channel_type))
    await relay.webhook(webhook(group="later"))
    await relay.settled(1 if fault.outcome == "rejected" else 2)
    delivery = await detail(relay, first)
    if fault.outcome == "retry":
        assert (delivery["state"], delivery["attempts"][-1]["outcome"]) == ("delivered", "sent")
        assert delivery["attempt_count"] > 1
    else:
        assert (delivery["state"], delivery["attempt_count"]) == (fault.state, 1)


@pytest.mark.slow
async def test_a_refused_connection_is_retried_until_the_platform_listens(
    relay: Relay, platform: Platform
) -> None:
    await platform.stop()
    delivery = await attempt_once(relay, platform.url)
    assert (delivery["state"], delivery["last_reason"]) == ("pending", "connectionError")

    await platform.start()

    await relay.settled(1)
    assert len(platform.received) == 1


@pytest.mark.slow
async def test_an_unresolvable_name_is_retried_until_the_channel_is_corrected(
    relay: Relay, platform: Platform
) -> None:
    delivery = await attempt_once(relay, NOWHERE)
    assert (delivery["state"], delivery["attempts"][0]["reason"]) == ("pending", "connectionError")
    assert "does-not-exist.invalid" in delivery["last_error"]

    await relay.call("PATCH", "/channels/ops", json={"webhook_url": platform.url})

    await relay.settled(1)


@pytest.mark.slow
async def test_tls_to_a_plain_port_is_retried_until_the_channel_is_corrected(
    relay: Relay, platform: Platform
) -> None:
    delivery = await attempt_once(relay, platform.url.replace("http:", "https:"))
    assert (delivery["state"], delivery["attempts"][0]["reason"]) == ("pending", "connectionError")
    assert platform.received == []

    await relay.call("PATCH", "/channels/ops", json={"webhook_url": platform.url})

    await relay.settled(1)


@pytest.mark.slow
async def test_a_server_with_an_untrusted_certificate_gets_no_message(
    relay: Relay, platform: Platform, tmp_path: Path
) -> None:
    async with listening(self_signed(tmp_path)) as impostor:
        delivery = await attempt_once(relay, impostor.url)
        assert (delivery["state"], delivery["attempts"][0]["reason"]) == ("pending", "connectionError")
        assert impostor.received == []

        await relay.call("PATCH", "/channels/ops", json={"webhook_url": platform.url})

        await relay.settled(1)
        assert impostor.received == []


async def test_a_gone_destination_disables_the_channel_until_it_is_enabled(
    relay: Relay, platform: Platform
) -> None:
    platform.always(answers(410, "gone"))
    delivery = await attempt_once(relay, platform.url)
    assert (delivery["state"], delivery["last_reason"]) == ("pending", "destinationGone")
    channel = await wait_until(lambda: channel_of(relay), lambda found: not found["enabled"])
    assert "410" in channel["disabled_reason"]

    platform.always(answers(200, "ok"))
    assert len(platform.received) == 1
    await relay.call("PATCH", "/channels/ops", json={"enabled": True})

    await relay.settled(1)
    assert len(platform.received) == 2
    channel = await channel_of(relay)
    assert (channel["enabled"], channel["disabled_reason"]) == (True, None)


@dataclass(frozen=True)
class Pause:
    """A response that asks for a pause of at least `seconds`."""

    name: str
    behavior: Behavior
    seconds: float
    channel_type: str = "webhook"


PAUSES = [
    Pause("429 with seconds", answers(429, headers={"Retry-After": "2"}), 2),
    Pause("429 with a date", limits_until_a_date, 2),
    Pause("429 of Discord", discord_limits(1.7), 1.7, "discord"),
    Pause("503 with Retry-After", answers(503, headers={"Retry-After": "2"}), 2),
]


@pytest.mark.slow
@pytest.mark.parametrize("pause", PAUSES, ids=lambda pause: pause.name)
async def test_a_platform_that_asks_for_a_pause_gets_no_request_before_its_end(
    pause: Pause, relay: Relay, platform: Platform
) -> None:
    def asks_once(arrival: Arrival) -> Behavior:
        return pause.behavior if arrival is platform.received[0] else accepts(pause.channel_type)

    platform.script = asks_once
    await attempt_once(relay, platform.url, pause.channel_type)

    for group in ("second", "third"):
        await relay.webhook(webhook(alert(group), group=group))

    await relay.settled(3)
    first, *later = platform.received
    assert min(arrival.at for arrival in later) - first.at >= pause.seconds - TOLERANCE
