"""What becomes of a message that needs several requests, when one of them is not taken?"""

from collections.abc import Sequence

from aiohttp import web

from relay.domain.channels import WebhookChannel
from relay.domain.notifications import Message
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from relay.notify.base import Notifier, Request
from relay.notify.targets import Targets
from relay.notify.transport import Transport
from tests.fixtures.sink import Sink
from tests.notify.makers import alert, channel, notification


class OneAnAlert(Notifier[WebhookChannel]):
    """A platform that is told each alert by itself."""

    def requests(self, channel: WebhookChannel, message: Message) -> Sequence[Request]:
        return [Request(url=channel.webhook_url, body=one.name.encode()) for one in message.alerts]


THREE = notification(alert("A"), alert("B"), alert("C"))


async def tell(sink: Sink, message: Message = THREE, progress: str | None = None) -> Sent | Retry | Rejected:
    async with Transport(Targets(("127.0.0.0/8",)), 5) as transport:
        told = channel(WebhookChannel, sink.url)
        assert isinstance(told, WebhookChannel)
        return await transport.attempt(OneAnAlert(), told, message, progress)


async def test_what_was_taken_is_not_sent_again(sink: Sink) -> None:
    answers = iter([200, 503, 200, 200])
    sink.script = lambda _: web.Response(status=next(answers))

    first = await tell(sink)
    assert isinstance(first, Retry)
    assert (first.reason, first.detail) == (Reason.SERVER_ERROR, "part 2 of 3: 503")
    assert isinstance(await tell(sink, progress=first.progress), Sent)

    assert [one.body for one in sink.received] == [b"A", b"B", b"B", b"C"]


async def test_a_message_that_is_another_by_now_is_sent_whole(sink: Sink) -> None:
    answers = iter([200, 503, *[200] * 3])
    sink.script = lambda _: web.Response(status=next(answers))
    first = await tell(sink)
    assert isinstance(first, Retry)

    await tell(sink, notification(alert("A"), alert("B"), alert("D")), first.progress)

    assert [one.body for one in sink.received[2:]] == [b"A", b"B", b"D"]


async def test_a_part_that_is_refused_says_which_one(sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text="no")

    assert await tell(sink) == Rejected(Reason.CLIENT_ERROR, "part 1 of 3: 400 no", 400)
