"""Messages with templates on each platform, which mention nobody and contain no markup from alerts."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jinja2.exceptions import SecurityError

from relay.domain.channel_types import (
    DiscordChannel,
    EmailChannel,
    PagerDutyChannel,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from relay.domain.notifications import Notification
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sampling import sampled
from tests.notify.channel_types import ALL, CHAT, ChannelType, each_type
from tests.notify.factories import RUNBOOK, alert, channel, notification
from tests.notify.hostile import HOSTILE_TEXTS, hostile
from tests.notify.message_texts import count_alerts
from tests.notify.strict.mail import parse_mail
from tests.notify.template_samples import EVERYTHING, MARK, request_texts, with_template

PARTS = {
    "title": "{{ status | upper }}: {{ alerts | length }} on {{ alerts[0].labels.instance }}",
    "body": "Look at the {{ 'board' | link('https://grafana.example.com/d/x') }}.",
    "alert": MARK + "{{ alert.labels.instance | bold }} is no. {{ position }}: {{ alert.annotations.summary }}",
}
MESSAGE = notification(alert(instance="db-1"), alert("Other", "resolved", instance="db<2>"))


OWN_MARKUP = (*CHAT, EmailChannel)
"""The other types share the plain markup."""


def text_with_template(channel_type: ChannelType, message: Notification, **parts: str) -> str:
    return "\n".join(request_texts(channel_type, with_template(channel_type, message, **parts)))


def first_body(channel_type: ChannelType, message: Notification, **parts: str) -> Any:
    [request, *_] = NOTIFIERS[channel_type].requests(
        channel(channel_type), with_template(channel_type, message, **parts)
    )
    return json.loads(request.body)


@pytest.mark.parametrize("wanted", ["FIRING: 2 on db-1", "board", "is no. 1: DiskFull is firing"])
@each_type
def test_each_type_sends_all_that_the_template_renders(channel_type: ChannelType, wanted: str) -> None:
    assert wanted in text_with_template(channel_type, MESSAGE, **PARTS).replace("\\", "")


@each_type
def test_parts_that_a_template_omits_are_built_in(channel_type: ChannelType) -> None:
    plain = "\n".join(request_texts(channel_type, MESSAGE))
    assert (
        text_with_template(channel_type, MESSAGE, title="{{ '' }}", alert="{{ '' }}") == plain
        or channel_type is WebhookChannel
    )
    titled = text_with_template(channel_type, MESSAGE, title="Ours")
    assert "Ours" in titled
    assert "DiskFull" in titled
    assert "DiskFull" in text_with_template(channel_type, MESSAGE, alert="Ours {{ alert.alertname }}")


def test_slack_shows_the_title_in_bold_and_the_rest_in_sections() -> None:
    message = first_body(SlackChannel, MESSAGE, **PARTS)
    assert message["text"] == "*FIRING: 2 on db-1*"
    [attachment] = message["attachments"]
    assert [block["text"]["text"] for block in attachment["blocks"][:3]] == [
        "Look at the <https://grafana.example.com/d/x|board>.",
        "🔥 *db-1* is no. 1: DiskFull is firing",
        "✅ *db&lt;2&gt;* is no. 2: Other is resolved",
    ]


def test_discord_writes_markdown_in_its_embed() -> None:
    [embed] = first_body(DiscordChannel, MESSAGE, **PARTS)["embeds"]
    assert embed["title"] == "FIRING: 2 on db-1"
    assert embed["description"].startswith(
        "Look at the [board](https://grafana.example.com/d/x).\n\n🔥 **db-1** is no. 1: DiskFull is firing\n\n"
        "✅ **db\\<2\\>** is no. 2: Other is resolved"
    )


def test_telegram_writes_html() -> None:
    text = first_body(TelegramChannel, MESSAGE, **PARTS)["text"]
    assert text.startswith(
        '<b>FIRING: 2 on db-1</b>\nLook at the <a href="https://grafana.example.com/d/x">board</a>.\n\n'
        "🔥 <b>db-1</b> is no. 1: DiskFull is firing\n\n✅ <b>db&lt;2&gt;</b> is no. 2: Other is resolved"
    )


def test_teams_shows_markup_as_runs_of_text() -> None:
    card = first_body(TeamsChannel, MESSAGE, **PARTS)["attachments"][0]["content"]["body"]
    title, message, first, second = (card[0], card[1], *(one for one in card if one["type"] == "Container"))
    assert title["inlines"][0]["text"] == "FIRING: 2 on db-1"
    assert message["inlines"][1] == {
        "type": "TextRun",
        "text": "board",
        "selectAction": {"type": "Action.OpenUrl", "url": "https://grafana.example.com/d/x"},
    }
    assert first["items"][0]["inlines"][1] == {"type": "TextRun", "text": "db-1", "weight": "bolder"}
    assert second["items"][0]["inlines"][1] == {"type": "TextRun", "text": "db<2>", "weight": "bolder"}


def test_a_mail_has_the_title_as_its_subject_and_the_same_text() -> None:
    [request] = NOTIFIERS[EmailChannel].requests(
        channel(EmailChannel), with_template(EmailChannel, MESSAGE, **PARTS)
    )
    mail = parse_mail(request.body)
    assert mail.headers["Subject"] == "FIRING: 2 on db-1"
    assert "Look at the board (https://grafana.example.com/d/x)." in mail.text
    assert "✅ db<2> is no. 2: Other is resolved" in mail.text
    assert "✅ <strong>db&lt;2&gt;</strong> is no. 2: Other is resolved" in mail.html


def test_a_text_message_stays_short() -> None:
    [text] = request_texts(SmsChannel, with_template(SmsChannel, MESSAGE, **PARTS))
    assert "FIRING: 2 on db-1\nLook at the board (https://grafana.example.com/d/x).\nFIRING db-1 is no. 1" in text


def test_an_incident_is_named_by_the_title_and_its_own_alert() -> None:
    first, second = (
        json.loads(request.body)["payload"]
        for request in NOTIFIERS[PagerDutyChannel].requests(
            channel(PagerDutyChannel), with_template(PagerDutyChannel, MESSAGE, **PARTS)
        )
    )
    assert first["summary"] == "FIRING: 2 on db-1: 🔥 db-1 is no. 1: DiskFull is firing"
    assert second["summary"] == "FIRING: 2 on db-1: ✅ db<2> is no. 2: Other is resolved"
    assert first["custom_details"]["body"] == "Look at the board (https://grafana.example.com/d/x)."
    assert first["custom_details"]["alert"] == "🔥 db-1 is no. 1: DiskFull is firing"


def test_a_webhook_has_the_rendered_texts_besides_its_other_fields() -> None:
    sent = first_body(WebhookChannel, MESSAGE, **PARTS)
    assert sent["rendered"]["title"] == "FIRING: 2 on db-1"
    assert sent["rendered"]["alerts"][1] == "✅ db<2> is no. 2: Other is resolved"
    assert sent["alerts"][1]["labels"]["instance"] == "db<2>"


@pytest.mark.parametrize(("channel_type", "count"), [*sampled(ALL, [3, 60]), *sampled(OWN_MARKUP, [500], keep=0)])
def test_hostile_texts_stay_text_however_they_are_rendered(channel_type: ChannelType, count: int) -> None:
    # The strict readers fail on mentions, on links that are no web pages, and on invalid markup.
    message = hostile(count)
    text = text_with_template(
        channel_type,
        message,
        title=f"{{{{ alerts[0].alertname }}}} {EVERYTHING_OF_FIRST}",
        alert=MARK + EVERYTHING,
    )
    if channel_type in CHAT:
        assert count_alerts(channel_type, text) == count


@pytest.mark.parametrize(
    "expression",
    ["summary | striptags", "(summary | safe).unescape()", "(summary | tojson).unescape()", "summary"],
)
@each_type
def test_entities_in_an_alert_form_no_markup_when_unescaped(expression: str, channel_type: ChannelType) -> None:
    # The sandbox represents markup by characters of a private plane of Unicode.
    entities = "".join(f"&#{0xF0000 + ord(sign)};" for sign in "<!@") + "channel" + f"&#{0xF0000 + ord('>')};"
    message = notification(alert(annotations={"summary": entities}))
    with contextlib.suppress(SecurityError):
        text_with_template(
            channel_type, message, alert=f"{{% set summary = alert.annotations.summary %}}{{{{ {expression} }}}}"
        )


EVERYTHING_OF_FIRST = "{% set alert = alerts[0] %}" + EVERYTHING


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_the_text_of_an_alert_forms_no_markup(text: str) -> None:
    message = notification(alert(annotations={"summary": text}))
    slack = first_body(SlackChannel, message, alert="{{ alert.annotations.summary }}")
    [section] = [block for block in slack["attachments"][0]["blocks"] if block["type"] == "section"]
    assert not re.search(r"[<>]", section["text"]["text"])
    telegram = first_body(TelegramChannel, message, alert="{{ alert.annotations.summary }}")["text"]
    assert not re.search(r"<(?!/?b>|/?code>|/?a\b)", telegram)
    assert not re.search(r"(?<!\w)@\w", telegram)
    card = first_body(TeamsChannel, message, alert="{{ alert.annotations.summary }}")["attachments"][0]["content"][
        "body"
    ]
    [container] = [one for one in card if one["type"] == "Container"]
    [run] = container["items"][0]["inlines"]
    assert run == {"type": "TextRun", "text": text.replace("\u202e", "").strip()}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//x", ""])
@each_type
def test_only_web_pages_are_linked_to(channel_type: ChannelType, url: str) -> None:
    message = notification(alert(annotations={"runbook_url": url, "summary": "the summary"}), external_url="")
    text = text_with_template(
        channel_type, message, alert="{{ alert.annotations.summary | link(alert.annotations.runbook_url) }}"
    )
    assert "the summary" in text
    assert not url or channel_type in (WebhookChannel, PagerDutyChannel) or url not in text.replace("http://", "")


PIECES = {
    "emoji": "👩‍👩‍👧‍👦",
    "escapes": "<&>*_`",
    "accents": "e\u0301",
    "bold text": "{{ 'word' | bold }} ",
    "links": "{{ 'here' | link('" + RUNBOOK + "') }} ",
    "code": "{{ 'a`b<c>' | code }} ",
}


@pytest.mark.parametrize(("channel_type", "piece", "padding"), sampled(ALL, PIECES, range(4)))
def test_long_texts_are_cut_without_breaking_markup_or_graphemes(
    channel_type: ChannelType, piece: str, padding: int
) -> None:
    repeats = 15_000 // len(piece) // 4
    long = "x" * padding + (piece * repeats if "{{" in piece else "{{ '" + piece * repeats + "' }}")
    message = notification(*[alert(instance=f"db{at}") for at in range(12)])
    text = text_with_template(channel_type, message, title=long, body=long, alert=MARK + long)
    assert "👩" not in text.replace("👩‍👩‍👧‍👦", "")
    assert not re.search(r"e(?!\u0301)…", text) or piece != PIECES["accents"]
    assert channel_type not in CHAT or count_alerts(channel_type, text) == 12


@each_type
def test_many_templated_alerts_are_in_numbered_messages_and_the_rest_is_counted(channel_type: ChannelType) -> None:
    message = notification(*[alert(instance=f"db{at}") for at in range(300)], truncated=3)
    texts = request_texts(
        channel_type,
        with_template(channel_type, message, title="Ours", alert=MARK + "{{ position }} " + "word " * 200),
    )
    if channel_type not in CHAT:
        return
    assert len(texts) == 5
    assert all(re.search(rf"Ours.* \({at}/5\)", text) for at, text in enumerate(texts, start=1))
    assert count_alerts(channel_type, "\n".join(texts)) == 300


def test_the_documented_example_renders_as_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "templates.md").read_text(encoding="utf-8")
    title, alert_part = re.findall(r"```jinja\n(.*?)\n```", page, re.DOTALL)
    [shown] = re.findall(r"The text of an alert is then\n\n```\n(.*?)\n```", page, re.DOTALL)
    annotations = {
        "summary": "The disk of db-1 is full",
        "description": "Less than 1 % of /var is left.",
        "runbook_url": RUNBOOK,
    }
    message = alert(annotations=annotations, url="http://prometheus.example.com/graph", instance="db-1")
    sent = first_body(SlackChannel, notification(message), title=title, alert=alert_part)
    assert sent["text"] == "*🔥 DiskFull in all clusters*"
    [section] = [block for block in sent["attachments"][0]["blocks"] if block["type"] == "section"]
    assert re.sub(r"(?m)^for .*$", "for 7m 12s", section["text"]["text"]) == shown


def test_an_existing_message_is_edited_to_the_templated_text() -> None:
    message = msgspec.structs.replace(with_template(TelegramChannel, MESSAGE, **PARTS), message_refs=("17",))
    [request] = NOTIFIERS[TelegramChannel].requests(channel(TelegramChannel), message)
    assert request.url.endswith("/editMessageText")
    assert "is no. 2: Other is resolved" in json.loads(request.body)["text"]
