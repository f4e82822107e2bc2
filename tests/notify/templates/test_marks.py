"""Does a message say that it was meant for another channel, and that an alert fired before that could be told?"""

import json
from typing import Any

import msgspec
import pytest

from relay.domain.channel_types import BaseChannel, WebhookChannel
from relay.domain.notifications import FallbackFor, Message
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sink import Sink
from tests.notify.conftest import Tell
from tests.notify.factories import FALLBACK, alert, channel, digest, notification
from tests.notify.message_texts import TEXTS, accounted_for, said
from tests.notify.strict.readers import IN_WORDS

MEANT = "Meant for the channel slack-critical, which could not be told: circuit breaker open since 15:33"
UNTOLD = "it fired, and was resolved before that could be told"
ENDED = notification(
    alert("Told", "resolved"), alert("Untold", "resolved"), alert("Fires"), unnotified=frozenset({1, 2})
)


def payload(told: Message) -> Any:
    return json.loads(NOTIFIERS[WebhookChannel].request(channel(WebhookChannel), told).body)


@pytest.mark.parametrize("told", [notification(fallback_for=FALLBACK), digest(fallback_for=FALLBACK)])
def test_a_message_in_place_of_another_says_so_near_the_top(kind: type[BaseChannel], told: Message) -> None:
    text = said(kind, told)
    if kind in IN_WORDS:
        assert MEANT in text.replace("\\", "")
        assert text.replace("\\", "").index(MEANT) < text.index("DiskFull is firing")
    fallback = {"channel_id": "slack-critical", "reason": "circuit breaker open since 15:33"}
    assert payload(told)["fallback_for"] == fallback


@pytest.mark.parametrize("told", [notification(), digest()])
def test_a_message_of_its_own_does_not(kind: type[BaseChannel], told: Message) -> None:
    assert "Meant for" not in said(kind, told)
    assert payload(told)["fallback_for"] is None


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_whatever_the_reason_holds_fits(kind: type[BaseChannel], text: str) -> None:
    alerts = [alert(instance=f"db{at}", annotations={"description": text}) for at in range(60)]
    told = notification(*alerts, fallback_for=FallbackFor(channel_id="c" * 63, reason=text))
    assert accounted_for(kind, said(kind, told)) == len(alerts)
    said(kind, digest(fallback_for=told.fallback_for))


def test_an_alert_that_ended_before_it_was_told_is_told_as_both(kind: type[BaseChannel]) -> None:
    if kind not in IN_WORDS:
        assert [one["untold_firing"] for one in payload(ENDED)["alerts"]] == [False, True, False]
        return
    text = said(kind, ENDED)
    assert text.count(UNTOLD) == 1
    assert text.index("Fires is firing") < text.index("Told is resolved") < text.index("Untold is resolved")
    assert text.index("Untold is resolved") < text.index(UNTOLD)


async def test_a_group_tells_its_kind_and_templates_read_the_marks(sink: Sink, tell: Tell) -> None:
    told = msgspec.structs.replace(ENDED, fallback_for=FALLBACK)
    body = payload(told)
    assert (body["kind"], body["digest"]) == ("group", None)
    template = (
        '{"for": {{ fallback_for.channel_id | tojson }}, '
        '"untold": {{ alerts | selectattr("untold_firing") | map(attribute="alertname") | list | tojson }}}'
    )
    await tell(WebhookChannel, sink.url, told, custom_payload_template=template)
    assert sink.received[0].json == {"for": "slack-critical", "untold": ["Untold"]}
