"""Tests of edited messages with two replicas, one of which is killed."""

import pytest

from tests.fixtures.editing import EDITING_TYPES, EditingPlatforms, editing_channel
from tests.fixtures.processes import (
    create_channel,
    on_database,
    outbox_drained,
    post_webhook,
    relay_process,
)
from tests.fixtures.relays import alert, webhook
from tests.fixtures.sink import Sink

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
        [message] = script.platforms[channel_type].messages
        symbols = [(text.count("🔥 "), text.count("✅ ")) for text in message.versions]
        assert symbols == [(1, 0), (2, 0), (1, 1), (0, 2)], channel_type
