"""The queue of webhooks: commits that overlap have nothing to do with each other, and reports stay in order."""

import pytest

from relay.domain.errors import Unavailable
from relay.receive.backlog import MAX_PENDING_WEBHOOKS, Backlog, Pending
from relay.receive.incoming import Incoming
from tests.receive.histories import firing, incoming


def backlog_of(*webhooks: Incoming) -> Backlog:
    backlog = Backlog()
    for webhook in webhooks:
        backlog.add(webhook)
    return backlog


def groups(taken: list[Pending]) -> list[str]:
    return [pending.incoming.webhook.group.group_key for pending in taken]


async def test_one_commit_takes_all_that_waits() -> None:
    backlog = backlog_of(incoming("10:00", firing("a"), group="a"), incoming("10:01", firing("a"), group="a"))

    assert groups(backlog.take()) == ["a", "a"]
    assert len(backlog) == 0


async def test_an_overlapping_commit_leaves_out_what_the_other_one_concerns() -> None:
    backlog = backlog_of(incoming("10:00", firing("a"), group="a"))
    first = backlog.take()
    for webhook in (
        incoming("10:01", firing("x"), group="a"),  # its group
        incoming("10:02", firing("a"), group="b"),  # its series
        incoming("10:03", firing("b"), group="c"),
    ):
        backlog.add(webhook)

    assert groups(backlog.take()) == ["c"]

    backlog.done(first)
    assert groups(backlog.take()) == ["a", "b"]


async def test_a_webhook_does_not_overtake_another_one_that_it_concerns() -> None:
    backlog = backlog_of(incoming("10:00", firing("a"), group="a"))
    backlog.take()
    backlog.add(incoming("10:01", firing("a"), firing("b"), group="b"))
    backlog.add(incoming("10:02", firing("b"), group="c"))

    assert backlog.take() == []


async def test_the_series_without_a_source_are_concerned() -> None:
    backlog = backlog_of(incoming("10:00", firing("a"), group="a"))
    backlog.take()
    backlog.add(incoming("10:01", firing("a"), group="b", source="eu"))

    assert backlog.take() == []


async def test_another_commit_waits_for_as_many_webhooks_as_the_running_one_has() -> None:
    backlog = backlog_of(*(incoming("10:00", firing(str(at)), group=str(at)) for at in range(2)))
    backlog.take()
    backlog.add(incoming("10:01", firing("a"), group="a"))
    assert backlog.take() == []

    backlog.add(incoming("10:01", firing("b"), group="b"))
    assert groups(backlog.take()) == ["a", "b"]


async def test_a_full_queue_rejects() -> None:
    backlog = backlog_of(*[incoming("10:00", firing())] * MAX_PENDING_WEBHOOKS)

    with pytest.raises(Unavailable, match="too many webhooks"):
        backlog.require_room(1)
    backlog.reject_all("the database is unavailable")
    backlog.require_room(1)
