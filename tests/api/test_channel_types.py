"""The channel types that use tokens, over the API."""

import json
from typing import Any

import msgspec
import pytest

from relay.domain.channel_types import BaseChannel, PagerDutyChannel, SmsChannel, TelegramChannel, type_name
from tests.fixtures.relays import Relay, webhook
from tests.fixtures.sink import Sink
from tests.notify.factories import ACCOUNT, AUTH_TOKEN, BOT_TOKEN, ROUTING_KEY, TOKENS, channel
from tests.notify.strict.pagerduty import StrictPagerDuty
from tests.notify.strict.telegram import StrictTelegram
from tests.notify.strict.twilio import StrictTwilio

PLATFORMS: dict[type[BaseChannel], Any] = {
    TelegramChannel: lambda: StrictTelegram(BOT_TOKEN, "42"),
    PagerDutyChannel: lambda: StrictPagerDuty(ROUTING_KEY),
    SmsChannel: lambda: StrictTwilio(ACCOUNT, AUTH_TOKEN),
}


def settings(channel_class: type[BaseChannel], url: str) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(channel(channel_class, url))
    return {name: value for name, value in fields.items() if value is not None} | {"name": "Ops", "id": "ops"}


@pytest.mark.parametrize("channel_class", TOKENS, ids=type_name)
async def test_a_channel_of_each_type_is_created_masked_and_sent_an_alert(
    channel_class: type[BaseChannel], relay: Relay, sink: Sink
) -> None:
    sink.script = platform = PLATFORMS[channel_class]()
    created = await relay.channel(**settings(channel_class, sink.url))
    await relay.call(
        "PATCH", "/channels/ops", json={"name": "Operations"} | dict.fromkeys(channel_class.SECRET, "********")
    )
    assert {created[name] for name in channel_class.SECRET if name != "tls_key"} == {"********"}

    await relay.webhook(webhook())

    await sink.wait_for(1)
    tested = await relay.call("POST", "/test", json={"channel_id": "ops"})
    assert tested.json["delivered"], tested.json
    secrets = {settings(channel_class, sink.url)[name] for name in channel_class.SECRET - {"tls_key"}}
    output = json.dumps([created, await relay.items("/channels"), tested.json])
    assert not [secret for secret in secrets if secret in output]
    assert platform.texts


@pytest.mark.parametrize("channel_class", TOKENS, ids=type_name)
async def test_a_private_address_is_rejected_with_the_field(
    channel_class: type[BaseChannel], relay: Relay
) -> None:
    response = await relay.call("POST", "/channels", json=settings(channel_class, "http://10.1.2.3"))

    assert response.status == 400 or response.status == 422
    assert TOKENS[channel_class][0] in json.dumps(response.json)
