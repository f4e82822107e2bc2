"""Messages for Discord, over a webhook.

https://discord.com/developers/docs/resources/webhook#execute-webhook
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from relay.domain.channel_types import DiscordChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message
from relay.domain.outcomes import Outcome
from relay.notify.classify import accepted, unexpected
from relay.notify.message_edits import UNUSED_MESSAGE, edit_messages
from relay.notify.notifier import Notifier
from relay.notify.platforms.discord_errors import outcome_of_error
from relay.notify.platforms.discord_requests import announcement_requests, mention_fields, request, url_of
from relay.notify.requests import Request, Response
from relay.notify.text.content import MAX_ACKNOWLEDGED, AlertText, Content, content_of, labels_line, not_shown_line
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
MAX_THREAD_NAME: Final = 100
"""https://discord.com/developers/docs/resources/channel#start-thread-in-forum-or-media-channel"""
MAX_LINE: Final = 120
"""Characters of a summary line. Short lines waste little space at the end of a text."""
MAX_MENTION: Final = 30
"""Characters of a mention of a role, with the line break."""
MAX_LONG_LINE: Final = 300
"""Characters of a summary line that holds one fully escaped name."""
MAX_NOTE: Final = 600
MAX_ALERT_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_LINK: Final = 800
"""A link whose markup is longer is omitted."""
MAX_BODY: Final = 2000
SEPARATOR: Final = "\n\n"


_snowflake = re.compile(r"[0-9]{1,20}")


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
        _check_thread(channel)
        if channel.discord_mention_role is not None and not _snowflake.fullmatch(channel.discord_mention_role):
            raise InvalidInput("discord_mention_role", "must be the number of a role")
        if channel.discord_avatar_url is not None and web_url(channel.discord_avatar_url) is None:
            raise InvalidInput("discord_avatar_url", "must be a URL such as https://example.com/avatar.png")

    def requests(self, channel: DiscordChannel, message: Message) -> Sequence[Request]:
        """Messages of one embed in the color of the severity, without mentions.

        A digest is one message, with two embeds if it needs them. In a forum each message starts a post, so that
        there is only one.
        """
        content = content_of(message)
        max_messages = channel.max_messages if channel.discord_thread_name is None else 1
        bodies = [_digest_body(content)] if content.counts else _bodies(content, max_messages)
        overrides = {
            "username": channel.discord_username,
            "avatar_url": channel.discord_avatar_url,
            "thread_name": channel.discord_thread_name,
        }
        author: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}

        mention = mention_fields(channel, message)

        def with_mention(body: dict[str, Any]) -> dict[str, Any]:
            return body | mention | {"content": mention["content"] + body.get("content", "")} if mention else body

        def post(body: dict[str, Any]) -> Request:
            return request(url_of(channel), body | author)

        if isinstance(message, Digest) or not channel.update_message:
            return [post(with_mention(bodies[0])), *map(post, bodies[1:])]

        def post_and_wait(body: dict[str, Any]) -> Request:
            return request(url_of(channel, wait=True), body | author)

        def edit(reference: str, body: dict[str, Any]) -> Request:
            message_id, _, thread_id = reference.partition(" ")
            return request(url_of(channel, f"/messages/{message_id}", thread_id=thread_id), body, "PATCH")

        unused = {"embeds": [{"color": content.color, "description": UNUSED_MESSAGE}]}
        requests = edit_messages(message.message_refs, bodies, unused, post_and_wait, edit, with_mention)
        return [*requests, *announcement_requests(channel, message, mention)]

    def edit_destination(self, channel: DiscordChannel) -> str | None:
        """A webhook can edit its own messages."""
        thread = "" if channel.discord_thread_id is None else f" {channel.discord_thread_id}"
        return channel.webhook_url + thread if channel.update_message else None

    def verdict(self, request: Request, response: Response) -> Outcome:
        """Classify a response by its error code.

        The success is a message, which has an id, where the request waits for it, and else a 204.
        """
        if not 200 <= response.status < 300:
            return outcome_of_error(request, response)
        message = response.json_object()
        message_id, thread_id = message.get("id"), message.get("channel_id")
        if not _returns_message(request):
            return accepted(response) if response.status == HTTPStatus.NO_CONTENT else unexpected(response)
        if not isinstance(message_id, str) or not message_id.isdecimal():
            return unexpected(response)
        starts_thread = b'"thread_name":' in request.body and isinstance(thread_id, str) and thread_id.isdecimal()
        reference = f"{message_id} {thread_id}" if starts_thread else message_id
        return accepted(response, f"message {message_id}", (reference,))


def _check_thread(channel: DiscordChannel) -> None:
    thread_id, name = channel.discord_thread_id, channel.discord_thread_name
    if thread_id is not None and not _snowflake.fullmatch(thread_id):
        raise InvalidInput("discord_thread_id", "must be the number of a thread")
    if name is not None and not 0 < len(name.strip()) <= len(name) <= MAX_THREAD_NAME:
        raise InvalidInput("discord_thread_name", f"must have 1 to {MAX_THREAD_NAME} characters")
    in_url = "thread_id" in parse_qs(urlsplit(channel.webhook_url).query)
    if [thread_id is not None, name is not None, in_url].count(True) > 1:
        field = "discord_thread_name" if name is not None else "discord_thread_id"
        raise InvalidInput(field, "set only one: a thread's name, its id, or `thread_id` in the URL")


def _returns_message(request: Request) -> bool:
    """Whether the response is a message: of an edit, and of a post with `wait=true`."""
    waits = parse_qs(urlsplit(request.url).query).get("wait", [""])[-1].lower() in ("true", "1")
    return waits or request.method == "PATCH"


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
    sizes = [MAX_CONTENT - MAX_MENTION, MAX_DESCRIPTION, MAX_REST - reserved]
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
    times = " · ".join(part for part in (alert.times, fit(alert.acknowledged, MAX_ACKNOWLEDGED, escape)) if part)
    last = " · ".join([times, *_links(alert.links)])
    lines.append(last if len(last) <= left else times if len(times) <= left else alert.times)
    if text := fit(alert.description, min(description, left - len(lines[-1])), escape):
        lines.insert(1, text)
    return "\n".join(lines)


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    formatted = [DISCORD.link(text, url) for text, url in links]
    return [link for link in formatted if len(link) <= MAX_LINK]
