"""Delivery of a message of several requests when one of them fails."""

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


class OneRequestPerAlert(Notifier[Any]):
    """A platform with one request for each alert."""

    def requests(self, channel: Any, message: Message) -> Sequence[Request]:
        return [Request(url=channel.webhook_url, body=alert.name.encode()) for alert in message.alerts]


THREE = notification(alert("A"), alert("B"), alert("C"))


async def send(sink: Sink, message: Message = THREE, progress: str | None = None) -> Sent | Retry | Rejected:
    async with local_sender() as sender:
        destination = channel(WebhookChannel, sink.url)
        assert isinstance(destination, WebhookChannel)
        return await sender.attempt(OneRequestPerAlert(), destination, message, progress)


async def test_sent_requests_are_not_sent_again(sink: Sink) -> None:
    statuses = iter([200, 503, 200, 200])
    sink.script = lambda _: web.Response(status=next(statuses))

    first = await send(sink)
    assert isinstance(first, Retry)
    assert (first.reason, first.detail) == (Reason.SERVER_ERROR, "part 2 of 3: 503")
    assert isinstance(await send(sink, progress=first.progress), Sent)

    assert [request.body for request in sink.received] == [b"A", b"B", b"B", b"C"]


async def test_a_changed_message_is_sent_whole(sink: Sink) -> None:
    statuses = iter([200, 503, *[200] * 3])
    sink.script = lambda _: web.Response(status=next(statuses))
    first = await send(sink)
    assert isinstance(first, Retry)

    await send(sink, notification(alert("A"), alert("B"), alert("D")), first.progress)

    assert [request.body for request in sink.received[2:]] == [b"A", b"B", b"D"]


async def test_the_detail_names_the_rejected_part(sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text="no")

    assert await send(sink) == Rejected(Reason.CLIENT_ERROR, "part 1 of 3: 400 no", 400)


class IndependentRequests(Notifier[Any]):
    """A platform whose requests do not depend on each other."""

    def requests(self, channel: Any, message: Message) -> Sequence[Request]:
        return [
            Request(url=channel.webhook_url, body=alert.name.encode(), independent=True)
            for alert in message.alerts
        ]


async def send_independent(sink: Sink, *statuses: int, progress: str | None = None) -> Sent | Retry | Rejected:
    remaining = iter(statuses)
    sink.script = lambda _: web.Response(status=next(remaining))
    async with local_sender() as sender:
        return await sender.attempt(IndependentRequests(), channel(WebhookChannel, sink.url), THREE, progress)


async def test_an_independent_rejection_is_reported_after_the_other_requests(sink: Sink) -> None:
    outcome = await send_independent(sink, 400, 422, 200)

    assert outcome == Rejected(Reason.CLIENT_ERROR, "part 1 of 3: 400", 400)
    assert [request.body for request in sink.received] == [b"A", b"B", b"C"]


async def test_a_rejection_is_kept_while_a_later_request_is_retried(sink: Sink) -> None:
    first = await send_independent(sink, 400, 503)
    assert isinstance(first, Retry)
    assert first.detail == "part 2 of 3: 503; part 1 of 3: 400"
    second = await send_independent(sink, 503, progress=first.progress)
    assert isinstance(second, Retry)

    assert isinstance(await send_independent(sink, 200, 200, progress=second.progress), Rejected)
    assert [request.body for request in sink.received] == [b"A", b"B", b"B", b"B", b"C"]
