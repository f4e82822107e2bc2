"""Editing of a group's messages on the platforms that support it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from relay.domain.alerts import Alert
from relay.domain.channel_types import SlackChannel, TelegramChannel
from relay.domain.message_settings import Change
from relay.domain.notifications import Announcement
from relay.domain.outcomes import Retry, Sent
from relay.notify.message_edits import UNUSED_MESSAGE
from relay.notify.registry import notifier_for
from tests.fixtures.sink import Response, Sink
from tests.notify.factories import BOT_TOKEN, HISTORY, alert, notification
from tests.notify.hostile import hostile
from tests.notify.sending import local_sender, send
from tests.notify.strict.platform import StrictPlatform
from tests.notify.strict.setups import EDITABLE, SETUPS, StrictSetup
from tests.notify.strict.slack import StrictSlack
from tests.notify.strict.telegram import StrictTelegram, error_response

A, B = alert("DiskFull", instance="a"), alert("DiskFull", instance="b")
A_ENDED, B_ENDED = (alert("DiskFull", "resolved", instance=name) for name in "ab")


class SentGroup:
    """A group that is sent repeatedly, with its messages."""

    def __init__(self, setup: StrictSetup) -> None:
        assert isinstance(setup.platform, StrictPlatform)
        self.stage, self.platform = setup, setup.platform
        self.message_refs: tuple[str, ...] = ()

    async def send(self, *alerts: Alert) -> Sent:
        """Send the current state of the group, editing its existing messages."""
        return await self.announce(None, *alerts)

    async def announce(self, change: Change | None, *alerts: Alert) -> Sent:
        """Send the state of the group, with a change that concerns its first alert."""
        message = notification(*alerts, history_url=HISTORY)
        announcement = None if change is None else Announcement(change=change, alerts=alerts[:1])
        message = msgspec.structs.replace(message, message_refs=self.message_refs, announcement=announcement)
        async with local_sender() as sender:
            outcome = await sender.attempt(notifier_for(self.stage.channel), self.stage.channel, message)
        assert isinstance(outcome, Sent), outcome
        self.message_refs = outcome.message_refs
        return outcome


@pytest.fixture(params=EDITABLE)
async def group(request: pytest.FixtureRequest, sink: Sink, tmp_path: Path) -> AsyncIterator[SentGroup]:
    """A group on each platform that can edit."""
    _, open_setup = SETUPS[request.param]
    async with open_setup(sink, tmp_path) as setup:
        yield SentGroup(setup)


async def test_a_group_is_one_message_that_is_edited_from_firing_to_resolved(group: SentGroup) -> None:
    for alerts in ((A,), (A, B), (A_ENDED, B), (A_ENDED, B_ENDED)):
        await group.send(*alerts)

    [message] = group.platform.messages
    headlines = [version.strip().split("\n")[0].replace("\\", "") for version in message.versions]
    assert [headline.strip("*") for headline in headlines] == [
        "[FIRING:1] DiskFull",
        "[FIRING:2] DiskFull",
        "[FIRING:1, RESOLVED:1] DiskFull",
        "[RESOLVED:2] DiskFull",
    ]
    assert "🔥" not in message.text
    assert message.text.count("✅") == 2


async def test_an_unchanged_message_may_be_sent_again(group: SentGroup) -> None:
    for _ in range(2):
        await group.send(A)
    assert len(group.platform.messages) == 1


async def test_a_deleted_message_is_replaced(group: SentGroup) -> None:
    await group.send(A)
    group.platform.delete(group.platform.messages[0])

    outcome = await group.send(A, B)
    assert "a new one is sent instead" in (outcome.detail or "")
    await group.send(A_ENDED, B_ENDED)

    [message] = group.platform.messages
    assert len(message.versions) == 2
    assert "✅" in message.text


async def test_a_message_that_is_no_longer_editable_is_replaced(group: SentGroup) -> None:
    await group.send(A)
    group.platform.messages[0].editable = False

    await group.send(A, B)
    await group.send(A_ENDED, B_ENDED)

    old, new = group.platform.messages
    assert (len(old.versions), len(new.versions)) == (1, 2)


async def test_a_group_that_grows_and_shrinks_keeps_its_messages(group: SentGroup) -> None:
    await group.send(A)
    await group.send(*hostile(60).alerts)
    grown = len(group.platform.messages)
    assert 1 < grown <= 5
    await group.send(A_ENDED)

    assert len(group.platform.messages) == grown
    first, *others = group.platform.texts
    assert "✅" in first
    assert all(UNUSED_MESSAGE in text for text in others)
    assert not any("🔥" in text for text in group.platform.texts)
    assert len(group.message_refs) == 1


async def test_a_failure_reports_the_messages_sent_before_it(sink: Sink) -> None:
    telegram = StrictTelegram(BOT_TOKEN, "42")

    async def fails_after_the_first(request: web.Request) -> Response:
        return error_response(502, "Bad Gateway") if telegram.messages else await telegram(request)

    sink.script = fails_after_the_first

    outcome = await send(TelegramChannel, sink.url, hostile(20))

    assert isinstance(outcome, Retry)
    assert outcome.message_refs == ("1",)
    assert outcome.progress is not None


async def test_a_response_without_a_message_id_is_sent(sink: Sink) -> None:
    sink.script = lambda _: web.json_response({"ok": True, "result": {}})
    outcome = await send(TelegramChannel, sink.url)

    assert isinstance(outcome, Sent)
    assert not any(outcome.message_refs)


@pytest.mark.parametrize("change", [Change.FIRING, Change.REPEAT])
async def test_a_join_or_a_repeat_is_one_post_and_a_resolution_none(group: SentGroup, change: Change) -> None:
    await group.send(A)
    await group.announce(change, B, A)
    await group.announce(Change.RESOLVED, A_ENDED, B_ENDED)

    message, post = group.platform.messages
    assert len(message.versions) == 3
    assert ("New: " if change is Change.FIRING else "Repeated: ") in post.text.replace("\\", "")
    assert len(group.message_refs) == 1


async def test_a_new_message_in_place_of_a_deleted_one_needs_no_further_post(group: SentGroup) -> None:
    await group.send(A)
    group.platform.delete(group.platform.messages[0])

    await group.announce(Change.FIRING, B, A)

    assert len(group.platform.messages) == 1


async def test_slack_replies_in_the_thread_when_all_is_resolved_if_configured(sink: Sink, tmp_path: Path) -> None:
    _, open_setup = SETUPS["slack bot"]
    async with open_setup(sink, tmp_path) as setup:
        assert isinstance(setup.channel, SlackChannel)
        replying = msgspec.structs.replace(setup.channel, notify_on=(Change.RESOLVED,))
        group = SentGroup(StrictSetup(setup.channel_type, replying, setup.platform))
        await group.send(A)
        await group.announce(Change.RESOLVED, A_ENDED)

        message, reply = group.platform.messages
        assert reply.thread == message.reference.partition(" ")[2]
        assert reply.text == "*[RESOLVED:1] DiskFull*"


async def test_a_slack_channel_with_a_new_id_gets_a_new_message(sink: Sink, tmp_path: Path) -> None:
    _, open_setup = SETUPS["slack bot"]
    async with open_setup(sink, tmp_path) as setup:
        group = SentGroup(setup)
        await group.send(A)
        assert isinstance(group.platform, StrictSlack)
        group.platform.channels = dict.fromkeys(group.platform.channels, "C0MOVED001")

        outcome = await group.send(A_ENDED)

        assert "a new one is sent instead" in (outcome.detail or "")
        assert group.platform.messages[-1].reference.startswith("C0MOVED001 ")


async def test_an_archived_slack_channel_gets_no_new_message(sink: Sink, tmp_path: Path) -> None:
    _, open_setup = SETUPS["slack bot"]
    async with open_setup(sink, tmp_path) as setup:
        group = SentGroup(setup)
        await group.send(A)
        [message] = group.platform.messages
        group.platform.closed[message.reference.partition(" ")[0]] = "is_inactive"  # type: ignore[attr-defined]
        with pytest.raises(AssertionError, match="DESTINATION_GONE"):
            await group.send(A_ENDED)
        assert len(group.platform.messages) == 1
