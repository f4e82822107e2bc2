"""Groups too large for one message: several messages that show each alert once or count it."""

import re
from typing import Any

import pytest

from relay.domain.alerts import Alert
from relay.domain.channel_types import (
    WebhookChannel,
)
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message, Notification
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sampling import sampled
from tests.fixtures.sink import Sink
from tests.notify.channel_types import CHAT, ChannelType, each_chat_type
from tests.notify.factories import FALLBACK, HISTORY, alert, channel, count, digest, notification
from tests.notify.message_texts import COUNTED, ODD_TEXTS
from tests.notify.sending import send
from tests.notify.strict.readers import READERS

NUMBERED = re.compile(r"\((\d+)/(\d+)\)")
SUMMARY = re.compile(r"\bA\d{4}\b")
FAMILY = "👩‍👩‍👧‍👦"


def bodies(channel_type: ChannelType, message: Message, **settings: Any) -> list[bytes]:
    return [
        request.body for request in NOTIFIERS[channel_type].requests(channel(channel_type, **settings), message)
    ]


def messages(channel_type: ChannelType, message: Message, **settings: Any) -> list[str]:
    """The text of each message, accepted by the strict reader, without Discord's escapes."""
    return [READERS[channel_type](body).replace("\\", "") for body in bodies(channel_type, message, **settings)]


def large(size: int = 500, text: str = "word ", length: int = 2048, **labels: str) -> Notification:
    """A group of firing and resolved alerts with the summaries A0000, A0001, …; no two share a label value."""

    def one(at: int) -> Alert:
        description = (text * (length // len(text) + 1))[:length]
        own = {name: value[:5000] + f"{at}" + value[5000:] for name, value in labels.items()}
        return alert(
            status="firing" if at % 2 else "resolved",
            annotations={"summary": f"A{at:04}", "description": description},
            instance=f"db{at}",
            **own,
        )

    return notification(*map(one, range(size)), history_url=HISTORY)


def check_shown(message: Notification, texts: list[str]) -> int:
    """Check that every alert is shown once or counted in the last message; return the number counted."""
    shown = [mark for text in texts for mark in SUMMARY.findall(text)]
    assert len(shown) == len(set(shown))
    counted = [int(number) for text in texts for number in COUNTED.findall(text)]
    assert counted == [int(number) for number in COUNTED.findall(texts[-1])]
    assert len(shown) + sum(counted) == len(message.alerts)
    order = sorted(range(len(message.alerts)), key=lambda at: not message.alerts[at].firing)
    assert shown == [f"A{at:04}" for at in order[: len(shown)]], "firing alerts first, then in their order"
    return sum(counted)


def check_numbered(texts: list[str]) -> None:
    numbers = [NUMBERED.findall(text.partition("A0")[0]) for text in texts]
    assert [set(found) for found in numbers] == [{(f"{at + 1}", f"{len(texts)}")} for at in range(len(texts))]


@each_chat_type
def test_500_large_alerts_are_five_messages_with_a_count_and_a_link(channel_type: ChannelType) -> None:
    message = large()
    texts = messages(channel_type, message)
    assert len(texts) == 5
    check_numbered(texts)
    assert check_shown(message, texts) > 0
    assert [HISTORY in text for text in texts] == [False] * 4 + [True]
    assert all("[FIRING:250, RESOLVED:250] DiskFull" in text for text in texts)


@each_chat_type
def test_a_group_that_fits_several_messages_is_shown_whole(channel_type: ChannelType) -> None:
    message = large(12)
    texts = messages(channel_type, message)
    assert 1 < len(texts) <= 5
    check_numbered(texts)
    assert check_shown(message, texts) == 0
    assert not any(HISTORY in text for text in texts)


@pytest.mark.parametrize("limit", [1, 2, 20])
@each_chat_type
def test_the_channel_limits_the_number_of_messages(channel_type: ChannelType, limit: int) -> None:
    message = large()
    texts = messages(channel_type, message, max_messages=limit)
    assert len(texts) == limit
    check_shown(message, texts)
    if limit == 1:
        assert not NUMBERED.search(texts[0])
    else:
        check_numbered(texts)


@pytest.mark.parametrize("limit", [0, 21, -1])
@each_chat_type
def test_other_limits_are_rejected(channel_type: ChannelType, limit: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        channel(channel_type, max_messages=limit)
    assert caught.value.field == "max_messages"


@pytest.mark.parametrize(("channel_type", "text", "size"), sampled(CHAT, ODD_TEXTS, [1, 7, 60]))
def test_alerts_with_any_text_are_shown_or_counted(channel_type: ChannelType, text: str, size: int) -> None:
    message = large(size, text, 3000, huge=(text * 10_000)[:10_000])
    texts = messages(channel_type, message)
    check_shown(message, texts)
    assert size > 1 or len(texts) == 1


@pytest.mark.parametrize(
    ("channel_type", "length", "character"),
    sampled(CHAT, [*range(0, 2000, 250), *range(920, 1000, 7)], ["x", "&", "_", "🔥", "\x01"]),
)
def test_alerts_of_any_size_are_shown_or_counted(channel_type: ChannelType, length: int, character: str) -> None:
    for size in (3, 11, 49, 50, 51):
        message = large(size, character, length)
        check_shown(message, messages(channel_type, message))


@each_chat_type
def test_one_alert_is_one_message_without_a_number(channel_type: ChannelType) -> None:
    for text in ("word ", "&", FAMILY, "تنبيه"):
        [message] = messages(channel_type, large(1, text, 100_000, huge=text * 10_000))
        assert not NUMBERED.search(message)
        assert not COUNTED.search(message)


@each_chat_type
def test_one_alert_with_the_longest_texts_is_one_message(channel_type: ChannelType) -> None:
    odd = "\x01_&🔥"
    url = "http://x.example/?" + "a" * 700
    annotations = {"summary": odd * 500, "description": odd * 5000, "runbook_url": url}
    one = alert(odd * 300, annotations=annotations, url=url, huge=odd * 2500)
    message = notification(one, external_url=url, history_url=url, truncated=9, fallback_for=FALLBACK)
    [text] = messages(channel_type, message)
    assert not COUNTED.search(text)


@each_chat_type
def test_a_description_that_fits_is_not_cut(channel_type: ChannelType) -> None:
    description = " ".join(f"word{at}" for at in range(200))
    [text] = messages(channel_type, notification(alert(annotations={"summary": "s", "description": description})))
    assert description in text


@each_chat_type
def test_alerts_that_alertmanager_truncated_are_counted_in_the_last_message(channel_type: ChannelType) -> None:
    alerts = large().alerts
    texts = messages(channel_type, notification(*alerts, truncated=31, history_url=HISTORY, fallback_for=FALLBACK))
    notice = "31 more alerts were left out by Alertmanager"
    assert [notice in text for text in texts] == [False] * 4 + [True]
    assert all(FALLBACK.reason in text for text in texts), "every message names the reason"


@each_chat_type
def test_alerts_are_counted_without_a_history_url(channel_type: ChannelType) -> None:
    message = notification(*large().alerts)
    texts = messages(channel_type, message)
    assert check_shown(message, texts) > 0
    assert "All of them" not in texts[-1]


@each_chat_type
def test_emoji_and_accents_are_not_split(channel_type: ChannelType) -> None:
    for text in (FAMILY, "🇩🇪", "e\u0301", "👍🏽"):
        for start in range(12):
            one = alert(annotations={"summary": "s", "description": "x" * start + text * 9000})
            [written] = messages(channel_type, notification(one))
            assert re.search(rf"x{{{start}}}((?:{text})+)…", written)


@each_chat_type
def test_the_same_group_makes_the_same_bytes(channel_type: ChannelType) -> None:
    assert bodies(channel_type, large()) == bodies(channel_type, large())


@each_chat_type
def test_a_digest_is_one_message(channel_type: ChannelType) -> None:
    alerts = large(100).alerts
    [text] = messages(channel_type, digest(count("DiskFull", firing=400), alerts=alerts))
    assert not NUMBERED.search(text)
    assert COUNTED.search(text)


def test_the_webhook_sends_all_alerts_in_one_message() -> None:
    assert len(bodies(WebhookChannel, large())) == 1


@each_chat_type
async def test_all_messages_are_sent_in_order(channel_type: ChannelType, sink: Sink) -> None:
    await send(channel_type, sink.url, large())
    assert [request.body for request in sink.received] == bodies(channel_type, large(), url=sink.url)
