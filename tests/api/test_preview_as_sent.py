"""Previews equal what is sent, byte for byte."""

import asyncio
import json
import re
from typing import Any

import msgspec
from aiohttp import web

from relay.domain.channel_types import DiscordChannel, type_name
from tests.api.previews import (
    FAST,
    HOOK,
    MASK,
    TOKEN,
    ChannelClass,
    bodies,
    every_channel_type,
    every_channel_type_large,
    large_group,
    odd_group,
    platform,
    preview,
)
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink
from tests.notify.factories import channel


def sent_as(delivery_id: int, body: str) -> str:
    """Replace the placeholder of a previewed body with the delivery's id."""
    for before, after in (('"id":"', '"'), ("delivery_id%3D", "")):
        body = body.replace(f"{before}preview{after}", f"{before}{delivery_id}{after}")
    return body


def _unnamed(mail: str) -> str:
    """Replace the boundary of a mail, which is made of its id."""
    found = re.search(r'boundary="=_(\w+)"', mail)
    return mail if found is None else mail.replace(found[1], "ID")


@every_channel_type
async def test_the_preview_of_a_group_equals_what_is_sent(
    channel_class: ChannelClass, relay: Relay, sink: Sink
) -> None:
    async with platform(channel_class, sink) as target:
        await relay.channel(**target.channel)
        result = await preview(relay, channel_id="c", group=odd_group())

        await relay.webhook(odd_group())
        [delivery] = await relay.settled(1)

        expected = [sent_as(delivery["id"], body) for body in bodies(result)]
        assert [_unnamed(body) for body in expected] == [_unnamed(body) for body in target.bodies]
        assert (result["channel_type"], result["alerts"], result["unmatched"]) == (type_name(channel_class), 3, [])


@every_channel_type_large
async def test_the_preview_of_a_large_delivery_equals_what_was_sent(
    channel_class: ChannelClass, relay: Relay, sink: Sink
) -> None:
    async with platform(channel_class, sink) as target:
        edited = "update_message" in channel_class.__struct_fields__
        await relay.channel(**target.channel | ({"update_message": False} if edited else {}))
        await relay.webhook(large_group())
        [delivery] = await relay.settled(1)

        result = await preview(relay, channel_id="c", delivery_id=delivery["id"])

        assert bodies(result) == target.bodies
        assert (result["alerts"], result["notes"]) == (80, [])


async def test_method_and_headers_equal_those_that_are_sent(relay: Relay, sink: Sink) -> None:
    await relay.channel(
        **HOOK,
        webhook_url=f"{sink.url}/alerts",
        custom_headers={"X-Team": "db", "Authorization": "Bearer s3cr3t-t0ken"},
        signing_secret="whsec_" + "c2VjcmV0" * 4,
    )

    [result] = (await preview(relay, channel_id="ops", group=webhook()))["requests"]
    await relay.webhook(webhook())
    [delivery] = await relay.settled(1)

    [sent] = sink.at("/alerts")
    headers = result.pop("headers")
    assert (result["kind"], result["method"], result["url"]) == ("http", "POST", MASK)
    assert headers.pop("X-Team") == headers.pop("Authorization") == MASK
    assert headers.pop("webhook-timestamp") == headers.pop("webhook-signature") == "(added when sent)"
    assert headers.pop("webhook-id") == "msg_preview"
    assert sent.headers["webhook-id"] == f"msg_{delivery['id']}"
    assert headers.items() <= sent.headers.items()
    assert {"User-Agent", "Content-Type"} <= headers.keys()
    assert "alerts" in json.loads(result["body"])


async def test_the_preview_of_a_pending_delivery_includes_merged_ones(relay: Relay, sink: Sink) -> None:
    unavailable = True
    sink.script = lambda _: web.Response(status=503 if unavailable else 200)
    await relay.channel(**HOOK, webhook_url=sink.url)
    await relay.webhook(webhook(alert(instance="a")))
    await sink.wait_for(1)
    await relay.webhook(webhook(alert(instance="a", status="resolved"), alert(instance="b")))
    [merged] = await relay.settled(1, "merged")
    [pending] = await relay.settled(1, "pending")

    result = await preview(relay, channel_id="ops", delivery_id=pending["id"])
    older = await preview(relay, channel_id="ops", delivery_id=merged["id"])
    unavailable = False
    await relay.call("POST", f"/deliveries/{pending['id']}/redeliver")
    await relay.settled(1)

    assert bodies(result) == [sink.received[-1].body.decode()]
    assert (result["alerts"], result["notes"]) == (2, [])
    [note] = older["notes"]
    assert note.startswith(f"delivery {merged['id']} was merged into delivery {pending['id']};")


async def test_the_preview_of_an_edited_message_equals_the_edit(relay: Relay, sink: Sink) -> None:
    unavailable = False
    sink.script = lambda _: (
        web.Response(status=503) if unavailable else web.json_response({"id": "1234567890", "ok": True})
    )
    url = f"{sink.url}/hooks/{TOKEN}"
    await relay.channel(**msgspec.to_builtins(channel(DiscordChannel, url, rate_limit=FAST)))
    await relay.webhook(webhook(alert(instance="a")))
    await relay.settled(1)
    unavailable = True
    await relay.webhook(webhook(alert(instance="a"), alert(instance="b")))
    [pending] = await relay.settled(1, "pending")

    result = await preview(relay, channel_id="c", delivery_id=pending["id"])
    first = await preview(relay, channel_id="c", group=webhook(alert(instance="a")))
    unavailable = False
    await relay.call("POST", f"/deliveries/{pending['id']}/redeliver")
    await relay.settled(2)

    edit, post = result["requests"]
    assert (edit["method"], edit["url"]) == ("PATCH", f"{MASK}/messages/1234567890")
    assert (post["method"], post["url"]) == ("POST", f"{MASK}?wait=true")
    assert [(one.path, one.body.decode()) for one in sink.received[-2:]] == [
        (f"/hooks/{TOKEN}/messages/1234567890", edit["body"]),
        (f"/hooks/{TOKEN}", post["body"]),
    ]
    assert result["notes"] == [
        "the channel's message of this group is edited; these requests update it to the current state"
    ]
    assert [request["method"] for request in first["requests"]] == ["POST"]


async def test_the_preview_of_a_digest_equals_what_was_sent(relay: Relay, sink: Sink) -> None:
    await relay.channel(**HOOK, webhook_url=sink.url, rate_limit={"per_second": 1, "burst": 1})
    for at in range(30):
        await relay.webhook(webhook(alert(f"Alert{at}"), group=str(at)))
    digests: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not digests:
            digests = [delivery for delivery in await relay.settled(1) if delivery["kind"] == "digest"]
            await asyncio.sleep(0.1)
    [digest] = digests[:1]

    result = await preview(relay, channel_id="ops", delivery_id=digest["id"])

    [sent] = [request for request in sink.received if request.json["id"] == str(digest["id"])]
    assert bodies(result) == [sent.body.decode()]
    assert result["alerts"] == sent.json["digest"]["firing"]


async def test_the_preview_of_a_partly_sent_delivery_has_a_note(relay: Relay, sink: Sink) -> None:
    responses = iter([200])
    sink.script = lambda _: web.Response(status=next(responses, 503), text="ok")
    await relay.channel(name="Ops", channel_type="slack", webhook_url=sink.url, rate_limit=FAST)
    await relay.webhook(large_group())
    await sink.wait_for(2)
    [pending] = await relay.settled(1, "pending")

    result = await preview(relay, channel_id="ops", delivery_id=pending["id"])

    assert bodies(result)[:2] == [request.body.decode() for request in sink.received[:2]]
    assert result["notes"] == [
        "the platform already accepted some of these requests; they are not sent again if unchanged"
    ]


async def test_the_preview_of_a_redelivery_has_the_current_state_of_alerts(relay: Relay, sink: Sink) -> None:
    await relay.channel(**HOOK, webhook_url=sink.url)
    await relay.webhook(webhook())
    [delivery] = await relay.settled(1)
    await relay.webhook(webhook(alert(status="resolved")))
    await relay.settled(2)

    first = await preview(relay, channel_id="ops", delivery_id=delivery["id"])
    await relay.call("POST", f"/deliveries/{delivery['id']}/redeliver")
    await sink.wait_for(3)
    await relay.settled(2)
    again = await preview(relay, channel_id="ops", delivery_id=delivery["id"])

    assert bodies(first) == [sink.received[0].body.decode()]
    assert bodies(again) == [sink.received[2].body.decode()] != bodies(first)
    assert (first["notes"], len(again["notes"])) == ([], 1)
