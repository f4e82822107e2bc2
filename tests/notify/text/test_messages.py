"""Messages that fit each platform and show or count every alert."""

import re
from functools import cache

import msgspec
import pytest

from relay.domain.alerts import Alert
from relay.domain.channel_types import SmsChannel, WebhookChannel
from tests.fixtures.sampling import sampled
from tests.notify.channel_types import ALL, CHAT, ChannelType, each_type
from tests.notify.factories import ALERTMANAGER, HISTORY, RUNBOOK, SOURCE, alert, notification
from tests.notify.message_texts import COUNTED, ODD_TEXTS, count_alerts, message_text


def labelled(name: str, labels: dict[str, str]) -> Alert:
    return msgspec.structs.replace(alert(name), labels=labels | {"alertname": name})


@pytest.mark.parametrize(
    ("channel_type", "count", "size"),
    sampled(ALL, [1, 2, 3, 5, 12, 47, 48, 49, 50, 51, 500], [0, 10, 2048]),
)
def test_every_alert_is_shown_or_counted(channel_type: ChannelType, count: int, size: int) -> None:
    alerts = [alert(instance=f"db{n}", annotations={"description": "x" * size}) for n in range(count)]
    text = message_text(channel_type, notification(*alerts, truncated=3))
    assert count_alerts(channel_type, text) == count
    if channel_type is not WebhookChannel:
        assert re.search(r"3 more (?:alerts were )?left out by Alertmanager", text)


@cache  # the fingerprints of long texts are slow
def alerts_with(text: str, count: int) -> list[Alert]:
    annotations = {"summary": text, "description": f"{text}.", "runbook_url": f"http://x/?{text}"}
    return [
        alert(text, severity=text, annotations=annotations, url=f"http://x/?{text}", instance=text, at=f"{n}")
        for n in range(count)
    ]


@pytest.mark.parametrize(("channel_type", "text", "count"), sampled(ALL, ODD_TEXTS, [1, 3, 100]))
def test_odd_text_fits_in_every_field(channel_type: ChannelType, text: str, count: int) -> None:
    alerts = alerts_with(text, count)
    message = message_text(
        channel_type, notification(*alerts, truncated=2**31 - 1, external_url=f"http://x/{text}")
    )
    assert channel_type not in CHAT or f"{count}" in message
    if channel_type is not WebhookChannel and text not in (ODD_TEXTS["lines"], ODD_TEXTS["spaces"]):
        assert count_alerts(channel_type, message) == count


@pytest.mark.parametrize(
    ("channel_type", "length", "character"),
    sampled(ALL, [700, 780, 799, 800, 1400, 1490, 1500, 5000, 20_000], ["a", "&", "(", "é"]),
)
def test_long_urls_fit_or_are_omitted(channel_type: ChannelType, length: int, character: str) -> None:
    url = "http://x.example/?" + character * (length - 18)
    annotations = {"runbook_url": url, "description": "&" * 3000, "summary": "&" * 300}
    alerts = [alert(annotations=annotations, url=url, instance="&" * 700, at=f"{n}") for n in range(40)]
    assert count_alerts(channel_type, message_text(channel_type, notification(*alerts, external_url=url))) == len(
        alerts
    )


@each_type
def test_hundreds_of_labels_fit(channel_type: ChannelType) -> None:
    many = {f"label_{n}": "é" * 50 for n in range(300)}
    message = notification(labelled("DiskFull", many), labelled("Other", many | {"huge": "🔥" * 10_000}))
    assert count_alerts(channel_type, message_text(channel_type, message)) == 2


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//x", "http://"],
)
@each_type
def test_only_web_pages_are_linked(channel_type: ChannelType, url: str) -> None:
    message = notification(alert(url=url, annotations={"runbook_url": url}), external_url=url)
    text = message_text(channel_type, message)
    assert channel_type is WebhookChannel or not any(
        label in text for label in ("Source", "Runbook", "Alertmanager")
    )


@each_type
def test_counted_alerts_are_linked_to_the_history(channel_type: ChannelType) -> None:
    alerts = [alert(f"Alert{n}", annotations={"description": "x" * 2048}) for n in range(500)]
    text = message_text(channel_type, notification(*alerts, history_url=HISTORY))
    if channel_type is SmsChannel or COUNTED.search(text):
        assert HISTORY in text
    assert count_alerts(channel_type, text) == 500


@each_type
def test_an_alert_without_any_text_is_shown(channel_type: ChannelType) -> None:
    text = message_text(
        channel_type, notification(alert("", severity="", annotations={}, url=""), external_url="")
    )
    assert count_alerts(channel_type, text) == 1


@each_type
def test_an_alert_without_a_summary_is_shown_by_its_name(channel_type: ChannelType) -> None:
    assert "DiskFull" in message_text(channel_type, notification(alert(annotations={})))


@each_type
def test_an_alert_has_its_links(channel_type: ChannelType) -> None:
    text = message_text(channel_type, notification(alert(annotations={"runbook_url": RUNBOOK})))
    for url in (SOURCE, RUNBOOK, ALERTMANAGER) if channel_type is not SmsChannel else (ALERTMANAGER,):
        assert url in text


@each_type
def test_an_alertmanager_with_a_bare_host_name_is_linked(channel_type: ChannelType) -> None:
    assert "http://alertmanager:9093" in message_text(
        channel_type, notification(external_url="http://alertmanager:9093/")
    )
