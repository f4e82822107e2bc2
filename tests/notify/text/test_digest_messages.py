"""Digests of any size: they fit each platform, count their alerts, and name all that is critical."""

import json
import re
from typing import Any

import pytest

from relay.domain.channel_types import (
    DiscordChannel,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    WebhookChannel,
)
from relay.domain.notifications import AlertCount, Digest
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sampling import sampled
from tests.fixtures.sink import Sink
from tests.notify.channel_types import ALL, CHAT, ChannelType, each_chat_type, each_type
from tests.notify.factories import FALLBACK, HISTORY, alert, channel, count, digest
from tests.notify.message_texts import ODD_TEXTS, count_alerts, message_text
from tests.notify.sending import send

MIXED = digest(
    count("HighLatency", firing=12, resolved=1),
    count("DiskFull", firing=3),
    count("node_cpu_high", "warning", firing=40, resolved=2),
    count("Odd", "page"),
    count("", "", firing=0, resolved=1),
)
LARGE_DIGEST_TEXTS = {name: ODD_TEXTS[name] for name in ("combined emoji", "ampersands", "markdown")}


def unescaped_text(channel_type: ChannelType, message: Digest) -> str:
    """The text of a message, without Discord's escapes."""
    text = message_text(channel_type, message)
    return text.replace("\\", "") if channel_type is DiscordChannel else text


def payload(message: Digest) -> Any:
    return json.loads(NOTIFIERS[WebhookChannel].request(channel(WebhookChannel), message).body)


@each_chat_type
def test_a_digest_counts_groups_alerts_severities_and_names(channel_type: ChannelType) -> None:
    text = unescaped_text(channel_type, MIXED)
    lines = [
        "[DIGEST of 27 groups] FIRING:56, RESOLVED:4",
        "critical 🔥15 ✅1: HighLatency 🔥12 ✅1, DiskFull 🔥3",
        "page 🔥1: Odd 🔥1",
        "warning 🔥40 ✅2: node_cpu_high 🔥40 ✅2",
        "no severity ✅1: no name ✅1",
        "HighLatency is firing",
        "All of them",
    ]
    order = [text.replace("All of them\n", "", channel_type is TeamsChannel).find(line) for line in lines[:-1]]
    assert -1 not in order
    assert order == sorted(order)
    assert lines[-1] in text
    assert HISTORY in text
    assert count_alerts(channel_type, text) == MIXED.total


@each_chat_type
def test_one_group_is_in_the_singular(channel_type: ChannelType) -> None:
    assert "[DIGEST of 1 group] FIRING:1" in unescaped_text(channel_type, digest(groups=1))


@pytest.mark.parametrize(
    ("counts", "severity", "color"),
    [
        ([count("A", "warning"), count("B", "critical", firing=0, resolved=3)], "warning", "#F9A825"),
        ([count("A", "warning"), count("B", "critical")], "critical", "#D32F2F"),
        ([count("A", "warning", firing=0, resolved=2)], "warning", "#2E7D32"),
    ],
)
def test_the_color_is_that_of_the_most_severe_firing_count(
    counts: list[AlertCount], severity: str, color: str
) -> None:
    message = digest(*counts)
    [request] = NOTIFIERS[SlackChannel].requests(channel(SlackChannel), message)
    assert json.loads(request.body)["attachments"][0]["color"] == color
    assert payload(message)["severity"] == severity


@each_type
def test_300_critical_names_are_all_named(channel_type: ChannelType) -> None:
    if channel_type is SmsChannel:
        pytest.skip("two segments hold the first names")
    names = [f"DatabaseReplica{at}" for at in range(300)]
    others = [count(f"Other{at}", "warning", firing=10_000) for at in range(300)]
    text = unescaped_text(channel_type, digest(*others, *map(count, names), fallback_for=FALLBACK))
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_discord_s_whole_message_is_used_before_a_critical_name_is_cut() -> None:
    names = [f"DatabaseReplicaLags{at}" for at in range(300)]
    text = unescaped_text(DiscordChannel, digest(*map(count, names), fallback_for=FALLBACK))
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("size", range(80, 98))
def test_no_critical_name_is_lost_at_the_end_of_a_discord_embed(size: int) -> None:
    text = unescaped_text(
        DiscordChannel, digest(*(count("\\" * size + f"{at:03}") for at in range(43)), alerts=())
    )
    assert [at for at in range(43) if not re.search(rf"\b{at:03}\b", text)] == []


@each_chat_type
def test_long_names_are_shortened_in_the_middle_rather_than_omitted(channel_type: ChannelType) -> None:
    counts = [count(f"{'KubernetesPersistentVolume' * 3}FillingUp{at:03}") for at in range(300)]
    text = unescaped_text(channel_type, digest(*counts))
    assert [at for at in range(300) if not re.search(rf"Kube\w*…\w*{at:03}\b", text)] == []
    assert "more names" not in text


@each_type
def test_5000_counts_fit_and_the_critical_ones_are_named(channel_type: ChannelType) -> None:
    critical = [count(f"Critical{at}", firing=7) for at in range(100)]
    others = [count(f"Other{at}", f"severity-{at // 100:02}", firing=3) for at in range(4900)]
    message = digest(*critical, *others, groups=5000)
    text = unescaped_text(channel_type, message)
    assert channel_type is SmsChannel or not [at for at in range(100) if not re.search(rf"\bCritical{at}\b", text)]
    if channel_type is not WebhookChannel:
        assert count_alerts(channel_type, text) == message.total == 100 * 7 + 4900 * 3
    if channel_type in CHAT:
        assert "41 more severities 🔥12300" in text


@each_chat_type
def test_critical_names_that_do_not_fit_are_counted(channel_type: ChannelType) -> None:
    text = unescaped_text(channel_type, digest(*(count(f"CriticalAlert{at:05}") for at in range(20_000))))
    line = text[text.index("critical 🔥20000: ") :]
    left = re.search(r"… and (\d+) more names", line)
    assert left
    named = len(re.findall(r"Crit…\d\d\d", line[: left.start()]))
    assert named > 500
    assert named + int(left[1]) == 20_000


@each_chat_type
def test_other_names_that_do_not_fit_are_counted(channel_type: ChannelType) -> None:
    message = digest(*(count(f"LessImportant{at:04}", "warning") for at in range(2000)))
    text = unescaped_text(channel_type, message)
    shown = len(set(re.findall(r"LessImportant\d{4} 🔥1", text)))
    left = re.search(r"… and (\d+) more names", text)
    assert left
    assert shown + int(left[1]) == 2000
    assert count_alerts(channel_type, text) == 2000, "there is still room for the first alerts"


@pytest.mark.parametrize(
    ("channel_type", "text", "size"),
    [*sampled(ALL, ODD_TEXTS, [1, 27, 300]), *sampled(ALL, LARGE_DIGEST_TEXTS, [2000], keep=3)],
)
def test_odd_text_in_names_and_severities_fits(channel_type: ChannelType, text: str, size: int) -> None:
    counts = [count(f"{text}{at}", "critical" if at % 2 else f"{text}{at % 7}") for at in range(size)]
    annotations = {"summary": text, "description": f"{text}.", "runbook_url": f"http://x/?{text}"}
    alerts = tuple(alert(f"{text}{at}", severity=text, annotations=annotations) for at in range(min(size, 20)))
    message = digest(*counts, alerts=alerts, fallback_for=FALLBACK)
    written = message_text(channel_type, message)
    assert FALLBACK.reason in written
    if channel_type is not WebhookChannel and text not in (ODD_TEXTS["lines"], ODD_TEXTS["spaces"]):
        assert count_alerts(channel_type, written) == message.total


@pytest.mark.parametrize(
    ("channel_type", "size", "character"),
    sampled(CHAT, [10, 40, 60, 77, 99, 100, 101, 150], ["a", "_", "&", "é", "🔥", '"']),
)
def test_300_names_of_any_length_are_named_or_counted(
    channel_type: ChannelType, size: int, character: str
) -> None:
    written = message_text(channel_type, digest(*(count(f"{character * size}{at:03}") for at in range(300))))
    line = written[written.index("critical 🔥300: ") :]
    assert [at for at in range(300) if not re.search(rf"[^ ]{at:03}(?: 🔥1)?(?:,|$|\n)", line)] == []


@each_chat_type
def test_a_digest_shows_as_many_alerts_as_fit(channel_type: ChannelType) -> None:
    alerts = tuple(alert(instance=f"db{at}", annotations={"description": "x" * 900}) for at in range(100))
    text = unescaped_text(channel_type, digest(count("DiskFull", firing=400), alerts=alerts))
    assert "DiskFull 🔥400" in text
    assert count_alerts(channel_type, text) == 400
    assert text.count("instance=") >= 2


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "/deliveries/1"])
@each_chat_type
def test_a_history_url_that_is_no_web_page_is_not_linked(channel_type: ChannelType, url: str) -> None:
    assert "All of them" not in unescaped_text(channel_type, digest(history_url=url))


async def test_the_webhook_payload_of_a_digest_has_the_fields_of_a_group(sink: Sink) -> None:
    await send(WebhookChannel, sink.url, MIXED)
    body = sink.received[0].json
    assert (body["id"], body["kind"], body["status"], body["severity"]) == ("42", "digest", "firing", "critical")
    assert (body["group_key"], body["receiver"], body["external_url"], body["truncated_alerts"]) == ("", "", "", 0)
    assert body["group_labels"] == body["common_labels"] == body["common_annotations"] == {}
    assert [alert["alertname"] for alert in body["alerts"]][:2] == ["HighLatency", "DiskFull"]
    assert {alert["untold_firing"] for alert in body["alerts"]} == {False}
    summary = body["digest"]
    assert (summary["groups"], summary["firing"], summary["resolved"]) == (27, 56, 4)
    assert summary["counts"][0] == {
        "severity": "critical",
        "alertname": "HighLatency",
        "firing": 12,
        "resolved": 1,
    }
    assert summary["history_url"] == HISTORY


async def test_a_template_reads_a_digest(sink: Sink) -> None:
    template = '{"{{ kind }}": {{ digest.counts | length if digest else 0 }}, "of": {{ digest.groups }}}'
    await send(WebhookChannel, sink.url, MIXED, custom_payload_template=template)
    assert sink.received[0].json == {"digest": 5, "of": 27}
