"""Messages that Telegram accepts and that mention nobody, and the classification of its errors."""

import html
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from relay.domain.channel_types import TelegramChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.platforms.telegram_text import code_units
from relay.notify.registry import NOTIFIERS, check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.factories import BOT_TOKEN, SOURCE, alert, channel, count, digest, notification
from tests.notify.hostile import hostile
from tests.notify.message_texts import count_alerts
from tests.notify.sending import send
from tests.notify.strict.telegram import StrictTelegram, error_response, read_telegram


def bodies(message: Message, **settings: Any) -> list[Any]:
    requests = NOTIFIERS[TelegramChannel].requests(channel(TelegramChannel, **settings), message)
    return [json.loads(request.body) for request in requests]


def group_of(number: int) -> Message:
    alerts = [alert(instance=f"db{at}", annotations={"description": "x" * 900}) for at in range(number)]
    return notification(*alerts)


async def send_refused(sink: Sink, status: int, description: str, **parameters: Any) -> Outcome:
    sink.script = lambda _: error_response(status, description, **parameters)
    return await send(TelegramChannel, sink.url)


async def test_500_hostile_alerts_are_accepted_and_shown_or_counted(sink: Sink) -> None:
    sink.script = telegram = StrictTelegram(BOT_TOKEN, "42")
    assert isinstance(await send(TelegramChannel, sink.url, hostile()), Sent)
    assert len(telegram.texts) == 5
    text = "\n".join(telegram.texts)
    assert count_alerts(TelegramChannel, text) == 500
    assert "7 more alerts were left out by Alertmanager" in text
    assert "http://alertmanager.example.com/#/alerts" in telegram.texts[-1]


@pytest.mark.parametrize("number", [1, 3, 4, 5, 9, 14, 19])
async def test_a_large_group_is_several_numbered_messages_split_between_alerts(number: int, sink: Sink) -> None:
    sink.script = telegram = StrictTelegram(BOT_TOKEN, "42")
    assert isinstance(await send(TelegramChannel, sink.url, group_of(number)), Sent)
    total = len(telegram.texts)
    assert total == -(-number // 4)
    for at, text in enumerate(telegram.texts, 1):
        numbered = f"[FIRING:{number}] DiskFull ({at}/{total})\n" if total > 1 else f"[FIRING:{number}] DiskFull\n"
        assert text.startswith(numbered)
        assert text.count("x" * 900) == text.count("🔥")
    shown = re.findall(r"instance=(db\d+)", "\n".join(telegram.texts))
    assert shown == [f"db{at}" for at in range(number)]


def test_a_message_is_filled_before_the_next_one_starts() -> None:
    texts = [body["text"] for body in bodies(group_of(100))]
    assert len(texts) == 5
    assert all(len(html.unescape(text)) > 3000 for text in texts)
    assert "… and 80 more alerts that did not fit here" in texts[-1]


@pytest.mark.parametrize("sizes", [range(440, 480), pytest.param(range(300, 800), marks=pytest.mark.slow)])
def test_a_message_at_the_length_limit_is_accepted(sizes: range) -> None:
    longest = 0
    for size in sizes:
        alerts = [alert(instance=f"db{at}", annotations={"description": "🔥" * size}) for at in range(40)]
        message = notification(*alerts, truncated=3)
        texts = [read_telegram(json.dumps(body).encode()) for body in bodies(message)]
        longest = max([longest, *(code_units(text.partition("\nhttp://")[0]) for text in texts)])
    assert longest > 4080


def test_messages_stay_within_the_limit_of_entities() -> None:
    alerts = [alert("A", annotations={"runbook_url": "http://x.example"}, at=f"{n}") for n in range(200)]
    message = bodies(notification(*alerts))
    assert len(message) == 5
    assert all(90 < body["text"].count("</") <= 100 for body in message)


def test_a_digest_uses_a_second_message_only_for_critical_names() -> None:
    assert len(bodies(digest(*(count(f"Some{at}", "warning") for at in range(2000))))) == 1
    assert len(bodies(digest(*(count(f"DatabaseReplica{at}") for at in range(300))))) == 2


@pytest.mark.parametrize("before", range(8))
@pytest.mark.parametrize("character", ["🔥", "&", "é"])
def test_text_is_cut_between_characters(character: str, before: int) -> None:
    text = "x" * before + character * 5000
    [body] = bodies(notification(alert(annotations={"summary": text, "description": text + "."})))
    assert body["text"].count(f"{html.escape(character)}…") == 2
    assert "\ufffd" not in body["text"]


def test_a_name_after_an_at_sign_mentions_nobody_and_labels_stay_unchanged() -> None:
    [body] = bodies(notification(alert(annotations={"summary": "@bob, mail bob@example.com"}, owner="@bob")))
    assert "@\u2060bob, mail bob@example.com" in body["text"]
    assert "owner=@bob" in body["text"]


def test_the_topic_is_sent_when_there_is_one() -> None:
    assert bodies(notification(), message_thread_id=7)[0]["message_thread_id"] == 7
    assert "message_thread_id" not in bodies(notification())[0]


@pytest.mark.parametrize("url", ["https://api.telegram.org", "https://api.telegram.org/"])
def test_the_token_is_in_the_url_and_not_in_the_body(url: str) -> None:
    one = channel(TelegramChannel, url)
    [request] = NOTIFIERS[TelegramChannel].requests(one, notification())
    assert request.url == f"https://api.telegram.org/bot{BOT_TOKEN}/sendMessage"
    assert BOT_TOKEN.encode() not in request.body
    assert SOURCE.encode() in request.body


@pytest.mark.parametrize(
    ("status", "description", "reason"),
    [
        (403, "Forbidden: bot was blocked by the user", Reason.DESTINATION_GONE),
        (403, "Forbidden: bot was kicked from the supergroup chat", Reason.DESTINATION_GONE),
        (403, "Forbidden: user is deactivated", Reason.DESTINATION_GONE),
        (403, "Forbidden: bot is not a member of the channel chat", Reason.DESTINATION_GONE),
        (400, "Bad Request: chat not found", Reason.DESTINATION_GONE),
        (400, "Bad Request: message thread not found", Reason.DESTINATION_GONE),
        (403, "Forbidden: bot can't initiate conversation with a user", Reason.AUTH_ERROR),
        (400, "Bad Request: not enough rights to send text messages to the chat", Reason.AUTH_ERROR),
        (401, "Unauthorized", Reason.AUTH_ERROR),
        (404, "Not Found", Reason.AUTH_ERROR),
        (500, "Internal Server Error", Reason.SERVER_ERROR),
        (429, "Too Many Requests: retry after 35", Reason.RATE_LIMITED),
    ],
)
async def test_an_error_about_the_chat_or_the_bot_is_retried(
    status: int, description: str, reason: Reason, sink: Sink
) -> None:
    outcome = await send_refused(sink, status, description)
    assert isinstance(outcome, Retry)
    assert outcome.reason is reason
    assert description in outcome.detail


async def test_the_wait_of_a_429_is_obeyed(sink: Sink) -> None:
    outcome = await send_refused(sink, 429, "Too Many Requests: retry after 35", retry_after=35)
    assert isinstance(outcome, Retry)
    assert outcome.after == 35.0


async def test_a_group_that_became_a_supergroup_reports_its_new_id(sink: Sink) -> None:
    description = "Bad Request: group chat was upgraded to a supergroup chat"
    outcome = await send_refused(sink, 400, description, migrate_to_chat_id=-1001234)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.DESTINATION_GONE
    assert "-1001234" in outcome.detail


@pytest.mark.parametrize(
    "description", ["Bad Request: can't parse entities: unclosed start tag", "Bad Request: message is too long"]
)
async def test_an_error_about_the_message_is_final(description: str, sink: Sink) -> None:
    outcome = await send_refused(sink, 400, description)
    assert isinstance(outcome, Rejected)
    assert description in outcome.detail


@pytest.mark.parametrize("status", [200, 302, 403, 404, 429, 500])
async def test_an_echoed_url_reveals_no_token(status: int, sink: Sink) -> None:
    async def echo(request: web.Request) -> web.Response:
        spellings = [str(request.url), request.path, quote(request.path, safe=""), BOT_TOKEN.partition(":")[2]]
        return web.Response(status=status, text=" ".join([*spellings, json.dumps(spellings), repr(spellings)]))

    sink.script = echo
    with capture_logs() as logs:
        outcome = await send(TelegramChannel, sink.url)
    assert outcome.detail
    assert BOT_TOKEN.partition(":")[2] not in repr((outcome, logs))


async def test_a_failed_connection_reveals_no_token() -> None:
    with capture_logs() as logs:
        for url in ("https://does-not-exist.invalid", "http://127.0.0.1:1", "https://a..b"):
            outcome = await send(TelegramChannel, url)
            assert BOT_TOKEN.partition(":")[2] not in repr((outcome, logs))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bot_token", "123456789"),
        ("bot_token", f"{BOT_TOKEN}/getMe?"),
        ("chat_id", ""),
        ("chat_id", "alerts"),
        ("chat_id", "@a/b"),
        ("message_thread_id", 0),
    ],
)
def test_settings_that_telegram_would_reject_are_rejected_early(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(TelegramChannel, **{field: value}), EgressPolicy(()))
    assert caught.value.field == field
    assert BOT_TOKEN not in str(caught.value)


@pytest.mark.parametrize("chat", ["42", "-1001234567890", "@alerts"])
def test_chats_by_number_and_by_name_are_accepted(chat: str) -> None:
    check_channel(channel(TelegramChannel, chat_id=chat), EgressPolicy(()))


async def test_an_unknown_chat_and_a_wrong_token_are_retried(sink: Sink) -> None:
    sink.script = StrictTelegram(BOT_TOKEN, "42")
    unknown_chat = await send(TelegramChannel, sink.url, chat_id="43")
    wrong_token = await send(TelegramChannel, sink.url, bot_token=BOT_TOKEN[:-1] + "X")
    assert isinstance(unknown_chat, Retry)
    assert isinstance(wrong_token, Retry)
    assert (unknown_chat.reason, wrong_token.reason) == (Reason.DESTINATION_GONE, Reason.AUTH_ERROR)
