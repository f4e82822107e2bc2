"""Is a group too large for one message told in several, each alert once or counted, whatever it holds?"""

import re
from typing import Any

import pytest

from relay.domain.alerts import Alert
from relay.domain.channel_types import (
    BaseChannel,
    DiscordChannel,
    SlackChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message, Notification
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sink import Sink
from tests.notify.conftest import Tell
from tests.notify.factories import FALLBACK, HISTORY, alert, channel, count, digest, notification
from tests.notify.message_texts import COUNTED, TEXTS
from tests.notify.strict.readers import CHECKS

NUMBERED = re.compile(r"\((\d+)/(\d+)\)")
MARKED = re.compile(r"\bA\d{4}\b")
FAMILY = "👩‍👩‍👧‍👦"


@pytest.fixture(params=[SlackChannel, DiscordChannel, TeamsChannel, TelegramChannel])
def platform(request: pytest.FixtureRequest) -> type[BaseChannel]:
    """Each type that tells people, in words."""
    chosen: type[BaseChannel] = request.param
    return chosen


def bodies(kind: type[BaseChannel], told: Message, **settings: Any) -> list[bytes]:
    return [request.body for request in NOTIFIERS[kind].requests(channel(kind, **settings), told)]


def messages(kind: type[BaseChannel], told: Message, **settings: Any) -> list[str]:
    """What each message says, found to be within the platform's limits, without Discord's escapes."""
    return [CHECKS[kind](body).replace("\\", "") for body in bodies(kind, told, **settings)]


def large(size: int = 500, text: str = "word ", length: int = 2048, **labels: str) -> Notification:
    """A group, mixed, whose alerts are told apart by their summaries, A0000 and on, and share no odd label."""

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


def check_told(told: Notification, texts: list[str]) -> int:
    """Every alert is in one message and once, or counted in the last one; returns how many are counted."""
    shown = [mark for text in texts for mark in MARKED.findall(text)]
    assert len(shown) == len(set(shown))
    counted = [int(left) for text in texts for left in COUNTED.findall(text)]
    assert counted == [int(left) for left in COUNTED.findall(texts[-1])]
    assert len(shown) + sum(counted) == len(told.alerts)
    order = sorted(range(len(told.alerts)), key=lambda at: not told.alerts[at].firing)
    assert shown == [f"A{at:04}" for at in order[: len(shown)]], "firing first, then as they came"
    return sum(counted)


def check_numbered(texts: list[str]) -> None:
    numbers = [NUMBERED.findall(text.partition("A0")[0]) for text in texts]
    assert [set(found) for found in numbers] == [{(f"{at + 1}", f"{len(texts)}")} for at in range(len(texts))]


def test_500_large_alerts_take_five_messages_and_end_in_a_count_and_a_link(platform: type[BaseChannel]) -> None:
    told = large()
    texts = messages(platform, told)
    assert len(texts) == 5
    check_numbered(texts)
    assert check_told(told, texts) > 0
    assert [HISTORY in text for text in texts] == [False] * 4 + [True]
    assert all("[FIRING:250, RESOLVED:250] DiskFull" in text for text in texts)


def test_a_group_that_fits_several_messages_is_told_whole(platform: type[BaseChannel]) -> None:
    told = large(12)
    texts = messages(platform, told)
    assert 1 < len(texts) <= 5
    check_numbered(texts)
    assert check_told(told, texts) == 0
    assert not any(HISTORY in text for text in texts)


@pytest.mark.parametrize("most", [1, 2, 20])
def test_the_channel_says_how_many_messages_there_may_be(platform: type[BaseChannel], most: int) -> None:
    told = large()
    texts = messages(platform, told, max_messages=most)
    assert len(texts) == most
    check_told(told, texts)
    if most == 1:
        assert not NUMBERED.search(texts[0])
    else:
        check_numbered(texts)


@pytest.mark.parametrize("most", [0, 21, -1])
def test_any_other_number_is_refused(platform: type[BaseChannel], most: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        channel(platform, max_messages=most)
    assert caught.value.field == "max_messages"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("size", [1, 7, 60])
def test_whatever_the_alerts_hold_each_is_told_or_counted(
    platform: type[BaseChannel], text: str, size: int
) -> None:
    told = large(size, text, 3000, huge=(text * 10_000)[:10_000])
    texts = messages(platform, told)
    check_told(told, texts)
    assert size > 1 or len(texts) == 1


@pytest.mark.parametrize("length", [*range(0, 2000, 250), *range(920, 1000, 7)])
@pytest.mark.parametrize("character", ["x", "&", "_", "🔥", "\x01"])
def test_alerts_of_any_size_are_told_or_counted(platform: type[BaseChannel], length: int, character: str) -> None:
    for size in (3, 11, 49, 50, 51):
        told = large(size, character, length)
        check_told(told, messages(platform, told))


def test_one_alert_is_one_message_without_a_number(platform: type[BaseChannel]) -> None:
    for text in ("word ", "&", FAMILY, "تنبيه"):
        [told] = messages(platform, large(1, text, 100_000, huge=text * 10_000))
        assert not NUMBERED.search(told)
        assert not COUNTED.search(told)


def test_one_alert_of_the_largest_kind_is_one_message(platform: type[BaseChannel]) -> None:
    odd = "\x01_&🔥"
    url = "http://x.example/?" + "a" * 700
    annotations = {"summary": odd * 500, "description": odd * 5000, "runbook_url": url}
    one = alert(odd * 300, annotations=annotations, url=url, huge=odd * 2500)
    told = notification(one, external_url=url, history_url=url, truncated=9, fallback_for=FALLBACK)
    [text] = messages(platform, told)
    assert not COUNTED.search(text)


def test_a_description_is_whole_where_there_is_room_for_it(platform: type[BaseChannel]) -> None:
    words = " ".join(f"word{at}" for at in range(200))
    [text] = messages(platform, notification(alert(annotations={"summary": "s", "description": words})))
    assert words in text


def test_what_alertmanager_left_out_is_said_in_the_last_message(platform: type[BaseChannel]) -> None:
    alerts = large().alerts
    texts = messages(platform, notification(*alerts, truncated=31, history_url=HISTORY, fallback_for=FALLBACK))
    said = "31 more alerts were left out by Alertmanager"
    assert [said in text for text in texts] == [False] * 4 + [True]
    assert all(FALLBACK.reason in text for text in texts), "each can be understood by itself"


def test_a_history_without_a_web_page_is_counted_all_the_same(platform: type[BaseChannel]) -> None:
    told = notification(*large().alerts)
    texts = messages(platform, told)
    assert check_told(told, texts) > 0
    assert "All of them" not in texts[-1]


def test_emoji_and_accents_are_not_cut_in_two(platform: type[BaseChannel]) -> None:
    for text in (FAMILY, "🇩🇪", "e\u0301", "👍🏽"):
        for start in range(12):
            one = alert(annotations={"summary": "s", "description": "x" * start + text * 9000})
            [written] = messages(platform, notification(one))
            found = re.search(rf"x{{{start}}}((?:{text})+)…", written)
            assert found


def test_the_same_group_makes_the_same_bytes(platform: type[BaseChannel]) -> None:
    assert bodies(platform, large()) == bodies(platform, large())


def test_a_digest_is_one_message(platform: type[BaseChannel]) -> None:
    alerts = large(100).alerts
    [text] = messages(platform, digest(count("DiskFull", firing=400), alerts=alerts))
    assert not NUMBERED.search(text)
    assert COUNTED.search(text)


def test_the_generic_webhook_gets_all_in_one() -> None:
    assert len(bodies(WebhookChannel, large())) == 1


async def test_all_messages_are_sent_in_their_order(platform: type[BaseChannel], sink: Sink, tell: Tell) -> None:
    await tell(platform, sink.url, large())
    assert [one.body for one in sink.received] == bodies(platform, large(), url=sink.url)
