"""Tests of edited messages with two replicas, one of which is killed."""

import asyncio

import pytest
from aiohttp import web

from tests.fixtures.editing import EDITING_TYPES, EditingPlatforms, editing_channel
from tests.fixtures.processes import (
    create_channel,
    on_database,
    outbox_drained,
    post_webhook,
    relay_process,
)
from tests.fixtures.relays import alert, webhook
from tests.fixtures.sink import Response, Sink

A, B = {"instance": "a"}, {"instance": "b"}

pytestmark = pytest.mark.slow


async def test_replicas_edit_one_message_even_if_one_of_them_is_killed(database_url: str, sink: Sink) -> None:
    sink.script = script = EditingPlatforms()
    environ = on_database(database_url)
    async with relay_process(environ) as one, relay_process(environ) as other:
        for channel_type in EDITING_TYPES:
            await create_channel(one.url, **editing_channel(channel_type, sink.url))

        await post_webhook(one.url, webhook(alert("DiskFull", **A)))
        await outbox_drained(database_url)
        await post_webhook(other.url, webhook(alert("DiskFull", **A), alert("DiskFull", **B)))
        await outbox_drained(database_url)
        await one.kill()
        await post_webhook(other.url, webhook(alert("DiskFull", "resolved", **A), alert("DiskFull", **B)))
        await outbox_drained(database_url)
        await one.start()
        await other.kill()
        await post_webhook(one.url, webhook(alert("DiskFull", "resolved", **B)))
        await outbox_drained(database_url)

    for channel_type in EDITING_TYPES:
        message, joined = script.platforms[channel_type].messages
        assert "New: " in joined.text
        symbols = [(text.count("🔥 "), text.count("✅ ")) for text in message.versions]
        assert symbols == [(1, 0), (2, 0), (1, 1), (0, 2)], channel_type


async def test_a_joining_alert_is_heard_even_if_the_relay_is_killed_after_the_edit(
    database_url: str, sink: Sink
) -> None:
    platforms = EditingPlatforms()
    reached = asyncio.Event()

    async def hangs_after_the_edit(request: web.Request) -> Response:
        if b"New: " in await request.read() and not reached.is_set():
            reached.set()
            await asyncio.sleep(3600)
        return await platforms(request)

    sink.script = hangs_after_the_edit
    environ = on_database(database_url)
    async with relay_process(environ) as one:
        await create_channel(one.url, **editing_channel("slack", sink.url))
        await post_webhook(one.url, webhook(alert("DiskFull", **A)))
        await outbox_drained(database_url)
        await post_webhook(one.url, webhook(alert("DiskFull", **A), alert("DiskFull", **B)))
        async with asyncio.timeout(20):
            await reached.wait()
        await one.kill()
        await one.start()
        await outbox_drained(database_url)

    message, joined = platforms.platforms["slack"].messages
    assert len(message.versions) == 3
    assert "New: [FIRING:1]" in joined.text
