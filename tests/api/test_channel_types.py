"""Is each type that goes by a token made, masked and told over the API, as one that goes by a URL is?"""

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


def settings(kind: type[BaseChannel], url: str) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(channel(kind, url))
    return {name: value for name, value in made.items() if value is not None} | {"name": "Ops", "id": "ops"}


@pytest.mark.parametrize("kind", TOKENS, ids=type_name)
async def test_a_channel_of_each_type_is_created_masked_and_sent_an_alert(
    kind: type[BaseChannel], relay: Relay, sink: Sink
) -> None:
    sink.script = platform = PLATFORMS[kind]()
    created = await relay.channel(**settings(kind, sink.url))
    await relay.call(
        "PATCH", "/channels/ops", json={"name": "Operations"} | dict.fromkeys(kind.SECRET, "********")
    )
    assert {created[name] for name in kind.SECRET} == {"********"}

    await relay.webhook(webhook())

    await sink.wait_for(1)
    tested = await relay.call("POST", "/test", json={"channel_id": "ops"})
    assert tested.json["delivered"], tested.json
    secrets = {settings(kind, sink.url)[name] for name in kind.SECRET}
    shown = json.dumps([created, await relay.items("/channels"), tested.json])
    assert not [secret for secret in secrets if secret in shown]
    assert platform.told


@pytest.mark.parametrize("kind", TOKENS, ids=type_name)
async def test_a_private_address_is_rejected_with_the_field(kind: type[BaseChannel], relay: Relay) -> None:
    answer = await relay.call("POST", "/channels", json=settings(kind, "http://10.1.2.3"))

    assert answer.status == 400 or answer.status == 422
    assert TOKENS[kind][0] in json.dumps(answer.json)
