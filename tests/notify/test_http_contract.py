"""The contract of every channel type that delivers over HTTP, each on a real connection.

All inputs of classification are in test_classify and test_retry_after, those of the transport in transport/.
"""

from aiohttp import web

from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from tests.fixtures.behaviors import hangs, resets_after
from tests.fixtures.sink import Sink
from tests.notify.broken import broken
from tests.notify.channel_types import ChannelType, each_http_type
from tests.notify.sending import send


@each_http_type
async def test_a_response_is_classified_with_the_wait_that_it_asks_for(
    channel_type: ChannelType, sink: Sink
) -> None:
    accepted = await send(channel_type, sink.url)
    statuses = iter([400, 503, 302])
    headers = {"Retry-After": "7", "Location": "/elsewhere"}
    sink.script = lambda _: web.Response(status=next(statuses), text="details", headers=headers)

    assert isinstance(accepted, Sent)
    assert await send(channel_type, sink.url) == Rejected(Reason.CLIENT_ERROR, "400 details", 400)
    assert await send(channel_type, sink.url) == Retry(Reason.SERVER_ERROR, "503 details", 503, 7.0)
    redirected = await send(channel_type, sink.url)

    assert redirected == Retry(Reason.OTHER, "302 redirects are not followed details", 302, 7.0)
    assert len(sink.received) == 4


@each_http_type
async def test_an_attempt_without_a_response_is_retried(channel_type: ChannelType) -> None:
    async with broken(resets_after(b"")) as url:
        reset = await send(channel_type, url)
    async with broken(hangs) as url:
        hung = await send(channel_type, url, attempt_timeout=0.3)

    assert isinstance(reset, Retry)
    assert reset.reason is Reason.CONNECTION_ERROR
    assert hung == Retry(Reason.DEADLINE_EXCEEDED, "no response in time")
