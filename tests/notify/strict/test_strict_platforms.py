"""The strict platforms refuse what the real ones refuse, with the same errors."""

from typing import Any

import pytest

from tests.fixtures.sink import Sink
from tests.notify.factories import BOT_TOKEN
from tests.notify.sending import request
from tests.notify.strict.discord import DISCORD_HOOK, StrictDiscord
from tests.notify.strict.minimal import (
    ALERTS,
    BEARER,
    JSON,
    PLAIN,
    QUIET,
    card,
    embedded,
    in_blocks,
    line,
    section,
)
from tests.notify.strict.slack import SLACK_HOOK, StrictSlack
from tests.notify.strict.teams import TEAMS_HOOK, StrictTeams
from tests.notify.strict.telegram import UNCHANGED, StrictTelegram


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"text": "x"}, 200, "ok"),
        (in_blocks(section("x")), 200, "ok"),
        (b"{", 400, "invalid_payload"),
        ([], 400, "invalid_payload"),
        ({}, 400, "no_text"),
        ({"text": 1}, 400, "invalid_arguments"),
        (in_blocks(section("")), 400, "invalid_blocks"),
        (in_blocks(section("x" * 3001)), 400, "invalid_blocks"),
        (in_blocks(section("x", bold=True)), 400, "invalid_blocks"),
        (in_blocks({"type": "section"}), 400, "invalid_blocks"),
        (in_blocks({"type": "section", "text": "x"}), 400, "invalid_blocks"),
        (in_blocks({"type": "context", "elements": []}), 400, "invalid_blocks"),
        (in_blocks({"type": "context", "elements": [section("x")["text"]] * 11}), 400, "invalid_blocks"),
        (in_blocks({"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}), 400, "invalid_blocks"),
        (in_blocks({"type": "unheard_of", "text": "x"}), 400, "invalid_blocks"),
        (in_blocks(section("x") | {"block_id": "x" * 256}), 400, "invalid_blocks"),
        (in_blocks(*[section("x")] * 51), 400, "invalid_blocks"),
        (in_blocks(*[section("x" * 3000)] * 5), 400, "msg_blocks_too_long"),
        ({"text": "x", "attachments": [{"color": "red", "blocks": []}]}, 400, "invalid_attachments"),
        ({"text": "x", "attachments": [{"blocks": []}] * 101}, 400, "too_many_attachments"),
    ],
)
async def test_slack_s_webhook_accepts_and_rejects_as_documented(
    body: Any, status: int, error: str, sink: Sink
) -> None:
    sink.script = slack = StrictSlack()
    assert (await request(sink, SLACK_HOOK, body))[:2] == (status, error)
    assert len(slack.messages) == (status == 200)


@pytest.mark.parametrize(
    "text",
    ["<!channel>", "<@U123>", "<b>", "a & b", "&nbsp;", "@channel", "<javascript:alert(1)|x>", "<https:///|x>"],
)
async def test_text_that_would_mention_or_break_on_slack_is_reported(text: str, sink: Sink) -> None:
    sink.script = slack = StrictSlack()
    status, text, _ = await request(sink, SLACK_HOOK, in_blocks(section(text)))
    assert (status, text[:9], slack.messages) == (500, "this woul", [])


async def test_a_closed_webhook_of_slack_answers_with_its_error_code(sink: Sink) -> None:
    sink.script = slack = StrictSlack()
    message = {"text": "x"}
    assert (await request(sink, "/services/T0/B0/x", message))[:2] == (404, "no_service")
    assert (await request(sink, SLACK_HOOK + "x", message))[:2] == (403, "invalid_token")
    for error, status in {"channel_is_archived": 410, "action_prohibited": 403, "rollup_error": 500}.items():
        slack.closed[SLACK_HOOK] = error
        assert (await request(sink, SLACK_HOOK, message))[:2] == (status, error)


@pytest.mark.parametrize(
    ("method", "body", "headers", "error"),
    [
        ("chat.postMessage", {"text": "x", "channel": "#alerts"}, JSON, "not_authed"),
        (
            "chat.postMessage",
            {"text": "x", "channel": "#alerts"},
            BEARER | {"Authorization": "Bearer x"},
            "invalid_auth",
        ),
        ("chat.delete", {}, BEARER, "unknown_method"),
        ("chat.postMessage", {"text": "x"}, BEARER, "channel_not_found"),
        ("chat.postMessage", {"text": "x", "channel": "#other"}, BEARER, "channel_not_found"),
        ("chat.postMessage", {"channel": ALERTS}, BEARER, "no_text"),
        ("chat.postMessage", {"text": "x", "channel": ALERTS, "thread_ts": "1.2"}, BEARER, "thread_not_found"),
        ("chat.update", {"text": "x", "channel": ALERTS, "ts": "1.2"}, BEARER, "message_not_found"),
        ("chat.update", {"text": "x", "channel": "#alerts", "ts": "1.2"}, BEARER, "channel_not_found"),
    ],
)
async def test_slack_s_api_rejects_inside_a_200(
    method: str, body: Any, headers: dict[str, str], error: str, sink: Sink
) -> None:
    sink.script = StrictSlack()
    reply = await request(sink, f"/api/{method}", body, headers)
    assert reply[:2] == (200, {"ok": False, "error": error})


async def test_an_update_on_slack_keeps_the_attachments_that_it_omits(sink: Sink) -> None:
    sink.script = slack = StrictSlack()
    posted = await request(
        sink, "/api/chat.postMessage", in_blocks(section("block")) | {"channel": "#alerts"}, BEARER
    )
    assert posted.body["channel"] == ALERTS
    target = {"channel": ALERTS, "ts": posted.body["ts"], "parse": "none"}
    [message] = slack.messages
    assert (await request(sink, "/api/chat.update", target | {"text": "y"}, BEARER)).body["ok"]
    assert message.text == "y\nblock"
    assert (await request(sink, "/api/chat.update", target | {"text": "y", "attachments": []}, BEARER)).body["ok"]
    assert message.text == "y"
    too_long = await request(sink, "/api/chat.update", target | {"text": "y" * 4001}, BEARER)
    assert too_long.body == {"ok": False, "error": "msg_too_long"}
    message.editable = False
    closed = await request(sink, "/api/chat.update", target | {"text": "z"}, BEARER)
    assert closed.body["error"] == "edit_window_closed"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (QUIET | {"content": "x" * 2001}, ["content"]),
        (QUIET | {"embeds": [{"title": "x"}] * 11}, ["embeds"]),
        (embedded(title="x" * 257), ["embeds", "0", "title"]),
        (embedded(description="x" * 4097), ["embeds", "0", "description"]),
        (embedded(title="x", footer={"text": "x" * 2049}), ["embeds", "0", "footer", "text"]),
        (embedded(title="x", color=0x1000000), ["embeds", "0", "color"]),
        (embedded(title=1), ["embeds", "0", "title"]),
        (embedded(color=1), ["embeds", "0", "description"]),
        (QUIET | {"embeds": [{"description": "x" * 3001}] * 2}, ["embeds"]),
        (QUIET | {"content": "x", "username": "x" * 81}, ["username"]),
    ],
)
async def test_discord_names_the_path_of_an_invalid_field(body: Any, path: list[str], sink: Sink) -> None:
    sink.script = StrictDiscord()
    status, reply, _ = await request(sink, DISCORD_HOOK, body)
    assert (status, reply["code"]) == (400, 50035)
    field = reply["errors"]
    for name in path:
        field = field[name]
    assert field["_errors"]


async def test_an_edit_on_discord_keeps_the_fields_that_it_omits(sink: Sink) -> None:
    sink.script = discord = StrictDiscord()
    message = embedded(title="x", description="y") | {"content": "above"}
    assert (await request(sink, DISCORD_HOOK, message))[:2] == (204, "")
    status, reply, _ = await request(sink, f"{DISCORD_HOOK}?wait=true", message)
    path = f"{DISCORD_HOOK}/messages/{reply['id']}"
    assert (await request(sink, path, embedded(title="z"), method="PATCH")).status == status == 200
    assert discord.texts[1] == "above\nz\n\n"
    assert (await request(sink, path, QUIET | {"content": "", "embeds": []}, method="PATCH")).body["code"] == 50006
    discord.messages[1].editable = False
    assert (await request(sink, path, QUIET, method="PATCH")).body["code"] == 50005
    discord.delete(discord.messages[1])
    deleted = await request(sink, path, QUIET, method="PATCH")
    assert (deleted.status, deleted.body["code"]) == (404, 10008)
    discord.deleted = True
    assert (await request(sink, DISCORD_HOOK, message)).body["code"] == 10015


@pytest.mark.parametrize(
    "body", [{"content": "@everyone"}, QUIET | {"content": "<@99>"}, QUIET | {"content": "[x](javascript:x)"}]
)
async def test_text_that_would_mention_on_discord_is_reported(body: Any, sink: Sink) -> None:
    sink.script = StrictDiscord()
    assert (await request(sink, DISCORD_HOOK, body)).status == 500


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (card(line("x")), 202),
        (b"{", 400),
        ({"type": "message"}, 400),
        ({"text": "x"}, 400),
        (card(line("x")) | {"type": "event"}, 400),
        (card({"type": "Paragraph", "text": "x"}), 400),
        (card(line("x", color="red")), 400),
        (card(line("x", bold=True)), 400),
        (card(line("x"), actions=[{"type": "Action.OpenUrl", "title": "x"}]), 400),
        (card(line("x"), styled=True), 400),
        (card(line("x" * 28_000)), 413),
        (card({"type": "TextBlock", "text": "[x](http://x)"}), 500),
        (card(line("x"), msteams={"entities": [{"type": "mention"}]}), 500),
    ],
)
async def test_teams_accepts_and_rejects_cards_as_documented(body: Any, status: int, sink: Sink) -> None:
    sink.script = teams = StrictTeams()
    assert (await request(sink, TEAMS_HOOK, body)).status == status
    assert len(teams.messages) == (status == 202)


async def test_teams_may_report_inside_a_2xx_that_a_card_is_too_large(sink: Sink) -> None:
    sink.script = StrictTeams(inside=200)
    status, text, _ = await request(sink, TEAMS_HOOK, card(line("x" * 28_000)))
    assert status == 200
    assert "HTTP error 413" in text


async def test_telegram_edits_existing_messages_to_a_different_text(sink: Sink) -> None:
    sink.script = telegram = StrictTelegram(BOT_TOKEN, "42", topics=(7,))

    async def call(method: str, **body: Any) -> str:
        _, reply, _ = await request(sink, f"/bot{BOT_TOKEN}/{method}", PLAIN | body)
        return str(reply.get("description", "ok"))

    assert await call("sendMessage", text="x", message_thread_id=7) == "ok"
    assert await call("sendMessage", text="x", message_thread_id=8) == "Bad Request: message thread not found"
    assert await call("editMessageText", text="x", message_id=1) == UNCHANGED
    assert await call("editMessageText", text="y", message_id=1) == "ok"
    assert await call("editMessageText", text="y", message_id=2) == "Bad Request: message to edit not found"
    assert await call("editMessageText", text="<b>y", message_id=1) != "ok"
    telegram.messages[0].editable = False
    assert await call("editMessageText", text="z", message_id=1) == "Bad Request: message can't be edited"
    assert (telegram.messages[0].versions, telegram.messages[0].thread) == (["x", "y"], "7")
