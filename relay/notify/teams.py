"""How is a message told on Microsoft Teams, over a webhook made by Workflows?

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from relay.domain.alerts import Status
from relay.domain.channels import RateLimit, TeamsChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason, Rejected
from relay.notify.base import Notifier, Request, Response, classify, gone, retry
from relay.notify.content import AlertText, Content, content_of, cut, labels_line, left_out
from relay.notify.summary import Room, summary_lines

RETIRED_HOST: Final = "webhook.office.com"
OLDEST_HOST: Final = "outlook.office.com"
"""Office 365 connectors; Microsoft switched them off in May 2026."""
MAX_CARD: Final = 20_000
"""Bytes. Teams refuses about 28 KB; this leaves room for what Workflows adds.

https://learn.microsoft.com/en-us/microsoftteams/platform/bots/how-to/format-your-bot-messages
"""
ENVELOPE: Final = 1_000
"""Bytes for what surrounds the alerts, and for the line that stands for those that did not fit."""
CARD_VERSION: Final = "1.4"
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
"""More than four requests in a second are throttled.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#rate-limiting-for-connectors
"""
GONE: Final = "workflownotfound"
SWITCHED_OFF: Final = "workflowtriggerisnotenabled"
"""Codes of Logic Apps, which runs the workflows; the second comes with a 400.

https://learn.microsoft.com/en-us/azure/logic-apps/logic-apps-workflow-actions-triggers
"""
MAX_LINE: Final = 1500
MAX_NOTE: Final = 600
MAX_HEADLINE: Final = 300
MAX_TITLE: Final = 300
MAX_DESCRIPTION: Final = 1000
MAX_LABELS: Final = 600
MAX_LINK: Final = 1500
COLOURS: Final = {"critical": "attention", "error": "attention", "warning": "warning", "info": "accent"}


class TeamsNotifier(Notifier[TeamsChannel]):
    """Microsoft Teams."""

    rate_limit = RATE_LIMIT

    def check(self, channel: TeamsChannel) -> None:
        """Refuse the URLs of connectors, which nobody answers any more."""
        parts = urlsplit(channel.webhook_url)
        host = (parts.hostname or "").rstrip(".")
        oldest = host == OLDEST_HOST and parts.path.startswith("/webhook")
        if oldest or host == RETIRED_HOST or host.endswith(f".{RETIRED_HOST}"):
            raise InvalidInput(
                "webhook_url",
                "is an Office 365 connector, which Microsoft switched off in May 2026; create a Workflows webhook "
                "in Teams instead (its host ends in .logic.azure.com or .environment.api.powerplatform.com)",
            )

    def request(self, channel: TeamsChannel, message: Message) -> Request:
        """One Adaptive Card over the full width."""
        card = _card(channel, content_of(message))
        attachment = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": card,
        }
        body = {"type": "message", "attachments": [attachment]}
        return Request(url=channel.webhook_url, body=msgspec.json.encode(body))

    def verdict(self, response: Response) -> Outcome:
        """Teams may refuse a card that is too large inside a 200; Workflows names its errors."""
        status, words = response.status, response.words.lower()
        if 200 <= status < 300 and "request entity too large" in words:
            return Rejected(Reason.CLIENT_ERROR, response.words, status)
        if status == HTTPStatus.NOT_FOUND and GONE in words:
            return gone(response)
        if 400 <= status < 500 and SWITCHED_OFF in words:
            return retry(Reason.CLIENT_ERROR, f"{status} {response.words}", response)
        return classify(response)


def _card(channel: TeamsChannel, content: Content) -> dict[str, Any]:
    colour = COLOURS.get(content.severity, "default") if content.status is Status.FIRING else "good"
    body: list[dict[str, Any]] = []
    if channel.teams_title:
        body.append(_line([_run(cut(channel.teams_title, MAX_TITLE), size="small", isSubtle=True)]))
    body.append(_line([_run(cut(content.headline, MAX_HEADLINE), size="large", weight="bolder", color=colour)]))
    body += [_line([_run(cut(note, MAX_NOTE), weight="bolder")]) for note in content.notes]
    if content.labels:
        body.append(_line([_run(cut(labels_line(content.labels), MAX_LABELS), isSubtle=True)]))
    actions = [
        {"type": "Action.OpenUrl", "title": text, "url": url}
        for text, url in content.links
        if len(url) <= MAX_LINK
    ]
    room = MAX_CARD - ENVELOPE - _size(body) - _size(actions)
    if content.counts:
        limits = Room(total=room, line=MAX_LINE, overhead=_size(_line([_run("")])), size=_text_size)
        lines = [_line([_run(line)]) for line in summary_lines(content.counts, limits)]
        body += lines
        room -= sum(map(_size, lines))
    shown = 0
    for alert in content.alerts:
        container = _alert(alert, colour)
        if _size(container) > room:
            break
        body.append(container)
        room -= _size(container)
        shown += 1
    if shown < content.total:
        body.append(_line([_run(left_out(content.total - shown), weight="bolder")]))
    if content.truncated:
        body.append(_line([_run(content.truncated, isSubtle=True)]))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "msteams": {"width": "Full"},
        "body": body,
    }
    if actions:
        card["actions"] = actions
    return card


def _alert(alert: AlertText, colour: str) -> dict[str, Any]:
    firing = alert.status is Status.FIRING
    mark = "🔥" if firing else "✅"
    title = f"{mark} {cut(alert.title, MAX_TITLE)}"
    items = [_line([_run(title, weight="bolder", color=colour if firing else "good")])]
    if alert.description:
        items.append(_line([_run(cut(alert.description, MAX_DESCRIPTION))]))
    if alert.labels:
        items.append(
            _line([_run(cut(labels_line(alert.labels), MAX_LABELS), isSubtle=True, fontType="monospace")])
        )
    runs = [_run(alert.times, isSubtle=True)]
    for text, url in alert.links:
        if len(url) <= MAX_LINK:
            runs += [
                _run(" · ", isSubtle=True),
                _run(text, selectAction={"type": "Action.OpenUrl", "url": url}),
            ]
    items.append(_line(runs))
    return {"type": "Container", "separator": True, "items": items}


def _line(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A line of text. Unlike a TextBlock it knows no Markdown, so that an annotation can't form a link."""
    return {"type": "RichTextBlock", "spacing": "small", "inlines": runs}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _size(part: Any) -> int:
    return len(msgspec.json.encode(part)) + 1


def _text_size(text: str) -> int:
    return len(msgspec.json.encode(text)) - len('""')
