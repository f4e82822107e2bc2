"""Some histories over HTTP, delivered to a webhook channel: what is sent, and in which order."""

from datetime import datetime, timedelta

import pytest

from tests.fixtures.relays import RelayFactory
from tests.fixtures.sink import Sink
from tests.model.model import Model
from tests.model.play import START, WINDOW, body_of
from tests.model.run import histories
from tests.model.webhooks import ALERTS, History, Webhook

SEED = 80
HISTORIES = 6

Sent = list[tuple[str, str, str]]
"""The alerts of a message: fingerprint, label and status."""


def expected(history: History) -> list[Sent]:
    """The messages that the model states."""
    model = Model(WINDOW)
    decided = [(webhook, model.receive(webhook).delivered) for webhook in history.webhooks]
    return [sorted(_alert(webhook, at) for at in delivered) for webhook, delivered in decided if delivered]


def _alert(webhook: Webhook, position: int) -> tuple[str, str, str]:
    report = webhook.reports[position]
    return (*ALERTS[report.alert], "firing" if report.firing else "resolved")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(HISTORIES))
async def test_the_channel_receives_what_the_model_states(
    start_relay: RelayFactory, sink: Sink, number: int
) -> None:
    [history] = histories(SEED, range(number, number + 1))
    clock = START

    def now() -> datetime:
        return clock

    relay = await start_relay(repeat_after=WINDOW, now=now)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    messages = 0
    for webhook in history.webhooks:
        clock = START + timedelta(seconds=webhook.at)
        query = f"?sender={webhook.sender.address}" + (f"&source={webhook.source}" if webhook.source else "")
        response = await relay.call("POST", f"/webhook{query}", key=None, json=body_of("t", webhook, START))
        assert response.status == 202, response.body
        if response.json["notifications"]:  # wait, so that the messages of a group are not merged
            messages += 1
            await sink.wait_for(messages)
            await relay.settled(messages)
    sent = [
        sorted((alert["fingerprint"], alert["labels"]["series"], alert["status"]) for alert in one.json["alerts"])
        for one in sink.received
    ]
    assert sent == expected(history)
