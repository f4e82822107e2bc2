"""The marks of fallback messages, and of alerts that were resolved before their firing was sent."""

import json
from typing import Any

import msgspec
import pytest

from relay.domain.channel_types import WebhookChannel
from relay.domain.notifications import FallbackFor, Message
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sampling import sampled
from tests.fixtures.sink import Sink
from tests.notify.channel_types import ALL, CHAT, ChannelType, each_type
from tests.notify.factories import FALLBACK, alert, channel, digest, notification
from tests.notify.message_texts import ODD_TEXTS, count_alerts, message_text
from tests.notify.sending import send

FALLBACK_NOTE = "Fallback for channel slack-critical: circuit breaker open since 15:33"
UNNOTIFIED_NOTE = "fired and resolved before a notification was sent"
RESOLVED = notification(
    alert("Notified", "resolved"), alert("Unnotified", "resolved"), alert("Fires"), unnotified=frozenset({1, 2})
)


def payload(message: Message) -> Any:
    return json.loads(NOTIFIERS[WebhookChannel].request(channel(WebhookChannel), message).body)


@pytest.mark.parametrize("message", [notification(fallback_for=FALLBACK), digest(fallback_for=FALLBACK)])
@each_type
def test_a_fallback_message_names_the_original_channel_near_the_top(
    channel_type: ChannelType, message: Message
) -> None:
    text = message_text(channel_type, message)
    if channel_type in CHAT:
        assert FALLBACK_NOTE in text.replace("\\", "")
        assert text.replace("\\", "").index(FALLBACK_NOTE) < text.index("DiskFull is firing")
    fallback = {"channel_id": "slack-critical", "reason": "circuit breaker open since 15:33"}
    assert payload(message)["fallback_for"] == fallback


@pytest.mark.parametrize("message", [notification(), digest()])
@each_type
def test_other_messages_name_no_original_channel(channel_type: ChannelType, message: Message) -> None:
    assert "Fallback for channel" not in message_text(channel_type, message)
    assert payload(message)["fallback_for"] is None


@pytest.mark.parametrize(("channel_type", "text"), sampled(ALL, ODD_TEXTS))
def test_any_fallback_reason_fits(channel_type: ChannelType, text: str) -> None:
    alerts = [alert(instance=f"db{at}", annotations={"description": text}) for at in range(60)]
    message = notification(*alerts, fallback_for=FallbackFor(channel_id="c" * 63, reason=text))
    assert count_alerts(channel_type, message_text(channel_type, message)) == len(alerts)
    message_text(channel_type, digest(fallback_for=message.fallback_for))


@each_type
def test_an_unnotified_alert_is_marked_as_fired_and_resolved(channel_type: ChannelType) -> None:
    if channel_type not in CHAT:
        assert [alert["untold_firing"] for alert in payload(RESOLVED)["alerts"]] == [False, True, False]
        return
    text = message_text(channel_type, RESOLVED)
    assert text.count(UNNOTIFIED_NOTE) == 1
    assert (
        text.index("Fires is firing") < text.index("Notified is resolved") < text.index("Unnotified is resolved")
    )
    assert text.index("Unnotified is resolved") < text.index(UNNOTIFIED_NOTE)


async def test_the_payload_has_the_kind_and_templates_read_the_marks(sink: Sink) -> None:
    message = msgspec.structs.replace(RESOLVED, fallback_for=FALLBACK)
    body = payload(message)
    assert (body["kind"], body["digest"]) == ("group", None)
    template = (
        '{"for": {{ fallback_for.channel_id | tojson }}, '
        '"unnotified": {{ alerts | selectattr("untold_firing") | map(attribute="alertname") | list | tojson }}}'
    )
    await send(WebhookChannel, sink.url, message, custom_payload_template=template)
    assert sink.received[0].json == {"for": "slack-critical", "unnotified": ["Unnotified"]}
