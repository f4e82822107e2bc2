"""Requests to a Discord webhook: who is mentioned, and the message that makes an edit heard."""

from typing import Any, Final

import msgspec

from relay.domain.channel_types import DiscordChannel
from relay.domain.notifications import Message, Notification
from relay.notify.message_edits import announcing
from relay.notify.requests import Request
from relay.notify.text.announcements import MAX_LINE, announcement_text, is_mentioned
from relay.notify.text.markup import escape_markdown as escape
from relay.notify.text.plain_text import fit

MAX_TITLE: Final = 256
"""https://discord.com/developers/docs/resources/message#embed-object-embed-limits"""


def mention_fields(channel: DiscordChannel, message: Message) -> dict[str, Any]:
    """The fields of a message that mentions the channel's role; empty if it must not."""
    role = channel.discord_mention_role
    if role is None or not is_mentioned(message, channel.notify_on, channel.mention_severities):
        return {}
    return {"content": f"<@&{role}>\n", "allowed_mentions": {"parse": [], "roles": [role]}}


def announcement_requests(
    channel: DiscordChannel, message: Notification, mention: dict[str, Any]
) -> list[Request]:
    """The message after an edited one, in the same thread. A webhook cannot reply to a message.

    https://github.com/discord/discord-api-docs/issues/2251
    """
    announcement = announcement_text(message, channel.notify_on)
    if announcement is None:
        return []
    thread_id = message.message_refs[0].partition(" ")[2]
    lines = [fit(line, MAX_LINE, escape) for line in announcement.lines]
    embed: dict[str, Any] = {"title": fit(announcement.headline, MAX_TITLE, escape), "color": announcement.color}
    embed |= {"description": "\n".join(lines)} if lines else {}
    author = {"username": channel.discord_username, "avatar_url": channel.discord_avatar_url}
    body = {name: value for name, value in author.items() if value is not None} | {"embeds": [embed]} | mention
    return [announcing(request(url_of(channel, thread_id=thread_id, wait=True), body))]


def request(url: str, body: dict[str, Any], method: str = "POST") -> Request:
    """A request that mentions nobody, unless its body has `allowed_mentions`."""
    return Request(url=url, body=msgspec.json.encode({"allowed_mentions": {"parse": []}} | body), method=method)


def url_of(channel: DiscordChannel, path: str = "", *, thread_id: str = "", wait: bool = False) -> str:
    """The webhook's URL, or one below it, with its query, which may name a thread.

    https://discord.com/developers/docs/resources/webhook#edit-webhook-message
    """
    base, _, query = channel.webhook_url.partition("?")
    thread_id = thread_id or channel.discord_thread_id or ""
    parts = (query, f"thread_id={thread_id}" if thread_id else "", "wait=true" if wait else "")
    query = "&".join(part for part in parts if part)
    return (base.rstrip("/") + path if path else base) + (f"?{query}" if query else "")
