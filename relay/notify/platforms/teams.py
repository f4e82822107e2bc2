"""How is a message told on Microsoft Teams, over a webhook made by Workflows?

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from relay.domain.alerts import Status
from relay.domain.channel_types import RateLimit, TeamsChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason, Rejected
from relay.notify.classify import classify, destination_gone, retry
from relay.notify.notifier import Notifier
from relay.notify.requests import Request, Response
from relay.notify.text.content import AlertText, Content, content_of, cut, fit, labels_line, left_out, web_url
from relay.notify.text.markup import TEAMS
from relay.notify.text.pagination import MessagePage, Space, paginate, shortened_to
from relay.notify.text.summary import Room, summary_lines

RETIRED_HOST: Final = "webhook.office.com"
OLDEST_HOST: Final = "outlook.office.com"
"""Office 365 connectors; Microsoft switched them off in May 2026."""
MAX_CARD: Final = 20_000
"""Bytes. Teams refuses about 28 KB; this leaves room for what Workflows adds.

https://learn.microsoft.com/en-us/microsoftteams/platform/bots/how-to/format-your-bot-messages
"""
ENVELOPE: Final = 1_000
"""Bytes for what any card holds, and for its number."""
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
MAX_NOTE: Final = 1500
MAX_HEADLINE: Final = 900
MAX_TITLE: Final = 900
MAX_LABELS: Final = 1500
MAX_LINK: Final = 1500
"""Bytes, as JSON writes them. Of any text, some 5,000 are left for the largest alert's description."""
MAX_BODY: Final = 6000
"""Bytes of what a template put in place of the labels."""
MOST_READ: Final = 8000
"""Characters of it that are read, some of them markup."""
COLOURS: Final = {"critical": "attention", "error": "attention", "warning": "warning", "info": "accent"}

_told_inside = re.compile(r"teams endpoint returned http error (\d{3})")
"""How Teams' own refusal stands in the answer of what hands the message on to it, which may be a 200.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#rate-limiting-for-connectors
"""
_written = re.compile(
    r"(?P<words>(?:\\.|[^\\\[*`])+)|\[(?P<shown>(?:\\.|[^\[\]\\])*)\]\((?P<url>[^()\s]*)\)|(?P<bold>\*\*)"
    r"|`(?P<code>[^`]+)`|.",
    re.DOTALL,
)
"""The Markdown that templates write; the relay itself reads it, so that nothing hangs on how Teams does."""
_bare = re.compile(r"\\(.)|\*\*", re.DOTALL)


class TeamsNotifier(Notifier[TeamsChannel]):
    """Microsoft Teams."""

    rate_limit = RATE_LIMIT
    markup = TEAMS

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

    def requests(self, channel: TeamsChannel, message: Message) -> Sequence[Request]:
        """Adaptive Cards over the full width, one a message."""
        cards = _cards(channel, content_of(message))
        return [Request(url=channel.webhook_url, body=msgspec.json.encode(_around(card))) for card in cards]

    def verdict(self, response: Response) -> Outcome:
        """Teams may refuse inside a 200, such as a card that is too large; Workflows names its errors."""
        status, words = response.status, response.text.lower()
        if 200 <= status < 300 and (told := _told_inside.search(words)):
            return classify(msgspec.structs.replace(response, status=int(told[1])))
        if 200 <= status < 300 and "request entity too large" in words:
            return Rejected(Reason.CLIENT_ERROR, response.text, status)
        if status == HTTPStatus.NOT_FOUND and GONE in words:
            return destination_gone(response)
        if 400 <= status < 500 and SWITCHED_OFF in words:
            return retry(Reason.CLIENT_ERROR, f"{status} {response.text}", response)
        return classify(response)


def _around(card: dict[str, Any]) -> dict[str, Any]:
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _cards(channel: TeamsChannel, content: Content) -> list[dict[str, Any]]:
    colour = COLOURS.get(content.severity, "default") if content.status is Status.FIRING else "good"
    told = _told(content)
    around = [_start(channel, content, colour), told, _closing(content, content.total)]
    room = MAX_CARD - ENVELOPE - sum(map(_size, [*around, _actions(content.links_after(content.total))]))
    summary: list[dict[str, Any]] = []
    if content.counts:
        limits = Room(total=room, line=MAX_LINE, overhead=_size(_line([_run("")])), size=_text_size)
        summary = [_line([_run(line)]) for line in summary_lines(content.counts, limits)]
        room -= sum(map(_size, summary))

    def write(alert: AlertText, description: int) -> dict[str, Any]:
        return _alert(alert, description, colour, room)

    def card(page: MessagePage[dict[str, Any]]) -> dict[str, Any]:
        start = _start(channel, content, colour, page.number)
        return _card(content, page, [*start, *(told if page.is_first else []), *summary, *page.alerts])

    return list(map(card, paginate(content, channel.max_messages, Space(size=room), write, _size)))


def _card(content: Content, page: MessagePage[dict[str, Any]], body: list[dict[str, Any]]) -> dict[str, Any]:
    actions: list[dict[str, Any]] = []
    if page.is_last:
        body += _closing(content, page.left_out)
        actions = _actions(content.links_after(page.left_out))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "msteams": {"width": "Full"},
        "body": body,
    }
    return card | ({"actions": actions} if actions else {})


def _start(channel: TeamsChannel, content: Content, colour: str, number: str = "") -> list[dict[str, Any]]:
    headline = {"size": "large", "weight": "bolder", "color": colour}
    if runs := _runs(_cut_to_size(content.title, MAX_HEADLINE), **headline):
        lines = [_line([*runs, *([_run(number, **headline)] if number else [])])]
    else:
        lines = [_line([_run(_words(content.headline, MAX_HEADLINE) + number, **headline)])]
    if channel.teams_title:
        lines.insert(0, _line([_run(_words(channel.teams_title, MAX_TITLE), size="small", isSubtle=True)]))
    lines += [_line([_run(_words(note, MAX_NOTE), weight="bolder")]) for note in content.notes]
    if content.labels:
        lines.append(_line([_run(_words(labels_line(content.labels), MAX_LABELS), isSubtle=True)]))
    return lines


def _told(content: Content) -> list[dict[str, Any]]:
    runs = _runs(_cut_to_size((content.body or "")[:MOST_READ], MAX_BODY))
    return [_line(runs)] if runs else []


def _closing(content: Content, left: int) -> list[dict[str, Any]]:
    lines = [_line([_run(left_out(left), weight="bolder")])] if left else []
    return [*lines, *([_line([_run(content.truncated, isSubtle=True)])] if content.truncated else [])]


def _actions(links: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    return [{"type": "Action.OpenUrl", "title": text, "url": url} for text, url in links if len(url) <= MAX_LINK]


def _alert(alert: AlertText, description: int, colour: str, limit: int) -> dict[str, Any]:
    if runs := _runs(_cut_to_runs(alert.rendered, description, limit)):
        return _container([_line(runs)])
    firing = alert.status is Status.FIRING
    mark = "🔥" if firing else "✅"
    title = f"{mark} {_words(alert.title, MAX_TITLE)}"
    items = [_line([_run(title, weight="bolder", color=colour if firing else "good")])]
    if alert.labels:
        labels = _words(labels_line(alert.labels), MAX_LABELS)
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
    room = limit - _size(container) - _size(_line([_run("")]))
    if told := _words(cut(alert.description, description), room):
        items.insert(1, _line([_run(told)]))
    return container


def _container(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "Container", "separator": True, "items": items}


def _cut_to_runs(written: str, description: int, limit: int) -> str:
    shown = TEAMS.cut(written, shortened_to(description, len(written)))
    return _cut_to_size(shown, limit - _size(_container([_line([])])))


def _cut_to_size(written: str, limit: int) -> str:
    """What a template wrote, of at most so many bytes as runs of text.

    Cut by the size of the text, which is quick to tell, and then by as much as the runs around it make it larger.
    """
    room = limit
    while (shown := TEAMS.cut(written, room, _text_size)) and (size := _size(_runs(shown))) > limit:
        room = min(room - 1, room * limit // size)
    return shown


def _runs(written: str, **style: Any) -> list[dict[str, Any]]:
    """What a template wrote, as runs of text."""
    runs: list[dict[str, Any]] = []
    words, bold = "", False

    def end(words: str) -> None:
        if words:
            runs.append(_run(words, **style | ({"weight": "bolder"} if bold else {})))

    for found in _written.finditer(written):
        url = web_url(found["url"] or "")
        if found["bold"] is None and found["code"] is None and url is None:
            words += found[0] if found["words"] is None else _bare.sub(r"\1", found["words"])
            continue
        end(words)
        words = ""
        if found["bold"] is not None:
            bold = not bold
        elif found["code"] is not None:
            runs.append(_run(found["code"], **style, fontType="monospace"))
        else:
            text = _bare.sub(r"\1", found["shown"]) or found["url"]
            runs.append(_run(text, **style, selectAction={"type": "Action.OpenUrl", "url": url}))
    end(words)
    return runs


def _words(text: str, limit: int) -> str:
    return fit(text, limit, size=_text_size)


def _line(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A line of text. Unlike a TextBlock it knows no Markdown, so that an annotation can't form a link."""
    return {"type": "RichTextBlock", "spacing": "small", "inlines": runs}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _size(part: Any) -> int:
    return len(msgspec.json.encode(part)) + 1


def _text_size(text: str) -> int:
    return len(msgspec.json.encode(text)) - len('""')
