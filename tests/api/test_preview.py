"""Previews show requests with masked secrets, and send nothing."""

import asyncio
import json
from typing import Any

import msgspec
from aiohttp import web

from relay.domain.channel_types import EmailChannel
from relay.domain.samples import Sample
from tests.api.previews import (
    HOOK,
    MASK,
    TOKEN,
    ChannelClass,
    bodies,
    every_channel_type,
    odd_group,
    platform,
    preview,
)
from tests.fixtures.mail_server import mail_server
from tests.fixtures.relays import ApiResponse, Relay, RelayFactory, alert, sample, webhook
from tests.fixtures.sink import Sink
from tests.notify.factories import channel


@every_channel_type
async def test_secrets_are_masked_and_nothing_is_sent_or_stored(
    channel_class: ChannelClass, relay: Relay, sink: Sink
) -> None:
    async with platform(channel_class, sink) as target:
        for name, value in (("group", odd_group()), *(("sample", one.value) for one in Sample)):
            response = await relay.call("POST", "/preview", json={"channel": target.channel, name: value})

            assert response.status == 200
            assert response.json["requests"]
            assert response.json["alerts"] > 0
            for secret in target.secrets:
                assert secret not in response.body.decode()
                assert TOKEN not in secret or TOKEN not in response.body.decode()
            assert target.bodies == []
    for path in ("/channels", "/deliveries", "/history"):
        assert await relay.items(path) == []


async def test_a_mail_is_previewed_with_its_envelope(relay: Relay) -> None:
    async with mail_server(auth_require_tls=False) as server:
        settings: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
        body = msgspec.to_builtins(channel(EmailChannel, **settings))

        [result] = (await preview(relay, channel=body))["requests"]

        assert server.connected == 0
        assert server.greeted == []
    assert (result["kind"], result["url"]) == ("mail", f"smtp://127.0.0.1:{server.port}")
    assert (result["sender"], result["recipients"]) == (body["email_from"], list(body["email_to"]))
    assert result["body"].startswith(f"From: {body['email_from']}\r\n")


async def test_unmatched_alerts_are_listed_with_the_reason(relay: Relay, sink: Sink) -> None:
    await relay.channel(**HOOK, webhook_url=sink.url, severities=["critical"], send_resolved=False)
    group = webhook(
        alert("Down", severity="critical"),
        alert("Slow"),
        alert("Down", status="resolved", severity="critical", instance="b"),
    )

    result = await preview(relay, channel_id="ops", group=group)
    nothing = await preview(relay, channel_id="ops", group=webhook(alert("Slow")))
    await relay.webhook(group)
    await relay.settled(1)

    assert result["alerts"] == 1
    assert [(alert["labels"]["alertname"], alert["reason"]) for alert in result["unmatched"]] == [
        ("Slow", "severities: expected critical; the alert has 'warning'"),
        ("Down", "send_resolved: the channel does not get resolved alerts"),
    ]
    assert [json.loads(body)["alerts"] for body in bodies(result)] == [sink.received[0].json["alerts"]]
    assert (nothing["requests"], nothing["alerts"], len(nothing["unmatched"])) == ([], 0, 1)
    assert nothing["notes"] == ["the channel's filters match no alert of the group; nothing would be sent"]


async def test_a_channel_that_the_relay_disabled_can_be_previewed(relay: Relay, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=410)
    await relay.channel(**HOOK, webhook_url=sink.url)
    await relay.webhook(webhook())
    async with asyncio.timeout(20):
        while not (await relay.call("GET", "/channels/ops")).json["disabled_reason"]:
            await asyncio.sleep(0.05)

    assert (await preview(relay, channel_id="ops", group=webhook()))["alerts"] == 1
    await relay.call("PATCH", "/channels/ops", json={"enabled": False})
    stopped = await preview(relay, channel_id="ops", group=webhook())
    assert [alert["reason"] for alert in stopped["unmatched"]] == ["the channel is disabled"]


async def test_a_patch_can_be_previewed(relay: Relay, sink: Sink) -> None:
    before = await relay.channel(**HOOK, webhook_url=f"{sink.url}/{TOKEN}")
    change = {"custom_payload_template": "{{ alerts | length }} of {{ channel_id }}", "webhook_url": MASK}

    result = await preview(relay, channel_id="ops", channel=change, group=webhook())

    assert bodies(result) == ["1 of ops"]
    assert (await relay.call("GET", "/channels/ops")).json == before


async def test_a_channel_that_was_read_can_be_previewed(relay: Relay, sink: Sink) -> None:
    channel_read = await relay.channel(**HOOK, webhook_url=sink.url)

    assert (await preview(relay, channel_id="ops", channel=channel_read))["requests"]


async def test_a_failed_template_is_noted_without_secrets(relay: Relay, sink: Sink) -> None:
    broken = HOOK | {"webhook_url": f"{sink.url}/{TOKEN}", "custom_payload_template": f"{{{{ ''['{TOKEN}'] }}}}"}

    result = await preview(relay, channel=broken, group=webhook())

    [note] = result["notes"]
    assert note.startswith("custom_payload_template failed, the built-in body was sent: ")
    assert TOKEN not in note
    assert json.loads(bodies(result)[0])["id"] == "preview"


async def test_a_delivery_can_be_previewed_for_another_channel(relay: Relay, sink: Sink) -> None:
    await relay.channel(**HOOK, webhook_url=sink.url)
    await relay.webhook(webhook())
    [delivery] = await relay.settled(1)
    other = HOOK | {"name": "Other", "webhook_url": sink.url, "severities": ["critical"]}

    result = await preview(relay, channel=other, delivery_id=delivery["id"])

    payload = json.loads(bodies(result)[0])
    assert (payload["channel_id"], payload["id"], result["alerts"]) == ("other", str(delivery["id"]), 1)
    assert result["notes"] == [
        f"delivery {delivery['id']} belongs to channel ops; the filters of other are not applied"
    ]


async def test_a_sample_is_not_filtered(relay: Relay, sink: Sink) -> None:
    filtered = HOOK | {"webhook_url": sink.url, "severities": ["none"], "enabled": False}
    statuses = {}
    for one in Sample:
        payload = json.loads(bodies(await preview(relay, channel=filtered, sample=one.value))[0])
        statuses[one.value] = (payload["kind"], {result["status"] for result in payload["alerts"]})

    assert statuses == {
        "firing": ("group", {"firing"}),
        "resolved": ("group", {"resolved"}),
        "mixed": ("group", {"firing", "resolved"}),
        "large": ("group", {"firing", "resolved"}),
        "digest": ("digest", {"firing"}),
    }


async def test_webhooks_of_a_real_alertmanager_can_be_previewed(relay: Relay, sink: Sink) -> None:
    for name in ("firing-two", "mixed-one-resolved", "resolved", "truncated", "watchdog"):
        result = await preview(relay, channel=HOOK | {"webhook_url": sink.url}, group=json.loads(sample(name)))
        assert result["requests"]


def rejected(response: ApiResponse, status: int, *fields: str) -> None:
    assert response.status == status, response.body
    assert [error["field"] for error in response.json.get("errors", [])] == list(fields)


async def test_an_invalid_request_is_rejected_with_the_field(relay: Relay, sink: Sink) -> None:
    new = HOOK | {"webhook_url": sink.url}
    await relay.channel(**new)
    requests: list[tuple[dict[str, Any], str]] = [
        ({}, "channel_id"),
        ({"sample": "mixed"}, "channel_id"),
        ({"channel_id": 1}, "channel_id"),
        ({"channel_id": "a\0"}, "channel_id"),
        ({"channel": "ops"}, "channel"),
        ({"channel": {}}, "channel.channel_type"),
        ({"channel": new | {"color": "red"}}, "channel.color"),
        ({"channel": new | {"webhook_url": "https://10.0.0.1/"}}, "channel.webhook_url"),
        ({"channel": new | {"webhook_url": MASK}}, "channel.webhook_url"),
        ({"channel_id": "ops", "channel": {"id": "other"}}, "channel.id"),
        ({"channel_id": "ops", "channel": {"webhook_url": "https://10.0.0.1/"}}, "channel.webhook_url"),
        ({"channel_id": "ops", "group": []}, "group"),
        ({"channel_id": "ops", "group": {"alerts": []}}, "group.alerts"),
        ({"channel_id": "ops", "group": webhook(alert() | {"status": "on"})}, "group.alerts[0].status"),
        ({"channel_id": "ops", "delivery_id": "one"}, "delivery_id"),
        ({"channel_id": "ops", "delivery_id": -1}, "delivery_id"),
        ({"channel_id": "ops", "delivery_id": 2**63}, "delivery_id"),
        ({"channel_id": "ops", "sample": "huge"}, "sample"),
        ({"channel_id": "ops", "sample": "large", "group": webhook()}, "sample"),
        ({"channel_id": "ops", "delivery_id": 1, "group": webhook()}, "delivery_id"),
        ({"channel_id": "ops", "all": True}, "all"),
    ]

    for request, field in requests:
        rejected(await relay.call("POST", "/preview", json=request), 400, field)


async def test_an_unknown_channel_or_delivery_is_not_found(relay: Relay, sink: Sink) -> None:
    await relay.channel(**HOOK, webhook_url=sink.url)

    rejected(await relay.call("POST", "/preview", json={"channel_id": "nope"}), 404)
    rejected(await relay.call("POST", "/preview", json={"channel_id": "ops", "delivery_id": 7}), 404)


async def test_a_relay_without_delivery_can_preview(start_relay: RelayFactory, sink: Sink) -> None:
    receiver = await start_relay(deliver=False)
    await receiver.channel(**HOOK, webhook_url=sink.url)
    await receiver.webhook(webhook())
    [pending] = await receiver.items("/deliveries")

    result = await preview(receiver, channel_id="ops", delivery_id=pending["id"])

    assert json.loads(bodies(result)[0])["id"] == str(pending["id"])
    assert sink.received == []
