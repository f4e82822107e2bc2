"""Slack, Discord, Teams and Telegram messages as HTML, as far as the relay's payloads require."""

import re
from typing import Any

from page import page, text

_slack_link = re.compile(r"<(https?://[^<>|]*)\|([^<>|]*)>")
_slack_bold = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")
_slack_italic = re.compile(r"(?<!\w)_([^_\n]+)_(?!\w)")
_code = re.compile(r"`([^`\n]+)`")
_markdown_link = re.compile(r"(?<!\\)\[([^\]]*)\]\(([^)]*)\)")
_markdown_bold = re.compile(r"(?<!\\)\*\*(.+?)(?<!\\)\*\*")
_markdown_escape = re.compile(r"\\(&[lg]t;|[\\*_~`|#\[\]@-])")
_markdown_code = re.compile(r"(?<!\\)`([^`\n]+)`")


def slack(body: dict[str, Any]) -> str:
    """A message of a bot; an edited one is marked, as in Slack."""
    [attachment] = body["attachments"]
    blocks = "".join(_block(block) for block in attachment["blocks"])
    edited = ' <span class="edited">(edited)</span>' if "ts" in body else ""
    return page(
        "slack",
        '<div class="face">AR</div><div><b>Alert Relay</b> <span class="app">APP</span> '
        f'<span class="time">6:07 PM</span><div>{mrkdwn(body["text"])}{edited}</div>'
        f'<div class="attachment" style="border-color:{attachment["color"]}">{blocks}</div></div>',
    )


def _block(block: dict[str, Any]) -> str:
    if block["type"] == "section":
        return f'<div class="section">{mrkdwn(block["text"]["text"])}</div>'
    elements = " ".join(mrkdwn(element["text"]) for element in block["elements"])
    return f'<div class="context">{elements}</div>'


def mrkdwn(source: str) -> str:
    """Slack's markup as HTML; both use the same escapes. https://docs.slack.dev/messaging/formatting-message-text"""
    converted = _slack_link.sub(r'<a href="\1">\2</a>', source).replace("\n", "<br>")
    converted = _code.sub(r"<code>\1</code>", converted)
    return _slack_italic.sub(r"<i>\1</i>", _slack_bold.sub(r"<b>\1</b>", converted))


def discord(body: dict[str, Any]) -> str:
    """A message of a webhook."""
    embeds = "".join(_embed(embed) for embed in body["embeds"])
    return page(
        "discord",
        '<div class="face">AR</div><div><span class="name">Alert Relay</span> <span class="app">APP</span> '
        f'<span class="time">Today at 18:07</span><div>{markdown(body.get("content", ""))}</div>{embeds}</div>',
    )


def _embed(embed: dict[str, Any]) -> str:
    title = f'<div class="title">{markdown(embed["title"])}</div>' if "title" in embed else ""
    footer = f'<div class="footer">{text(embed["footer"]["text"])}</div>' if "footer" in embed else ""
    inside = f"{title}{markdown(embed['description'])}{footer}"
    return f'<div class="embed" style="border-color:#{embed["color"]:06X}">{inside}</div>'


def markdown(source: str) -> str:
    """Discord's Markdown as HTML. https://support.discord.com/hc/en-us/articles/210298617"""
    converted = _markdown_code.sub(r"<code>\1</code>", text(source))
    converted = _markdown_bold.sub(r"<b>\1</b>", _markdown_link.sub(r'<a href="\2">\1</a>', converted))
    return _markdown_escape.sub(r"\1", converted)


def teams(body: dict[str, Any]) -> str:
    """An Adaptive Card in full width."""
    [attachment] = body["attachments"]
    card = attachment["content"]
    elements = "".join(_element(element) for element in card["body"])
    actions = "".join(f'<a class="action">{text(action["title"])}</a>' for action in card.get("actions", []))
    return page("teams", f'<div class="from">Workflows · 18:07</div><div class="card">{elements}{actions}</div>')


def _element(element: dict[str, Any]) -> str:
    """An element of a card. https://adaptivecards.io/explorer"""
    if element["type"] == "Container":
        inside = "".join(_element(item) for item in element["items"])
        return f'<div class="{"separator" if element.get("separator") else ""}">{inside}</div>'
    return f'<div class="line">{"".join(_run(run) for run in element["inlines"])}</div>'


def _run(run: dict[str, Any]) -> str:
    classes = [str(run[name]) for name in ("size", "weight", "color", "fontType") if name in run]
    classes += ["isSubtle"] if run.get("isSubtle") else []
    converted = f'<span class="{" ".join(classes)}">{text(run["text"])}</span>'
    return f"<a>{converted}</a>" if "selectAction" in run else converted


def telegram(body: dict[str, Any]) -> str:
    """A message of a bot in a group. Telegram's HTML is HTML."""
    return page(
        "telegram",
        f'<div class="bubble"><div class="name">Alert Relay</div>{body["text"]}'
        f'<div class="time">{"edited " if "message_id" in body else ""}18:07</div></div>',
    )
