"""Messages for Microsoft Teams, over a webhook of Workflows.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from relay.domain.alerts import Status
from relay.domain.channel_types import RateLimit, TeamsChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome
from relay.domain.severities import level_of
from relay.notify.notifier import Notifier
from relay.notify.platforms.teams_errors import outcome_of
from relay.notify.requests import Request, Response
from relay.notify.text.content import AlertText, Content, content_of, labels_line, not_shown_line
from relay.notify.text.markup import TEAMS
from relay.notify.text.pagination import Cost, MessagePage, paginate, rendered_alert_limit
from relay.notify.text.plain_text import cut, fit, web_url
from relay.notify.text.summary import SummaryLimits, summary_lines

RETIRED_HOST: Final = "webhook.office.com"
OLDEST_HOST: Final = "outlook.office.com"
"""Hosts of Office 365 connectors, which Microsoft switched off in May 2026.

https://devblogs.microsoft.com/microsoft365dev/retirement-of-office-365-connectors-within-microsoft-teams/
"""
MAX_CARD: Final = 20_000
"""Bytes of a card. Teams rejects about 28 KB; the rest is for what Workflows adds.

https://learn.microsoft.com/en-us/microsoftteams/platform/bots/how-to/format-your-bot-messages
"""
ENVELOPE: Final = 1_000
"""Bytes for what every card contains, and for the number of the message."""
CARD_VERSION: Final = "1.4"
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
"""Teams throttles more than four requests a second.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#rate-limiting-for-connectors
"""
MAX_LINE: Final = 1500
MAX_NOTE: Final = 1500
MAX_HEADLINE: Final = 900
MAX_TITLE: Final = 900
MAX_LABELS: Final = 1500
MAX_LINK: Final = 1500
"""Bytes as JSON. About 5,000 remain for the description of the largest alert."""
MAX_BODY: Final = 6000
"""Bytes as JSON of a template's output for the body."""
MAX_BODY_READ: Final = 8000
"""Characters of it that are parsed, including markup."""
COLORS: Final = {"critical": "attention", "error": "attention", "warning": "warning", "info": "accent"}

_markdown = re.compile(
    r"(?P<text>(?:\\.|[^\\\[*`])+)|\[(?P<label>(?:\\.|[^\[\]\\])*)\]\((?P<url>[^()\s]*)\)|(?P<bold>\*\*)"
    r"|`(?P<code>[^`]+)`|.",
    re.DOTALL,
)
"""The Markdown that templates produce. The relay parses it itself, for independence from the parser of Teams."""
_escape_or_bold = re.compile(r"\\(.)|\*\*", re.DOTALL)


class TeamsNotifier(Notifier[TeamsChannel]):
    """Microsoft Teams."""

    rate_limit = RATE_LIMIT
    markup = TEAMS

    def check(self, channel: TeamsChannel) -> None:
        """Reject the URL of a retired connector."""
        parts = urlsplit(channel.webhook_url)
        host = (parts.hostname or "").rstrip(".")
        oldest = host == OLDEST_HOST and parts.path.startswith("/webhook")
        if oldest or host == RETIRED_HOST or host.endswith(f".{RETIRED_HOST}"):
            raise InvalidInput(
                "webhook_url",
                "is an Office 365 connector, which Microsoft switched off in May 2026; create a Workflows webhook "
                "in Teams instead (its host ends in .logic.azure.com or .environment.api.powerplatform.com)",
            )

    def requests(self, channel: TeamsChannel, message: Message) -> Sequence[Request]:
        """Messages of one Adaptive Card each, over the full width."""
        cards = _cards(channel, content_of(message))
        return [Request(url=channel.webhook_url, body=msgspec.json.encode(_message(card))) for card in cards]

    def verdict(self, request: Request, response: Response) -> Outcome:
        """Classify a response by its error code. An error of Teams itself may be inside a 200."""
        return outcome_of(response)


def _message(card: dict[str, Any]) -> dict[str, Any]:
    content_type = "application/vnd.microsoft.card.adaptive"
    return {
        "type": "message",
        "attachments": [{"contentType": content_type, "contentUrl": None, "content": card}],
    }


def _cards(channel: TeamsChannel, content: Content) -> list[dict[str, Any]]:
    color = COLORS.get(level_of(content.severity), "default") if content.status is Status.FIRING else "good"
    max_messages, rendered = channel.max_messages, _rendered_lines(content)
    fixed = [_start_lines(channel, content, color), rendered, _closing_lines(content, content.total)]
    size = MAX_CARD - ENVELOPE - sum(map(_size, [*fixed, _actions(content.closing_links(content.total))]))
    summary: list[dict[str, Any]] = []
    if content.counts:
        max_messages = 1
        limits = SummaryLimits(total=size, line=MAX_LINE, overhead=_size(_line([_run("")])), size=_text_size)
        summary = [_line([_run(line)]) for line in summary_lines(content.counts, limits)]
        size -= sum(map(_size, summary))

    def format_alert(alert: AlertText, description: int, limit: int) -> dict[str, Any]:
        return _format_alert(alert, description, limit, color)

    def card(page: MessagePage[dict[str, Any]]) -> dict[str, Any]:
        start = _start_lines(channel, content, color, page.number)
        return _card(content, page, [*start, *(rendered if page.is_first else []), *summary, *page.parts])

    return list(map(card, paginate(content, [(size,)] * max_messages, format_alert, _cost)))


def _card(content: Content, page: MessagePage[dict[str, Any]], body: list[dict[str, Any]]) -> dict[str, Any]:
    actions: list[dict[str, Any]] = []
    if page.is_last:
        body += _closing_lines(content, page.not_shown)
        actions = _actions(content.closing_links(page.not_shown))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "msteams": {"width": "Full"},
        "body": body,
    }
    return card | ({"actions": actions} if actions else {})


def _start_lines(channel: TeamsChannel, content: Content, color: str, number: str = "") -> list[dict[str, Any]]:
    style = {"size": "large", "weight": "bolder", "color": color}
    if runs := _runs(_cut_to_size(content.title, MAX_HEADLINE), **style):
        lines = [_line([*runs, *([_run(number, **style)] if number else [])])]
    else:
        lines = [_line([_run(_fit(content.headline, MAX_HEADLINE) + number, **style)])]
    if channel.teams_title:
        lines.insert(0, _line([_run(_fit(channel.teams_title, MAX_TITLE), size="small", isSubtle=True)]))
    lines += [_line([_run(_fit(note, MAX_NOTE), weight="bolder")]) for note in content.notes]
    if content.labels:
        lines.append(_line([_run(_fit(labels_line(content.labels), MAX_LABELS), isSubtle=True)]))
    return lines


def _rendered_lines(content: Content) -> list[dict[str, Any]]:
    runs = _runs(_cut_to_size((content.body or "")[:MAX_BODY_READ], MAX_BODY))
    return [_line(runs)] if runs else []


def _closing_lines(content: Content, not_shown: int) -> list[dict[str, Any]]:
    lines = [_line([_run(not_shown_line(not_shown), weight="bolder")])] if not_shown else []
    return [*lines, *([_line([_run(content.truncated, isSubtle=True)])] if content.truncated else [])]


def _actions(links: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    return [{"type": "Action.OpenUrl", "title": text, "url": url} for text, url in links if len(url) <= MAX_LINK]


def _format_alert(alert: AlertText, description: int, limit: int, color: str) -> dict[str, Any]:
    if runs := _runs(_cut_to_runs(alert.rendered, description, limit)):
        return _container([_line(runs)])
    firing = alert.status is Status.FIRING
    title = f"{alert.mark} {_fit(alert.title, MAX_TITLE)}"
    items = [_line([_run(title, weight="bolder", color=color if firing else "good")])]
    if alert.labels:
        labels = _fit(labels_line(alert.labels), MAX_LABELS)
        items.append(_line([_run(labels, isSubtle=True, fontType="monospace")]))
    runs = [_run(alert.times, isSubtle=True)]
    for text, url in alert.links:
        if len(url) <= MAX_LINK:
            runs += [
                _run(" · ", isSubtle=True),
                _run(text, selectAction={"type": "Action.OpenUrl", "url": url}),
            ]
    items.append(_line(runs))
    container = _container(items)
    available = limit - _size(container) - _size(_line([_run("")]))
    if text := _fit(cut(alert.description, description), available):
        items.insert(1, _line([_run(text)]))
    return container


def _container(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "Container", "separator": True, "items": items}


def _cut_to_runs(markdown: str, description: int, limit: int) -> str:
    shown = TEAMS.cut(markdown, rendered_alert_limit(description, len(markdown)))
    return _cut_to_size(shown, limit - _size(_container([_line([])])))


def _cut_to_size(markdown: str, limit: int) -> str:
    """A template's output, cut to at most `limit` bytes as runs of text.

    It is cut by the size of its text, which is fast to measure, and then by what the runs add to that.
    """
    text_limit = limit
    while (shown := TEAMS.cut(markdown, text_limit, _text_size)) and (size := _size(_runs(shown))) > limit:
        text_limit = min(text_limit - 1, text_limit * limit // size)
    return shown


def _runs(markdown: str, **style: Any) -> list[dict[str, Any]]:
    """A template's output as runs of text."""
    runs: list[dict[str, Any]] = []
    text, bold = "", False

    def end(text: str) -> None:
        if text:
            runs.append(_run(text, **style | ({"weight": "bolder"} if bold else {})))

    for found in _markdown.finditer(markdown):
        url = web_url(found["url"] or "")
        if found["bold"] is None and found["code"] is None and url is None:
            text += found[0] if found["text"] is None else _escape_or_bold.sub(r"\1", found["text"])
            continue
        end(text)
        text = ""
        if found["bold"] is not None:
            bold = not bold
        elif found["code"] is not None:
            runs.append(_run(found["code"], **style, fontType="monospace"))
        else:
            label = _escape_or_bold.sub(r"\1", found["label"]) or found["url"]
            runs.append(_run(label, **style, selectAction={"type": "Action.OpenUrl", "url": url}))
    end(text)
    return runs


def _fit(text: str, limit: int) -> str:
    return fit(text, limit, size=_text_size)


def _line(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A line of text. Unlike a TextBlock it parses no Markdown, so that an annotation cannot form a link."""
    return {"type": "RichTextBlock", "spacing": "small", "inlines": runs}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _cost(part: dict[str, Any]) -> Cost:
    return (_size(part),)


def _size(part: Any) -> int:
    return len(msgspec.json.encode(part)) + 1


def _text_size(text: str) -> int:
    return len(msgspec.json.encode(text)) - len('""')
