"""What becomes of a message that needs several requests, when one of them is not taken?"""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from relay.domain.channel_types import WebhookChannel
from relay.domain.notifications import Message
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from relay.notify.notifier import Notifier
from relay.notify.requests import Request
from tests.fixtures.sink import Sink
from tests.notify.factories import alert, channel, notification
from tests.notify.sending import local_sender


class OneAnAlert(Notifier[Any]):
    """A platform that is told each alert by itself."""

    def requests(self, channel: Any, message: Message) -> Sequence[Request]:
        return [Request(url=channel.webhook_url, body=one.name.encode()) for one in message.alerts]


THREE = notification(alert("A"), alert("B"), alert("C"))


async def tell(sink: Sink, message: Message = THREE, progress: str | None = None) -> Sent | Retry | Rejected:
    async with local_sender() as sender:
        told = channel(WebhookChannel, sink.url)
        assert isinstance(told, WebhookChannel)
        return await sender.attempt(OneAnAlert(), told, message, progress)


async def test_sent_requests_are_not_sent_again(sink: Sink) -> None:
    answers = iter([200, 503, 200, 200])
    sink.script = lambda _: web.Response(status=next(answers))

    first = await tell(sink)
    assert isinstance(first, Retry)
    assert (first.reason, first.detail) == (Reason.SERVER_ERROR, "part 2 of 3: 503")
    assert isinstance(await tell(sink, progress=first.progress), Sent)

    assert [one.body for one in sink.received] == [b"A", b"B", b"B", b"C"]


async def test_a_changed_message_is_sent_whole(sink: Sink) -> None:
    answers = iter([200, 503, *[200] * 3])
    sink.script = lambda _: web.Response(status=next(answers))
    first = await tell(sink)
    assert isinstance(first, Retry)

    await tell(sink, notification(alert("A"), alert("B"), alert("D")), first.progress)

    assert [one.body for one in sink.received[2:]] == [b"A", b"B", b"D"]


async def test_the_detail_names_the_rejected_part(sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text="no")

    assert await tell(sink) == Rejected(Reason.CLIENT_ERROR, "part 1 of 3: 400 no", 400)


class Recipients(Notifier[Any]):
    """A platform that tells each alert to another reader."""

    def requests(self, channel: Any, message: Message) -> Sequence[Request]:
        return [
            Request(url=channel.webhook_url, body=one.name.encode(), independent=True) for one in message.alerts
        ]


async def tell_each(sink: Sink, *statuses: int, progress: str | None = None) -> Sent | Retry | Rejected:
    answers = iter(statuses)
    sink.script = lambda _: web.Response(status=next(answers))
    async with local_sender() as sender:
        return await sender.attempt(Recipients(), channel(WebhookChannel, sink.url), THREE, progress)


async def test_an_independent_rejection_is_reported_after_the_other_requests(sink: Sink) -> None:
    outcome = await tell_each(sink, 400, 422, 200)

    assert outcome == Rejected(Reason.CLIENT_ERROR, "part 1 of 3: 400", 400)
    assert [one.body for one in sink.received] == [b"A", b"B", b"C"]


async def test_a_rejection_is_kept_while_a_later_request_is_retried(sink: Sink) -> None:
    first = await tell_each(sink, 400, 503)
    assert isinstance(first, Retry)
    assert first.detail == "part 2 of 3: 503; part 1 of 3: 400"
    second = await tell_each(sink, 503, progress=first.progress)
    assert isinstance(second, Retry)

    assert isinstance(await tell_each(sink, 200, 200, progress=second.progress), Rejected)
    assert [one.body for one in sink.received] == [b"A", b"B", b"B", b"B", b"C"]
