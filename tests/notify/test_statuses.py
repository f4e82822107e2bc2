"""Is each class of status read the same way for every channel type?"""

import pytest
from aiohttp import web

from relay.domain.channel_types import BaseChannel, DiscordChannel
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from tests.fixtures.sink import Sink
from tests.notify.conftest import Tell

pytestmark = pytest.mark.over_http


def answers(sink: Sink, status: int, text: str = "words of the platform", **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sink.script = lambda _: web.Response(status=status, text=None if status in (204, 304) else text, headers=named)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_2xx_is_a_yes(kind: type[BaseChannel], status: int, sink: Sink, tell: Tell) -> None:
    answers(sink, status)
    outcome = await tell(kind, sink.url)
    assert isinstance(outcome, Sent)
    assert outcome.status_code == status


@pytest.mark.parametrize("status", [400, 402, 406, 409, 411, 413, 415, 418, 422, 431])
async def test_a_4xx_that_speaks_of_the_message_is_final(
    kind: type[BaseChannel], status: int, sink: Sink, tell: Tell
) -> None:
    answers(sink, status)
    outcome = await tell(kind, sink.url)
    assert outcome == Rejected(Reason.CLIENT_ERROR, f"{status} words of the platform", status)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.AUTH_ERROR),
        (403, Reason.AUTH_ERROR),
        (405, Reason.CLIENT_ERROR),
        (407, Reason.CLIENT_ERROR),
        (410, Reason.DESTINATION_GONE),
        (408, Reason.CLIENT_ERROR),
        (425, Reason.CLIENT_ERROR),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
        (599, Reason.SERVER_ERROR),
    ],
)
async def test_what_speaks_of_the_destination_or_the_moment_is_tried_again(
    kind: type[BaseChannel], status: int, reason: Reason, sink: Sink, tell: Tell
) -> None:
    answers(sink, status)
    outcome = await tell(kind, sink.url)
    assert outcome == Retry(reason, f"{status} words of the platform", status, None)


async def test_a_404_is_tried_again_and_is_the_end_of_a_discord_webhook(
    kind: type[BaseChannel], sink: Sink, tell: Tell
) -> None:
    answers(sink, 404)
    reason = Reason.DESTINATION_GONE if kind is DiscordChannel else Reason.CLIENT_ERROR
    assert await tell(kind, sink.url) == Retry(reason, "404 words of the platform", 404)


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_not_followed(kind: type[BaseChannel], status: int, sink: Sink, tell: Tell) -> None:
    answers(sink, status, Location=f"{sink.url}/elsewhere")
    outcome = await tell(kind, f"{sink.url}/here")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.OTHER
    assert "redirects are not followed" in outcome.detail
    assert [one.path.startswith("/here") for one in sink.received] == [True]


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_body_of_garbage_does_not_change_what_the_status_says(
    kind: type[BaseChannel], status: int, sink: Sink, tell: Tell
) -> None:
    garbage = bytes(range(256)) * 10
    sink.script = lambda _: web.Response(status=status, body=garbage)
    outcome = await tell(kind, sink.url)
    assert outcome.status_code == status
    assert type(outcome).__name__ == {200: "Sent", 400: "Rejected", 500: "Retry"}[status]
    assert outcome.detail
    assert "\0" not in outcome.detail
    assert len(outcome.detail) <= 500


@pytest.mark.parametrize("body", ["null", "[]", '"ok"', "{}", "12", '{"ok": true}', "{", "ok", ""])
async def test_any_json_in_a_200_is_a_yes(kind: type[BaseChannel], body: str, sink: Sink, tell: Tell) -> None:
    answers(sink, 200, body)
    assert isinstance(await tell(kind, sink.url), Sent)
