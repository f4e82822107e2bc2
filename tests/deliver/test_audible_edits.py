"""Tests of what is heard of edited messages: bounded, merged, complete after a failure, and with mentions."""

import asyncio
import time

from aiohttp import web

from tests.fixtures.editing import EditingPlatforms, editing_channel
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Response, Sink


async def test_a_flood_of_joins_is_merged_into_one_post(relay: Relay, sink: Sink) -> None:
    platforms = EditingPlatforms()
    all_received = asyncio.Event()

    async def waits_for_all(request: web.Request) -> Response:
        if request.path.endswith("chat.update"):
            await all_received.wait()
        return await platforms(request)

    sink.script = waits_for_all
    await relay.channel(**editing_channel("slack", sink.url))
    alerts = [alert("DiskFull", at=f"{at}", severity="critical") for at in range(40)]
    await relay.webhook(webhook(alerts[0]))
    await relay.settled(1)
    for count in range(2, 41):
        await relay.webhook(webhook(*alerts[:count]))
    all_received.set()
    async with asyncio.timeout(30):
        while await relay.items("/deliveries?state=pending") or await relay.items("/deliveries?state=sending"):
            await asyncio.sleep(0.1)

    message, *posts = platforms.platforms["slack"].messages
    joined = [int(post.text.partition("FIRING:")[2].partition("]")[0]) for post in posts]
    assert sum(joined) == 39
    assert len(posts) <= 2
    assert "FIRING:40" in message.text


async def test_the_posts_of_joins_keep_to_the_rate_limit(relay: Relay, sink: Sink) -> None:
    sink.script = script = EditingPlatforms()
    await relay.channel(**editing_channel("slack", sink.url, rate_limit={"per_second": 2, "burst": 1}))
    started = time.monotonic()
    for count in range(1, 4):
        await relay.webhook(webhook(*(alert("DiskFull", at=f"{at}") for at in range(count))))
        await relay.settled(count)

    assert len(script.platforms["slack"].messages) == 3
    assert time.monotonic() - started >= 4 / 2 - 0.1


async def test_a_post_that_fails_after_its_edit_is_sent_once(relay: Relay, sink: Sink) -> None:
    platforms = EditingPlatforms()
    failures = 0

    async def fails_after_the_edit(request: web.Request) -> Response:
        nonlocal failures
        if b"New: " in await request.read() and failures == 0:
            failures = 1
            return web.Response(status=503)
        return await platforms(request)

    sink.script = fails_after_the_edit
    await relay.channel(**editing_channel("slack", sink.url))
    await relay.webhook(webhook(alert("DiskFull", at="a")))
    await relay.settled(1)
    await relay.webhook(webhook(alert("DiskFull", at="a"), alert("DiskFull", at="b")))
    await relay.settled(2)

    message, post = platforms.platforms["slack"].messages
    assert failures == 1
    assert len(message.versions) == 2
    assert post.thread == message.reference.partition(" ")[2]


async def test_mentions_are_for_new_messages_and_posts_of_the_chosen_severities(relay: Relay, sink: Sink) -> None:
    sink.script = script = EditingPlatforms()
    await relay.channel(**editing_channel("slack", sink.url, slack_mention_group="S0123456789"))
    critical = alert("DiskFull", at="a", severity="Critical")
    for count, alerts in enumerate(
        ((critical,), (critical, alert("DiskFull", at="b")), (critical | {"status": "resolved"},)), start=1
    ):
        await relay.webhook(webhook(*alerts))
        await relay.settled(count)

    message, post = script.platforms["slack"].messages
    assert message.versions[0].startswith("<!subteam^S0123456789> ")
    assert not any("subteam" in text for text in (*message.versions[1:], post.text))


async def test_a_discord_role_is_mentioned_for_a_critical_alert_that_joins(relay: Relay, sink: Sink) -> None:
    sink.script = script = EditingPlatforms()
    await relay.channel(**editing_channel("discord", sink.url, discord_mention_role="42"))
    warning, critical = alert("DiskFull", at="a"), alert("DiskFull", at="b", severity="critical")
    await relay.webhook(webhook(warning))
    await relay.settled(1)
    await relay.webhook(webhook(warning, critical))
    await relay.settled(2)

    message, post = script.platforms["discord"].messages
    assert "<@&" not in message.text
    assert post.text.startswith("<@&42>\n")
