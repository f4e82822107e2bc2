"""What becomes of a message's parts when the group needs more of them, fewer, or none that can be edited?"""

import msgspec
from aiohttp import web

from relay.domain.channel_types import TelegramChannel
from relay.domain.notifications import Notification
from relay.domain.outcomes import Retry, Sent
from relay.notify.living import EMPTIED
from tests.fixtures.sink import Answer, Sink
from tests.notify.conftest import Tell
from tests.notify.makers import BOT_TOKEN, alert, notification
from tests.notify.strict_telegram import StrictTelegram, refusal


def group(count: int, *posted: str) -> Notification:
    alerts = [alert(instance=f"db{at}", annotations={"description": "x" * 900}) for at in range(count)]
    return msgspec.structs.replace(notification(*alerts), posted=posted)


async def test_parts_that_are_needed_no_more_say_so_and_are_forgotten(sink: Sink, tell: Tell) -> None:
    sink.script = telegram = StrictTelegram(BOT_TOKEN, "42")
    first = await tell(TelegramChannel, sink.url, group(12))
    assert isinstance(first, Sent)
    assert len(first.posted) == len(telegram.messages) == 3

    second = await tell(TelegramChannel, sink.url, group(4, *first.posted))

    assert isinstance(second, Sent)
    assert second.posted == first.posted[:1]
    assert [EMPTIED in text for text in telegram.told] == [False, True, True]


async def test_parts_that_are_needed_besides_follow(sink: Sink, tell: Tell) -> None:
    sink.script = telegram = StrictTelegram(BOT_TOKEN, "42")
    first = await tell(TelegramChannel, sink.url, group(4))
    assert isinstance(first, Sent)

    second = await tell(TelegramChannel, sink.url, group(8, *first.posted))

    assert isinstance(second, Sent)
    assert second.posted == (*first.posted, telegram.messages[1].reference.split()[1])
    assert ["(1/2)" in telegram.told[0], "(2/2)" in telegram.told[1]] == [True, True]


async def test_what_was_posted_before_a_failure_is_known_with_it(sink: Sink, tell: Tell) -> None:
    telegram = StrictTelegram(BOT_TOKEN, "42")

    async def fails_after_the_first(request: web.Request) -> Answer:
        return refusal(502, "Bad Gateway") if telegram.messages else await telegram(request)

    sink.script = fails_after_the_first

    outcome = await tell(TelegramChannel, sink.url, group(8))

    assert isinstance(outcome, Retry)
    assert outcome.posted == ("1",)
    assert outcome.progress is not None


async def test_a_platform_that_names_no_message_is_told_all_the_same(sink: Sink, tell: Tell) -> None:
    outcome = await tell(TelegramChannel, sink.url, group(4))

    assert isinstance(outcome, Sent)
    assert not any(outcome.posted)


async def test_an_edit_that_changes_nothing_is_a_yes(sink: Sink, tell: Tell) -> None:
    sink.script = StrictTelegram(BOT_TOKEN, "42")
    first = await tell(TelegramChannel, sink.url, group(4))
    assert isinstance(first, Sent)

    again = await tell(TelegramChannel, sink.url, group(4, *first.posted))

    assert isinstance(again, Sent)
    assert (again.detail, again.posted) == ("the message says so already", first.posted)
