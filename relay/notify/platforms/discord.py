"""Messages for Discord, over a webhook.

https://discord.com/developers/docs/resources/webhook#execute-webhook
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay.domain.channel_types import DiscordChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message
from relay.domain.outcomes import Outcome, Reason, Rejected, Sent
from relay.notify.classify import classify, destination_gone
from relay.notify.message_edits import UNUSED_MESSAGE, edit_messages
from relay.notify.notifier import Notifier
from relay.notify.requests import Request, Response
from relay.notify.text.content import AlertText, Content, content_of, labels_line, not_shown_line
from relay.notify.text.markup import DISCORD
from relay.notify.text.markup import escape_markdown as escape
from relay.notify.text.pagination import (
    PAGE_NUMBER_LENGTH,
    SHORT_DESCRIPTION,
    Cost,
    MessagePage,
    Pages,
    paginate,
    rendered_alert_limit,
)
from relay.notify.text.plain_text import fit, web_url
from relay.notify.text.summary import SummaryLimits, summary_lines

MAX_CONTENT: Final = 2000
MAX_TITLE: Final = 256
MAX_DESCRIPTION: Final = 4096
MAX_FOOTER: Final = 2048
MAX_EMBED: Final = 6000
"""https://discord.com/developers/docs/resources/message#embed-object-embed-limits; 6000 is over all embeds."""
MAX_REST: Final = MAX_EMBED - MAX_TITLE - MAX_DESCRIPTION
MAX_USERNAME: Final = 80
REJECTED_IN_USERNAME: Final = ("clyde", "discord")
"""https://discord.com/developers/docs/resources/webhook#create-webhook"""
RATE_LIMIT: Final = RateLimit(per_second=0.5, burst=5)
"""30 messages a minute and 5 in two seconds per webhook, by its responses' headers; no page has the numbers.

https://discord.com/developers/docs/topics/rate-limits
"""
MESSAGE_GONE: Final = frozenset({10008, 30046, 50005, 50083})
"""Unknown message, too many edits of an old message, message of another author, archived thread.

https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes
"""
MAX_LINE: Final = 120
"""Characters of a summary line. Short lines waste little space at the end of a text."""
MAX_LONG_LINE: Final = 300
"""Characters of a summary line that holds one fully escaped name."""
MAX_NOTE: Final = 600
MAX_ALERT_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_LINK: Final = 800
"""A link whose markup is longer is omitted."""
MAX_BODY: Final = 2000
SEPARATOR: Final = "\n\n"


class DiscordNotifier(Notifier[DiscordChannel]):
    """Discord."""

    rate_limit = RATE_LIMIT
    markup = DISCORD

    def check(self, channel: DiscordChannel) -> None:
        """Check the user name and the avatar's URL."""
        name = channel.discord_username
        if name is not None and not 0 < len(name.strip()) <= len(name) <= MAX_USERNAME:
            raise InvalidInput("discord_username", f"must have 1 to {MAX_USERNAME} characters")
        if rejected := [word for word in REJECTED_IN_USERNAME if word in (name or "").lower()]:
            raise InvalidInput("discord_username", f"must not contain `{rejected[0]}`: Discord rejects it")
        if channel.discord_avatar_url is not None and web_url(channel.discord_avatar_url) is None:
            raise InvalidInput("discord_avatar_url", "must be a URL such as https://example.com/avatar.png")

    def requests(self, channel: DiscordChannel, message: Message) -> Sequence[Request]:
        """Messages of one embed in the color of the severity, without mentions.

        A digest is one message, with two embeds if it needs them.
        """
        content = content_of(message)
        bodies = [_digest_body(content)] if content.counts else _bodies(content, channel.max_messages)
        overrides = {"username": channel.discord_username, "avatar_url": channel.discord_avatar_url}
        author: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}

        def post(body: dict[str, Any]) -> Request:
            return _request(channel.webhook_url, body | author)

        if isinstance(message, Digest) or not channel.update_message:
            return [post(body) for body in bodies]

        def post_and_wait(body: dict[str, Any]) -> Request:
            return _request(_url(channel, wait=True), body | author)

        def edit(message_id: str, body: dict[str, Any]) -> Request:
            return _request(_url(channel, f"/messages/{message_id}"), body, "PATCH")

        unused = {"embeds": [{"color": content.color, "description": UNUSED_MESSAGE}]}
        return edit_messages(message.message_refs, bodies, unused, post_and_wait, edit)

    def edit_destination(self, channel: DiscordChannel) -> str | None:
        """A webhook can edit its own messages."""
        return channel.webhook_url if channel.update_message else None

    def verdict(self, response: Response) -> Outcome:
        """Classify a response. A 404 without a message error means that the webhook was deleted.

        https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
        """
        body = response.json_object()
        if body.get("code") in MESSAGE_GONE and 400 <= response.status < 500:
            return Rejected(Reason.MESSAGE_GONE, f"{response.status} {response.text}", response.status)
        if response.status == HTTPStatus.NOT_FOUND:
            return destination_gone(response)
        outcome, message_id = classify(response), body.get("id")
        if not isinstance(outcome, Sent) or not isinstance(message_id, str) or not message_id.isdecimal():
            return outcome
        return msgspec.structs.replace(outcome, detail=f"message {message_id}", message_refs=(message_id,))


def _request(url: str, body: dict[str, Any], method: str = "POST") -> Request:
    return Request(url=url, body=msgspec.json.encode(body | {"allowed_mentions": {"parse": []}}), method=method)


def _url(channel: DiscordChannel, path: str = "", *, wait: bool = False) -> str:
    """The webhook's URL, or one below it, with its query, which may name a thread.

    https://discord.com/developers/docs/resources/webhook#edit-webhook-message
    """
    base, _, query = channel.webhook_url.partition("?")
    query = "&".join(part for part in (query, "wait=true" if wait else "") if part)
    return base.rstrip("/") + path + (f"?{query}" if query else "")


def _bodies(content: Content, max_messages: int) -> list[dict[str, Any]]:
    start = [fit(note, MAX_NOTE, escape) for note in content.notes]
    rendered = [] if content.body is None else [DISCORD.cut(content.body, MAX_BODY)]
    fixed = [*start, *rendered, *_closing(content, content.total)]
    budget = MAX_DESCRIPTION - sum(len(part) + len(SEPARATOR) for part in fixed)
    pages = paginate(content, [(budget,)] * max_messages, _format_alert, _cost)
    return [_body(content, page, [*start, *(rendered if page.is_first else [])]) for page in pages]


def _body(content: Content, page: MessagePage[str], start: list[str]) -> dict[str, Any]:
    parts = [*start, *page.parts, *(_closing(content, page.not_shown) if page.is_last else [])]
    return {"embeds": _embeds(content, [SEPARATOR.join(parts)], page)}


def _cost(part: str) -> Cost:
    return (len(part) + len(SEPARATOR),)


def _embeds(content: Content, texts: list[str], page: MessagePage[str]) -> list[dict[str, Any]]:
    # Not the embed's own `url`: Discord rejects the whole message for a host such as `alertmanager`.
    embeds: list[dict[str, Any]] = [{"color": content.color, "description": text} for text in texts]
    embeds[0] = {"title": _title(content) + page.number} | embeds[0]
    labels, truncated = labels_line(content.labels), content.truncated if page.is_last else ""
    if labels or truncated:
        limit = min(MAX_FOOTER, MAX_REST) - len(truncated) - 1
        lines = (fit(labels, limit), truncated)
        embeds[-1]["footer"] = {"text": "\n".join(line for line in lines if line)}
    return embeds


def _title(content: Content) -> str:
    limit = MAX_TITLE - PAGE_NUMBER_LENGTH
    return DISCORD.cut(content.title, limit) if content.title else fit(content.headline, limit, escape)


def _closing(content: Content, not_shown: int) -> list[str]:
    links = _links(content.closing_links(not_shown))
    return [*([not_shown_line(not_shown)] if not_shown else []), *([" · ".join(links)] if links else [])]


def _digest_body(content: Content) -> dict[str, Any]:
    reserved = sum(len(part) + len(SEPARATOR) for part in _closing(content, content.total))
    pages, has_content = _digest_pages(content, reserved)
    shown = pages.fill(
        _format_alert(alert, SHORT_DESCRIPTION, MAX_DESCRIPTION) + SEPARATOR for alert in content.alerts
    )
    pages.extend((reserved,))
    for part in _closing(content, content.total - shown):
        pages.add(part + SEPARATOR)
    texts = ["".join(parts).strip() for parts in pages.pages]
    above = texts.pop(0) if has_content else ""
    embeds = _embeds(content, texts, MessagePage(parts=()))
    return {"content": above, "embeds": embeds} if above else {"embeds": embeds}


def _digest_pages(content: Content, reserved: int) -> tuple[Pages[str], bool]:
    """The texts of a digest, filled with its notes and its summary, and whether the first is the `content`.

    They are the descriptions of two embeds, and the message's `content` as well if that is needed to name every
    critical alert. The space `reserved` at the end is for what follows the alerts.
    """
    notes = [fit(note, MAX_NOTE, escape) + SEPARATOR for note in content.notes]
    sizes = [MAX_CONTENT, MAX_DESCRIPTION, MAX_REST - reserved]
    total = sum(sizes) - sum(map(len, notes))

    def fill(sizes: list[int], longest_line: int) -> tuple[Pages[str], bool]:
        """Pages of these sizes, and whether everything fits. At the end of a page up to one line is wasted."""
        limits = SummaryLimits(total=total - 2 * longest_line, line=MAX_LINE, escape=escape)
        pages: Pages[str] = Pages([(size,) for size in sizes], lambda part: (len(part),))
        lines = (line + "\n" for line in summary_lines(content.counts, limits))
        added = [pages.add(part) for part in (*notes, *lines, "\n")]
        return pages, all(added)

    pages, complete = fill(sizes[1:], MAX_LINE)
    if complete:
        return pages, False
    pages, complete = fill(sizes, MAX_LINE)
    return pages if complete else fill(sizes, MAX_LONG_LINE)[0], True


def _format_alert(alert: AlertText, description: int, limit: int) -> str:
    if alert.rendered:
        return DISCORD.cut(alert.rendered, rendered_alert_limit(description, limit - len(SEPARATOR)))
    lines = [f"{alert.mark} **{fit(alert.title, MAX_ALERT_TITLE, escape)}**"]
    if alert.labels:
        lines.append(fit(labels_line(alert.labels), MAX_LABELS, escape))
    left = limit - sum(len(line) + 1 for line in [*lines, SEPARATOR])
    last = " · ".join([alert.times, *_links(alert.links)])
    lines.append(last if len(last) <= left else alert.times)
    if text := fit(alert.description, min(description, left - len(lines[-1])), escape):
        lines.insert(1, text)
    return "\n".join(lines)


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    formatted = [DISCORD.link(text, url) for text, url in links]
    return [link for link in formatted if len(link) <= MAX_LINK]
