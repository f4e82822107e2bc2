"""How is a notification told on Discord, over a webhook?

https://discord.com/developers/docs/resources/webhook#execute-webhook
"""

import re
from typing import Any, Final

import msgspec

from relay.domain.alerts import Status
from relay.domain.channels import DiscordChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Notification
from relay.domain.outcomes import Outcome, Reason, Retry
from relay.notify.base import LONGEST_WAIT, Notifier, Request, Response, bounded, classify
from relay.notify.content import AlertText, Content, content_of, fit, labels_line, left_out, web_url

MAX_TITLE: Final = 256
MAX_DESCRIPTION: Final = 4096
MAX_FOOTER: Final = 2048
MAX_EMBED: Final = 6000
"""https://discord.com/developers/docs/resources/message#embed-object-embed-limits; 6000 is over all embeds."""
MAX_USERNAME: Final = 80
REFUSED_IN_USERNAME: Final = ("clyde", "discord")
"""https://discord.com/developers/docs/resources/webhook#create-webhook"""
MAX_ALERT_TITLE: Final = 300
MAX_ALERT_DESCRIPTION: Final = 1000
MAX_LABELS: Final = 600
MAX_LINK: Final = 800

_markdown = re.compile(r"([\\*_~`|>#\[\]<@])")


class DiscordNotifier(Notifier[DiscordChannel]):
    """Discord."""

    def check(self, channel: DiscordChannel) -> None:
        """Discord limits the name, and refuses some."""
        name = channel.discord_username
        if name is not None and not 0 < len(name.strip()) <= len(name) <= MAX_USERNAME:
            raise InvalidInput("discord_username", f"must have 1 to {MAX_USERNAME} characters")
        if refused := [word for word in REFUSED_IN_USERNAME if word in (name or "").lower()]:
            raise InvalidInput("discord_username", f"must not hold `{refused[0]}`: Discord refuses it")
        if channel.discord_avatar_url is not None and web_url(channel.discord_avatar_url) is None:
            raise InvalidInput("discord_avatar_url", "must be a URL such as https://example.com/avatar.png")

    def request(self, channel: DiscordChannel, notification: Notification) -> Request:
        """One message with one embed in the severity's colour, and nobody who could be mentioned by it."""
        message: dict[str, Any] = {
            "embeds": [_embed(content_of(notification))],
            "allowed_mentions": {"parse": []},
        }
        overrides = {"username": channel.discord_username, "avatar_url": channel.discord_avatar_url}
        message |= {name: value for name, value in overrides.items() if value is not None}
        return Request(url=channel.webhook_url, body=msgspec.json.encode(message))

    def verdict(self, response: Response) -> Outcome:
        """A 429 says in its body, in fractions of a second, how long to wait."""
        outcome = classify(response)
        if isinstance(outcome, Retry) and outcome.reason is Reason.RATE_LIMITED:
            return msgspec.structs.replace(outcome, after=_retry_after(response.body) or outcome.after)
        return outcome


def escape(text: str) -> str:
    """Escape Discord's Markdown, so that text stays text."""
    return _markdown.sub(r"\\\1", text)


def _embed(content: Content) -> dict[str, Any]:
    embed: dict[str, Any] = {"title": fit(content.headline, MAX_TITLE, escape), "color": content.colour}
    footer = "\n".join(part for part in (labels_line(content.labels), content.truncated) if part)
    if footer:
        embed["footer"] = {"text": fit(footer, min(MAX_FOOTER, MAX_EMBED - MAX_TITLE - MAX_DESCRIPTION), str)}
    embed["description"] = _description(content)
    return embed


def _description(content: Content) -> str:
    # Not the embed's own `url`: Discord refuses the whole message for a host such as `alertmanager`.
    closing = " · ".join(_links(content.links))
    parts: list[str] = []
    room = MAX_DESCRIPTION - len(closing)
    for at, alert in enumerate(content.alerts):
        part = _alert(alert) + "\n\n"
        left = len(content.alerts) - at
        reserve = len(left_out(left)) + 2 if left > 1 else 0
        if len(part) + reserve > room:
            parts.append(left_out(left) + "\n\n")
            break
        parts.append(part)
        room -= len(part)
    return "".join([*parts, closing]).strip()


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


def _retry_after(body: bytes) -> float | None:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    seconds = answer.get("retry_after") if isinstance(answer, dict) else None
    return bounded(min(seconds, LONGEST_WAIT)) if isinstance(seconds, int | float) else None
