"""The content of messages: headline, order, color, times and labels."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from relay.domain.alertmanager import MIN_TIME
from relay.domain.alerts import NO_TIME
from relay.domain.channel_types import (
    DiscordChannel,
    PagerDutyChannel,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
)
from relay.domain.grafana import GrafanaFields
from relay.domain.notifications import Notification
from relay.notify.registry import NOTIFIERS
from tests.notify.factories import STARTED, alert, channel, notification
from tests.notify.message_texts import message_text
from tests.notify.strict.discord import read_discord
from tests.notify.strict.slack import read_slack
from tests.notify.strict.teams import read_teams

MIXED = notification(
    alert("Gone", "resolved"), alert("First", instance="a"), alert("Past", "resolved"), alert("Second")
)


def first_request(channel_type: Any, message: Notification, **settings: Any) -> Any:
    [request] = NOTIFIERS[channel_type].requests(channel(channel_type, **settings), message)
    return request


def texts_of(message: Notification) -> list[str]:
    return [
        read_slack(first_request(SlackChannel, message).body),
        read_discord(first_request(DiscordChannel, message).body).replace("\\", ""),
        read_teams(first_request(TeamsChannel, message).body),
    ]


@pytest.mark.parametrize(
    ("alerts", "headline"),
    [
        ([alert()], "[FIRING:1] DiskFull"),
        ([alert(instance="a"), alert(instance="b")], "[FIRING:2] DiskFull"),
        ([alert(status="resolved")], "[RESOLVED:1] DiskFull"),
        ([alert(status="resolved", instance="a"), alert()], "[FIRING:1, RESOLVED:1] DiskFull"),
        ([alert("B"), alert("A")], "[FIRING:2] A, B"),
        ([alert(name) for name in "EDCBA"], "[FIRING:5] A, B, C and 2 more"),
        ([alert("")], "[FIRING:1] alert"),
    ],
)
def test_the_headline_counts_and_names(alerts: Any, headline: str) -> None:
    for text in texts_of(notification(*alerts)):
        assert headline in text


@pytest.mark.parametrize("summary", ["Down\n", "\n  Down", "Down \t\r\n", "\u00a0Down\u2029"])
def test_whitespace_around_a_summary_is_not_in_bold(summary: str) -> None:
    message = notification(alert("Name\n", annotations={"summary": summary}))
    slack, discord, telegram, teams = [
        json.dumps(json.loads(first_request(channel_type, message).body), ensure_ascii=False)
        for channel_type in (SlackChannel, DiscordChannel, TelegramChannel, TeamsChannel)
    ]
    assert "🔥 *Down*\\n" in slack
    assert '"*[FIRING:1] Name*"' in slack
    assert "🔥 **Down**\\n" in discord
    assert "🔥 <b>Down</b>\\n" in telegram
    assert '"🔥 Down"' in teams


def test_a_summary_of_several_lines_is_one_line_in_bold() -> None:
    message = notification(alert(annotations={"summary": "First\nsecond"}))
    assert "*First second*" in first_request(SlackChannel, message).body.decode()


def test_slack_does_not_nest_bold_text() -> None:
    message = notification(alert("a*b", annotations={"summary": "*db-1* is *down*"}))
    text = read_slack(first_request(SlackChannel, message).body)
    assert "🔥 *db-1* is *down*\n" in text
    assert "[FIRING:1] a*b" in text.splitlines()


@pytest.mark.parametrize("label", ["alert_name", "alertName", "gems_alertname"])
def test_an_alert_may_have_its_name_in_a_similar_label(label: str) -> None:
    unnamed = alert("", annotations={}, **{label: "Scheduler is down"})
    for channel_type in (SlackChannel, DiscordChannel, TeamsChannel, SmsChannel, PagerDutyChannel):
        assert "Scheduler is down" in message_text(channel_type, notification(unnamed)).split("=")[0]


def test_a_resolved_alert_without_an_end_or_with_the_same_start_has_one_time() -> None:
    open_end = msgspec.structs.replace(alert(status="resolved"), ends_at=None)
    same = msgspec.structs.replace(open_end, ends_at=STARTED, grafana=GrafanaFields())
    for text in texts_of(notification(open_end)):
        assert "started 2026-11-23 15:33:27 UTC" in text
    for text in texts_of(notification(same)):
        assert "until 2026-11-23 15:33:27 UTC" in text


def test_an_unknown_start_is_not_shown_as_a_time() -> None:
    firing, resolved = [
        msgspec.structs.replace(alert(status=status), starts_at=start)
        for status, start in (("firing", MIN_TIME), ("resolved", NO_TIME))
    ]
    for text in texts_of(notification(firing)):
        assert "since an unknown time" in text
    for text in texts_of(notification(resolved)):
        assert "until 2026-11-23 15:40:27 UTC" in text


def test_firing_alerts_come_before_resolved_ones() -> None:
    for text in texts_of(MIXED):
        order = [text.index(f"{name} is ") for name in ("First", "Second", "Gone", "Past")]
        assert order == sorted(order)


def test_a_resolved_alert_has_its_duration() -> None:
    for text in texts_of(notification(alert(status="resolved"))):
        assert "2026-11-23 15:33:27 to 15:40:27 UTC (7m)" in text


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(0), "15:33:27 to 15:33:27 UTC (0s)"),
        (timedelta(seconds=59.9), "15:33:27 to 15:34:26 UTC (59s)"),
        (timedelta(minutes=90, seconds=3), "15:33:27 to 17:03:30 UTC (1h 30m)"),
        (timedelta(hours=9), "15:33:27 to 2026-11-24 00:33:27 UTC (9h)"),
        (timedelta(days=2, minutes=5), "15:33:27 to 2026-11-25 15:38:27 UTC (2d)"),
    ],
)
def test_the_date_is_written_once_and_the_duration_in_its_largest_units(
    duration: timedelta, expected: str
) -> None:
    resolved = msgspec.structs.replace(alert(status="resolved"), ends_at=STARTED + duration)
    for text in texts_of(notification(resolved)):
        assert f"2026-11-23 {expected}" in text


def test_the_most_severe_firing_alerts_come_first() -> None:
    alerts = (
        alert("A", "resolved"),
        alert("B", severity="info"),
        alert("C", severity="warning"),
        alert("D"),
        alert("E", severity="odd"),
    )
    for text in texts_of(notification(*alerts)):
        assert "D, C, B and 2 more" in text
        order = [text.index(f"{name} is ") for name in "DCBEA"]
        assert order == sorted(order)


@pytest.mark.parametrize(
    ("alerts", "color", "teams"),
    [
        ([alert(severity="critical")], 0xD32F2F, "attention"),
        ([alert(severity="error")], 0xE64A19, "attention"),
        ([alert(severity="warning")], 0xF9A825, "warning"),
        ([alert(severity="info")], 0x1976D2, "accent"),
        ([alert(severity="page")], 0xD32F2F, "attention"),
        ([alert(severity="Warn")], 0xF9A825, "warning"),
        ([alert(severity="gold")], 0x757575, "default"),
        ([alert(severity="")], 0x757575, "default"),
        ([alert(severity="critical", status="resolved")], 0x2E7D32, "good"),
        ([alert(severity="info"), alert(severity="warning")], 0xF9A825, "warning"),
        ([alert(severity="info"), alert(severity="critical", status="resolved")], 0x1976D2, "accent"),
    ],
)
def test_the_color_is_that_of_the_most_severe_firing_alert(alerts: Any, color: int, teams: str) -> None:
    message = notification(*alerts)
    assert json.loads(first_request(SlackChannel, message).body)["attachments"][0]["color"] == f"#{color:06X}"
    assert json.loads(first_request(DiscordChannel, message).body)["embeds"][0]["color"] == color
    card = json.loads(first_request(TeamsChannel, message).body)["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["color"] == teams


def test_labels_that_all_alerts_share_are_written_once() -> None:
    message = notification(*(alert(instance=f"db{n}", region="north") for n in range(3)))
    for text in texts_of(message):
        assert text.replace("\\", "").count("region=north") == 1
        assert "instance=db2" in text


def test_a_description_that_repeats_the_summary_is_omitted() -> None:
    for text in texts_of(notification(alert(annotations={"summary": "same text", "description": "same text"}))):
        assert text.count("same text") == 1
