"""The errors of Slack, also inside a 200, and the content of its messages."""

import pytest
from aiohttp import web

from relay.domain.channel_types import SlackChannel
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sink import Sink
from tests.notify.factories import alert, channel, notification
from tests.notify.sending import send
from tests.notify.strict.slack import read_slack


async def send_to(sink: Sink, body: object, **headers: str) -> Outcome:
    sink.script = lambda _: web.json_response(body, headers=headers)
    return await send(SlackChannel, sink.url)


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
        ("update_failed", Reason.SERVER_ERROR),
        ("external_channel_migrating", Reason.SERVER_ERROR),
        ("invalid_auth", Reason.AUTH_ERROR),
        ("token_revoked", Reason.AUTH_ERROR),
        ("account_inactive", Reason.AUTH_ERROR),
        ("not_in_channel", Reason.AUTH_ERROR),
        ("channel_not_found", Reason.DESTINATION_GONE),
        ("restricted_action_read_only_channel", Reason.AUTH_ERROR),
        ("is_archived", Reason.DESTINATION_GONE),
        ("is_inactive", Reason.DESTINATION_GONE),
    ],
)
async def test_an_error_that_does_not_concern_the_message_is_retried(
    error: str, reason: Reason, sink: Sink
) -> None:
    assert await send_to(sink, {"ok": False, "error": error}) == Retry(reason, error, 200)


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_too_long", "something_new"])
async def test_an_error_that_concerns_the_message_is_final(error: str, sink: Sink) -> None:
    assert await send_to(sink, {"ok": False, "error": error}) == Rejected(Reason.CLIENT_ERROR, error, 200)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "no_service"),
        (404, "no_active_hooks"),
        (404, "no_team"),
        (404, "channel_not_found"),
        (410, "channel_is_archived"),
        (400, "user_not_found"),
    ],
)
@pytest.mark.parametrize("body", ["{}", '{{"ok":false,"error":"{}"}}'])
async def test_a_gone_destination_is_recognized_by_its_error_code(
    status: int, code: str, body: str, sink: Sink
) -> None:
    text = body.format(code)
    sink.script = lambda _: web.Response(status=status, text=text)
    assert await send(SlackChannel, sink.url) == Retry(Reason.DESTINATION_GONE, f"{status} {text}", status)


@pytest.mark.parametrize("code", ["invalid_payload", "too_many_attachments", "no_text"])
async def test_a_message_that_a_webhook_cannot_accept_is_rejected(code: str, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text=code)
    assert await send(SlackChannel, sink.url) == Rejected(Reason.CLIENT_ERROR, f"400 {code}", 400)


async def test_an_error_without_a_code_is_rejected(sink: Sink) -> None:
    assert isinstance(await send_to(sink, {"ok": False}), Rejected)
    assert isinstance(await send_to(sink, {"ok": False, "error": {"odd": 1}}), Rejected)


async def test_retry_after_is_obeyed_inside_a_200(sink: Sink) -> None:
    outcome = await send_to(sink, {"ok": False, "error": "ratelimited"}, **{"Retry-After": "30"})
    assert outcome == Retry(Reason.RATE_LIMITED, "ratelimited", 200, 30.0)


async def test_an_ok_response_is_sent(sink: Sink) -> None:
    assert isinstance(await send_to(sink, {"ok": True, "ts": "1.2"}), Sent)


async def test_the_channel_s_settings_are_sent(sink: Sink) -> None:
    await send(SlackChannel, sink.url, slack_channel="#ops", slack_username="Relay", slack_icon_emoji=":bell:")
    message = sink.received[0].json
    assert (message["channel"], message["username"], message["icon_emoji"]) == ("#ops", "Relay", ":bell:")


def test_a_name_after_an_at_sign_mentions_nobody_and_labels_stay_unchanged() -> None:
    annotations = {"summary": "@channel, mail bob@example.com", "description": "@here " * 2000}
    message = notification(alert(annotations=annotations, owner="@bob\n@sue"), alert(owner="x"))
    [request] = NOTIFIERS[SlackChannel].requests(channel(SlackChannel), message)
    text = read_slack(request.body)
    assert "@\u2060channel, mail bob@example.com" in text
    assert "`owner=@bob @sue`" in text
