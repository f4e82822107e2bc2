"""How is a message told on Discord, over a webhook?

https://discord.com/developers/docs/resources/webhook#execute-webhook
"""

import re
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay.domain.alerts import Status
from relay.domain.channels import DiscordChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome
from relay.notify.base import Notifier, Request, Response, classify, gone
from relay.notify.content import AlertText, Content, content_of, fit, labels_line, left_out, web_url
from relay.notify.summary import Room, summary_lines

MAX_CONTENT: Final = 2000
MAX_TITLE: Final = 256
MAX_DESCRIPTION: Final = 4096
MAX_FOOTER: Final = 2048
MAX_EMBED: Final = 6000
"""https://discord.com/developers/docs/resources/message#embed-object-embed-limits; 6000 is over all embeds."""
MAX_REST: Final = MAX_EMBED - MAX_TITLE - MAX_DESCRIPTION
MAX_USERNAME: Final = 80
REFUSED_IN_USERNAME: Final = ("clyde", "discord")
"""https://discord.com/developers/docs/resources/webhook#create-webhook"""
RATE_LIMIT: Final = RateLimit(per_second=0.5, burst=5)
"""Thirty messages a minute a webhook, five in two seconds: what its answers' headers say; no page has numbers.

https://discord.com/developers/docs/topics/rate-limits
"""
MAX_LINE: Final = 120
"""Characters of a summary's line, so that little room is lost where a page ends."""
LONGEST_LINE: Final = 300
"""Characters of a line with one name that is all escapes."""
MAX_NOTE: Final = 600
MAX_ALERT_TITLE: Final = 300
MAX_ALERT_DESCRIPTION: Final = 1000
MAX_LABELS: Final = 600
MAX_LINK: Final = 800

_markdown = re.compile(r"([\\*_~`|>#\[\]<@])")


class DiscordNotifier(Notifier[DiscordChannel]):
    """Discord."""

    rate_limit = RATE_LIMIT

    def check(self, channel: DiscordChannel) -> None:
        """Discord limits the name, and refuses some."""
        name = channel.discord_username
        if name is not None and not 0 < len(name.strip()) <= len(name) <= MAX_USERNAME:
            raise InvalidInput("discord_username", f"must have 1 to {MAX_USERNAME} characters")
        if refused := [word for word in REFUSED_IN_USERNAME if word in (name or "").lower()]:
            raise InvalidInput("discord_username", f"must not hold `{refused[0]}`: Discord refuses it")
        if channel.discord_avatar_url is not None and web_url(channel.discord_avatar_url) is None:
            raise InvalidInput("discord_avatar_url", "must be a URL such as https://example.com/avatar.png")

    def request(self, channel: DiscordChannel, message: Message) -> Request:
        """An embed in the severity's colour (two, if a digest needs them), and nobody who could be mentioned."""
        body = _body(content_of(message)) | {"allowed_mentions": {"parse": []}}
        overrides = {"username": channel.discord_username, "avatar_url": channel.discord_avatar_url}
        body |= {name: value for name, value in overrides.items() if value is not None}
        return Request(url=channel.webhook_url, body=msgspec.json.encode(body))

    def verdict(self, response: Response) -> Outcome:
        """After a 404 a webhook is gone, and Discord wants no more requests to it."""
        return gone(response) if response.status == HTTPStatus.NOT_FOUND else classify(response)


def escape(text: str) -> str:
    """Escape Discord's Markdown, so that text stays text."""
    return _markdown.sub(r"\\\1", text)


class _Pages:
    """Texts of limited sizes, filled one after the other."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.texts = [""]

    def add(self, part: str) -> bool:
        """Put a part behind the last one, or on the next page; False when there is no room on either."""
        at = len(self.texts) - 1
        if len(self.texts[at]) + len(part) <= self.sizes[at]:
            self.texts[at] += part
        elif at + 1 < len(self.sizes) and len(part) <= self.sizes[at + 1]:
            self.texts.append(part)
        else:
            return False
        return True


def _body(content: Content) -> dict[str, Any]:
    # Not the embed's own `url`: Discord refuses the whole message for a host such as `alertmanager`.
    closing = " · ".join(_links(content.links))
    end = len(left_out(content.total)) + len("\n\n") + len(closing)
    pages = _begun(content, end)
    shown = 0
    while shown < len(content.alerts) and pages.add(_alert(content.alerts[shown]) + "\n\n"):
        shown += 1
    pages.sizes[-1] += end
    if shown < content.total:
        pages.add(left_out(content.total - shown) + "\n\n")
    pages.add(closing)
    texts = [text.strip() for text in pages.texts]
    above = texts.pop(0) if pages.sizes[0] == MAX_CONTENT else ""
    embeds: list[dict[str, Any]] = [{"color": content.colour, "description": text} for text in texts]
    embeds[0] = {"title": fit(content.headline, MAX_TITLE, escape)} | embeds[0]
    footer = "\n".join(part for part in (labels_line(content.labels), content.truncated) if part)
    if footer:
        embeds[-1]["footer"] = {"text": fit(footer, min(MAX_FOOTER, MAX_REST), str)}
    return {"content": above, "embeds": embeds} if above else {"embeds": embeds}


def _begun(content: Content, end: int) -> _Pages:
    """The pages that a message needs, with what comes before its alerts; `end` is what comes after them.

    A digest takes a second embed, and the message's own text if nothing less holds the names it must say.
    """
    notes = [fit(note, MAX_NOTE, escape) + "\n\n" for note in content.notes]
    if not content.counts:
        return _filled([MAX_DESCRIPTION - end], notes)[0]
    sizes = [MAX_CONTENT, MAX_DESCRIPTION, MAX_REST - end]
    room = sum(sizes) - sum(map(len, notes))

    def parts(lost: int) -> list[str]:
        limits = Room(total=room - (len(sizes) - 1) * lost, line=MAX_LINE, escape=escape)
        return [*notes, *(line + "\n" for line in summary_lines(content.counts, limits)), "\n"]

    pages, whole = _filled(sizes[1:], parts(MAX_LINE))
    if not whole:
        pages, whole = _filled(sizes, parts(MAX_LINE))
    if not whole:
        pages, _ = _filled(sizes, parts(LONGEST_LINE))
    return pages


def _filled(sizes: list[int], parts: list[str]) -> tuple[_Pages, bool]:
    pages = _Pages(list(sizes))
    return pages, [pages.add(part) for part in parts].count(False) == 0


def _alert(alert: AlertText) -> str:
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    lines = [f"{mark} **{fit(alert.title, MAX_ALERT_TITLE, escape)}**"]
    if alert.description:
        lines.append(fit(alert.description, MAX_ALERT_DESCRIPTION, escape))
    if alert.labels:
        lines.append(fit(labels_line(alert.labels), MAX_LABELS, escape))
    lines.append(" · ".join([alert.times, *_links(alert.links)]))
    return "\n".join(lines)


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    written = [f"[{text}]({url.replace('(', '%28').replace(')', '%29')})" for text, url in links]
    return [link for link in written if len(link) <= MAX_LINK]
