"""How is a message told on Discord, over a webhook?

https://discord.com/developers/docs/resources/webhook#execute-webhook
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay.domain.alerts import Status
from relay.domain.channel_types import DiscordChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message
from relay.domain.outcomes import Outcome, Reason, Rejected, Sent
from relay.notify.classify import classify, destination_gone
from relay.notify.message_edits import UNUSED_MESSAGE, edit_messages
from relay.notify.notifier import Notifier
from relay.notify.requests import Request, Response
from relay.notify.text.content import AlertText, Content, content_of, fit, labels_line, left_out, web_url
from relay.notify.text.markup import DISCORD
from relay.notify.text.markup import escape_markdown as escape
from relay.notify.text.pagination import NUMBER_ROOM, SHORT_DESCRIPTION, MessagePage, Space, paginate, shortened_to
from relay.notify.text.summary import Room, summary_lines

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
MESSAGE_GONE: Final = frozenset({10008, 30046, 50005, 50083})
"""An unknown message, one too old for more edits, one of another author, or one in a thread that is archived.

https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes
"""
MAX_LINE: Final = 120
"""Characters of a summary's line, so that little room is lost where a page ends."""
LONGEST_LINE: Final = 300
"""Characters of a line with one name that is all escapes."""
MAX_NOTE: Final = 600
MAX_ALERT_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_LINK: Final = 800
MAX_BODY: Final = 2000
BETWEEN: Final = "\n\n"


class DiscordNotifier(Notifier[DiscordChannel]):
    """Discord."""

    rate_limit = RATE_LIMIT
    markup = DISCORD

    def check(self, channel: DiscordChannel) -> None:
        """Discord limits the name, and refuses some."""
        name = channel.discord_username
        if name is not None and not 0 < len(name.strip()) <= len(name) <= MAX_USERNAME:
            raise InvalidInput("discord_username", f"must have 1 to {MAX_USERNAME} characters")
        if refused := [word for word in REFUSED_IN_USERNAME if word in (name or "").lower()]:
            raise InvalidInput("discord_username", f"must not hold `{refused[0]}`: Discord refuses it")
        if channel.discord_avatar_url is not None and web_url(channel.discord_avatar_url) is None:
            raise InvalidInput("discord_avatar_url", "must be a URL such as https://example.com/avatar.png")

    def requests(self, channel: DiscordChannel, message: Message) -> Sequence[Request]:
        """Embeds in the severity's colour, one a message, and nobody who could be mentioned.

        A digest is one message, of two embeds if it needs them.
        """
        content = content_of(message)
        bodies = [_digest(content)] if content.counts else _bodies(content, channel.max_messages)
        overrides = {"username": channel.discord_username, "avatar_url": channel.discord_avatar_url}
        given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}

        def post(body: dict[str, Any]) -> Request:
            return _request(channel.webhook_url, body | given)

        if isinstance(message, Digest) or not channel.update_message:
            return [post(body) for body in bodies]

        def post_and_wait(body: dict[str, Any]) -> Request:
            return _request(_url(channel, wait=True), body | given)

        def edit(message_id: str, body: dict[str, Any]) -> Request:
            return _request(_url(channel, f"/messages/{message_id}"), body, "PATCH")

        emptied = {"embeds": [{"color": content.colour, "description": UNUSED_MESSAGE}]}
        return edit_messages(message.message_refs, bodies, emptied, post_and_wait, edit)

    def edit_destination(self, channel: DiscordChannel) -> str | None:
        """A webhook can edit what it posted."""
        return channel.webhook_url if channel.update_message else None

    def verdict(self, response: Response) -> Outcome:
        """After a 404 a webhook is gone, and Discord wants no more requests to it; or a message of it is gone."""
        answer = response.json_object()
        if answer.get("code") in MESSAGE_GONE and 400 <= response.status < 500:
            return Rejected(Reason.MESSAGE_GONE, f"{response.status} {response.text}", response.status)
        if response.status == HTTPStatus.NOT_FOUND:
            return destination_gone(response)
        outcome, message_id = classify(response), answer.get("id")
        if not isinstance(outcome, Sent) or not isinstance(message_id, str) or not message_id.isdecimal():
            return outcome
        return msgspec.structs.replace(outcome, detail=f"message {message_id}", message_refs=(message_id,))


def _request(url: str, body: dict[str, Any], method: str = "POST") -> Request:
    return Request(url=url, body=msgspec.json.encode(body | {"allowed_mentions": {"parse": []}}), method=method)


def _url(channel: DiscordChannel, path: str = "", *, wait: bool = False) -> str:
    """The webhook's URL, or one below it; what it asks for, such as a thread, is kept.

    https://discord.com/developers/docs/resources/webhook#edit-webhook-message
    """
    address, _, asked = channel.webhook_url.partition("?")
    query = "&".join(part for part in (asked, "wait=true" if wait else "") if part)
    return address.rstrip("/") + path + (f"?{query}" if query else "")


class _Texts:
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


def _bodies(content: Content, max_messages: int) -> list[dict[str, Any]]:
    start = [fit(note, MAX_NOTE, escape) for note in content.notes]
    told = [] if content.body is None else [DISCORD.cut(content.body, MAX_BODY)]
    around = [*start, *told, *_closing(content, content.total)]
    size = MAX_DESCRIPTION - sum(len(part) + len(BETWEEN) for part in around)

    def write(alert: AlertText, description: int) -> str:
        return _alert(alert, description, size)

    pages = paginate(content, max_messages, Space(size=size), write, lambda alert: len(alert) + len(BETWEEN))
    return [_body(content, page, [*start, *(told if page.is_first else [])]) for page in pages]


def _body(content: Content, page: MessagePage[str], start: list[str]) -> dict[str, Any]:
    parts = [*start, *page.alerts, *(_closing(content, page.left_out) if page.is_last else [])]
    return {"embeds": _embeds(content, [BETWEEN.join(parts)], page)}


def _embeds(content: Content, texts: list[str], page: MessagePage[str]) -> list[dict[str, Any]]:
    # Not the embed's own `url`: Discord refuses the whole message for a host such as `alertmanager`.
    embeds: list[dict[str, Any]] = [{"color": content.colour, "description": text} for text in texts]
    embeds[0] = {"title": _title(content) + page.number} | embeds[0]
    footer = [labels_line(content.labels), content.truncated if page.is_last else ""]
    if any(footer):
        room = min(MAX_FOOTER, MAX_REST) - len(footer[1]) - 1
        embeds[-1]["footer"] = {"text": "\n".join(part for part in (fit(footer[0], room), footer[1]) if part)}
    return embeds


def _title(content: Content) -> str:
    limit = MAX_TITLE - NUMBER_ROOM
    return DISCORD.cut(content.title, limit) if content.title else fit(content.headline, limit, escape)


def _closing(content: Content, left: int) -> list[str]:
    links = _links(content.links_after(left))
    return [*([left_out(left)] if left else []), *([" · ".join(links)] if links else [])]


def _digest(content: Content) -> dict[str, Any]:
    end = sum(len(part) + len(BETWEEN) for part in _closing(content, content.total))
    texts = _begun(content, end)
    shown = 0
    while shown < len(content.alerts) and texts.add(
        _alert(content.alerts[shown], SHORT_DESCRIPTION, MAX_DESCRIPTION) + BETWEEN
    ):
        shown += 1
    texts.sizes[-1] += end
    for part in _closing(content, content.total - shown):
        texts.add(part + BETWEEN)
    written = [text.strip() for text in texts.texts]
    above = written.pop(0) if texts.sizes[0] == MAX_CONTENT else ""
    embeds = _embeds(content, written, MessagePage(alerts=()))
    return {"content": above, "embeds": embeds} if above else {"embeds": embeds}


def _begun(content: Content, end: int) -> _Texts:
    """A digest's texts, with what comes before its alerts; `end` is what comes after them.

    It takes a second embed, and the message's own text if nothing less holds the names it must say.
    """
    notes = [fit(note, MAX_NOTE, escape) + BETWEEN for note in content.notes]
    sizes = [MAX_CONTENT, MAX_DESCRIPTION, MAX_REST - end]
    room = sum(sizes) - sum(map(len, notes))

    def parts(lost: int) -> list[str]:
        limits = Room(total=room - (len(sizes) - 1) * lost, line=MAX_LINE, escape=escape)
        return [*notes, *(line + "\n" for line in summary_lines(content.counts, limits)), "\n"]

    texts, whole = _filled(sizes[1:], parts(MAX_LINE))
    if not whole:
        texts, whole = _filled(sizes, parts(MAX_LINE))
    if not whole:
        texts, _ = _filled(sizes, parts(LONGEST_LINE))
    return texts


def _filled(sizes: list[int], parts: list[str]) -> tuple[_Texts, bool]:
    texts = _Texts(list(sizes))
    return texts, [texts.add(part) for part in parts].count(False) == 0


def _alert(alert: AlertText, description: int, limit: int) -> str:
    if alert.rendered:
        return DISCORD.cut(alert.rendered, shortened_to(description, limit - len(BETWEEN)))
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    lines = [f"{mark} **{fit(alert.title, MAX_ALERT_TITLE, escape)}**"]
    if alert.labels:
        lines.append(fit(labels_line(alert.labels), MAX_LABELS, escape))
    left = limit - sum(len(line) + 1 for line in [*lines, BETWEEN])
    last = " · ".join([alert.times, *_links(alert.links)])
    lines.append(last if len(last) <= left else alert.times)
    if told := fit(alert.description, min(description, left - len(lines[-1])), escape):
        lines.insert(1, told)
    return "\n".join(lines)


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    written = [f"[{text}]({url.replace('(', '%28').replace(')', '%29')})" for text, url in links]
    return [link for link in written if len(link) <= MAX_LINK]
