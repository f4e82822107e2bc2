"""What does each platform's documentation allow? Strict readers of the bodies that would be sent.

Each returns the message's text, as one string, and fails where the platform would refuse it.
"""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from relay.domain.channel_types import (
    AppriseChannel,
    BaseChannel,
    DiscordChannel,
    EmailChannel,
    PagerDutyChannel,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from tests.notify.mails import read
from tests.notify.strict_pagerduty import read_pagerduty
from tests.notify.strict_telegram import read_telegram
from tests.notify.strict_twilio import read_twilio

SLACK_LINK = re.compile(r"<(https?://[^<>|\s]+)\|([^<>|]+)>")
SLACK_ENTITY = re.compile(r"&(?:amp|lt|gt);")
DISCORD_LINK = re.compile(r"(?<!\\)\[[^\[\]]*\]\(([^()\s]*)\)")
TEAMS_ELEMENTS = {
    "RichTextBlock": {"type", "inlines", "spacing", "separator", "horizontalAlignment"},
    "Container": {"type", "items", "separator", "spacing", "style"},
}
TEAMS_RUN = {"type", "text", "size", "weight", "color", "isSubtle", "fontType", "selectAction"}
TEAMS_VALUES: dict[str, set[Any]] = {
    "size": {"default", "small", "medium", "large", "extraLarge"},
    "weight": {"default", "lighter", "bolder"},
    "color": {"default", "dark", "light", "accent", "good", "warning", "attention"},
    "fontType": {"default", "monospace"},
    "isSubtle": {True, False},
}


def check_slack(body: bytes) -> str:
    """https://docs.slack.dev/reference/block-kit/blocks and .../messaging/formatting-message-text#escaping"""
    message = json.loads(body)
    assert set(message) <= {"text", "attachments", "channel", "username", "icon_emoji"}
    [attachment] = message["attachments"]
    assert re.fullmatch(r"#[0-9A-F]{6}", attachment["color"])
    assert 0 < len(attachment["blocks"]) <= 50
    texts = [message["text"]]
    for block in attachment["blocks"]:
        if block["type"] == "section":
            assert set(block) == {"type", "text"}
            pieces = [block["text"]]
        else:
            assert block["type"] == "context"
            assert 0 < len(block["elements"]) <= 10
            pieces = block["elements"]
        for piece in pieces:
            assert piece["type"] == "mrkdwn"
            assert 0 < len(piece["text"]) <= 3000
            texts.append(piece["text"])
    assert sum(map(len, texts[1:])) <= 12_100, "about 13,200 are refused"
    whole = "\n".join(texts)
    words = SLACK_LINK.sub("", whole)
    assert "<" not in words, "unescaped text could mention or link"
    assert ">" not in words
    assert "&" not in SLACK_ENTITY.sub("", words)
    _check_links([url for url, _ in SLACK_LINK.findall(whole)])
    return whole


def check_discord(body: bytes) -> str:
    """https://discord.com/developers/docs/resources/message#embed-object-embed-limits"""
    message = json.loads(body)
    assert set(message) <= {"content", "embeds", "allowed_mentions", "username", "avatar_url"}
    assert message["allowed_mentions"] == {"parse": []}
    texts = [message.get("content", "")]
    assert "content" not in message or 0 < len(texts[0]) <= 2000
    assert 0 < len(message["embeds"]) <= 10
    for embed in message["embeds"]:
        assert set(embed) <= {"title", "color", "description", "footer"}, "a `url` may get the message refused"
        assert 0 <= embed["color"] <= 0xFFFFFF
        assert "title" not in embed or 0 < len(embed["title"]) <= 256
        assert 0 < len(embed["description"]) <= 4096
        assert "footer" not in embed or 0 < len(embed["footer"]["text"]) <= 2048
        texts += [embed.get("title", ""), embed["description"], embed.get("footer", {"text": ""})["text"]]
    assert message["embeds"][0]["title"]
    assert sum(map(len, texts[1:])) <= 6000, "over all embeds"
    whole = "\n".join(texts)
    footers = [embed.get("footer", {"text": ""})["text"] for embed in message["embeds"]]
    assert not re.search(r"(?<!\\)(?:\\\\)*<[@#!]", whole if not any(footers) else whole[: -len(footers[-1])])
    _check_links(DISCORD_LINK.findall(whole))
    return whole


def check_teams(body: bytes) -> str:
    """https://adaptivecards.io/explorer, version 1.4; the size is Teams' own."""
    message = json.loads(body)
    [attachment] = message["attachments"]
    assert message == {"type": "message", "attachments": [attachment]}
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert len(json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode()) <= 20_000
    assert card["type"] == "AdaptiveCard"
    assert tuple(map(int, card["version"].split("."))) <= (1, 4)
    assert card["msteams"] == {"width": "Full"}, "entities could mention people"
    actions = card.get("actions", [])
    assert len(actions) <= 6
    links = [action["url"] for action in actions]
    for action in actions:
        assert set(action) == {"type", "title", "url"}
        assert action["type"] == "Action.OpenUrl"
        assert action["title"]
    texts = [action["title"] for action in actions]
    for element in card["body"]:
        _check_element(element, texts, links)
    _check_links(links)
    return "\n".join([*texts, *links])


def _check_element(element: dict[str, Any], texts: list[str], links: list[str]) -> None:
    kind = element["type"]
    assert set(element) <= TEAMS_ELEMENTS[kind]
    if kind == "Container":
        assert element["items"]
        for item in element["items"]:
            _check_element(item, texts, links)
        return
    assert element["inlines"]
    for run in element["inlines"]:
        assert run["type"] == "TextRun"
        assert set(run) <= TEAMS_RUN
        assert run["text"]
        for name, values in TEAMS_VALUES.items():
            assert name not in run or run[name] in values
        if action := run.get("selectAction"):
            assert set(action) == {"type", "url"}
            assert action["type"] == "Action.OpenUrl"
            links.append(action["url"])
    texts.append("".join(run["text"] for run in element["inlines"]))


def check_webhook(body: bytes) -> str:
    """Our own: everything in it, as JSON."""
    text = json.dumps(json.loads(body), ensure_ascii=False)
    assert text
    return text


def check_email(body: bytes) -> str:
    """https://www.rfc-editor.org/rfc/rfc5322, and what mail programs make of it; text and HTML say the same."""
    mail = read(body)
    assert len(mail.html.encode()) <= 100_000
    for mark in ("🔥 ", "✅ "):
        shown = sum(line.startswith(mark) for line in mail.text.splitlines())
        assert shown == sum(line.startswith(mark) for line in mail.read.splitlines())
    _check_links(mail.links)
    return f"{mail.headers['Subject']}\n{mail.text}"


def check_apprise(body: bytes) -> str:
    """Our own: plain text."""
    text = body.decode()
    assert len(text) <= 20_300
    return text


def _check_links(links: list[str]) -> None:
    for link in links:
        parts = urlsplit(link)
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert link.isascii()


CHECKS: dict[type[BaseChannel], Callable[[bytes], str]] = {
    SlackChannel: check_slack,
    DiscordChannel: check_discord,
    TeamsChannel: check_teams,
    WebhookChannel: check_webhook,
    TelegramChannel: read_telegram,
    PagerDutyChannel: read_pagerduty,
    SmsChannel: read_twilio,
    EmailChannel: check_email,
    AppriseChannel: check_apprise,
}
"""A new type wants its platform's limits here."""
IN_WORDS: tuple[type[BaseChannel], ...] = (SlackChannel, DiscordChannel, TeamsChannel, TelegramChannel)
"""These tell people all that there is to say, in words, with links."""
