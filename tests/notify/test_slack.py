"""Is Slack understood when it refuses inside a 200?"""

import pytest
from aiohttp import web

from relay.domain.channels import SlackChannel
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from tests.fixtures.sink import Sink
from tests.notify.conftest import Tell


async def told(tell: Tell, sink: Sink, answer: object, **headers: str) -> Outcome:
    sink.script = lambda _: web.json_response(answer, headers=headers)
    return await tell(SlackChannel, sink.url)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("ratelimited", Reason.RATE_LIMITED),
        ("rate_limited", Reason.RATE_LIMITED),
        ("message_limit_exceeded", Reason.RATE_LIMITED),
        ("internal_error", Reason.SERVER_ERROR),
        ("fatal_error", Reason.SERVER_ERROR),
        ("service_unavailable", Reason.SERVER_ERROR),
        ("request_timeout", Reason.SERVER_ERROR),
    ],
)
async def test_what_may_pass_is_tried_again(error: str, reason: Reason, sink: Sink, tell: Tell) -> None:
    assert await told(tell, sink, {"ok": False, "error": error}) == Retry(reason, error, 200)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("invalid_auth", Reason.AUTH_ERROR),
        ("token_revoked", Reason.AUTH_ERROR),
        ("account_inactive", Reason.AUTH_ERROR),
        ("channel_not_found", Reason.CLIENT_ERROR),
        ("invalid_blocks", Reason.CLIENT_ERROR),
        ("msg_too_long", Reason.CLIENT_ERROR),
        ("something_new", Reason.CLIENT_ERROR),
    ],
)
async def test_what_will_not_pass_is_final(error: str, reason: Reason, sink: Sink, tell: Tell) -> None:
    assert await told(tell, sink, {"ok": False, "error": error}) == Rejected(reason, error, 200)


async def test_a_refusal_without_a_word_is_still_one(sink: Sink, tell: Tell) -> None:
    assert isinstance(await told(tell, sink, {"ok": False}), Rejected)
    assert isinstance(await told(tell, sink, {"ok": False, "error": {"odd": 1}}), Rejected)


async def test_retry_after_counts_inside_a_200_too(sink: Sink, tell: Tell) -> None:
    outcome = await told(tell, sink, {"ok": False, "error": "ratelimited"}, **{"Retry-After": "30"})
    assert outcome == Retry(Reason.RATE_LIMITED, "ratelimited", 200, 30.0)


async def test_a_yes_is_a_yes(sink: Sink, tell: Tell) -> None:
    assert isinstance(await told(tell, sink, {"ok": True, "ts": "1.2"}), Sent)


async def test_the_channel_s_settings_are_sent(sink: Sink, tell: Tell) -> None:
    settings = {"slack_channel": "#ops", "slack_username": "Relay", "slack_icon_emoji": ":bell:"}
    await tell(SlackChannel, sink.url, **settings)
    message = sink.received[0].json
    assert (message["channel"], message["username"], message["icon_emoji"]) == ("#ops", "Relay", ":bell:")
