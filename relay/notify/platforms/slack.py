"""How is a message told on Slack, over an incoming webhook or by a bot?

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/reference/methods/chat.postMessage
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.alerts import Status
from relay.domain.channel_types import RateLimit, SlackChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message
from relay.domain.outcomes import Outcome, Reason, Rejected, Sent
from relay.notify.classify import classify, destination_gone, retry
from relay.notify.message_edits import UNUSED_MESSAGE, edit_messages
from relay.notify.notifier import Notifier, require_url_without_secrets
from relay.notify.requests import Request, Response
from relay.notify.text.content import AlertText, Content, content_of, fit, labels_line, left_out, unaddressed
from relay.notify.text.markup import SLACK, escape_all, escape_entities
from relay.notify.text.pagination import NUMBER_ROOM, MessagePage, Space, paginate, shortened_to
from relay.notify.text.summary import Room, summary_lines

MAX_SECTION: Final = 3000
"""Characters of a section's text. https://docs.slack.dev/reference/block-kit/blocks/section-block"""
MAX_BLOCKS: Final = 50
"""Blocks of a message. https://docs.slack.dev/reference/block-kit/blocks"""
MAX_TEXT: Final = 12_000
"""Characters over all blocks; about 13,200 are refused as msg_blocks_too_long, which no page says."""
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
"""One message a second, "short bursts" allowed. https://docs.slack.dev/apis/web-api/rate-limits"""
MAX_HEADLINE: Final = 300 - NUMBER_ROOM
MAX_NOTE: Final = 600
MAX_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_LINK: Final = 800
"""A link that is longer as written is left out: it would take the room of the words."""

RATE_LIMITED: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
AUTH_ERRORS: Final = frozenset(
    {
        "access_denied",
        "accesslimited",
        "account_inactive",
        "action_prohibited",
        "ekm_access_denied",
        "invalid_auth",
        "invalid_token",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "posting_to_general_channel_denied",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
SERVER_ERRORS: Final = frozenset(
    {
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
        "update_failed",
    }
)
"""https://docs.slack.dev/reference/methods/chat.postMessage#errors"""
GONE: Final = frozenset(
    {
        "channel_is_archived",
        "channel_not_found",
        "is_archived",
        "is_inactive",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "user_not_found",
    }
)
"""https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors"""
MESSAGE_GONE: Final = frozenset(
    {"cant_update_message", "edit_window_closed", "message_not_found", "thread_not_found"}
)
"""https://docs.slack.dev/reference/methods/chat.update#errors"""
QUIET: Final = {"unfurl_links": False, "unfurl_media": False}
MAX_WORDS: Final = 200
"""Characters of a refusal in which its word is looked for."""

_bot_token = re.compile(r"xox[a-z]-[A-Za-z0-9-]{6,250}")
_word = re.compile(r"[a-z_]+")


class SlackNotifier(Notifier[SlackChannel]):
    """Slack, and servers that speak its incoming webhooks."""

    rate_limit = RATE_LIMIT
    markup = SLACK

    def check(self, channel: SlackChannel) -> None:
        """A webhook or a bot, and a bot needs a channel."""
        if (channel.webhook_url is None) == (channel.bot_token is None):
            raise InvalidInput("webhook_url", "give either this, or `bot_token` and `slack_channel`")
        require_url_without_secrets("slack_api_url", channel.slack_api_url)
        if channel.bot_token is None:
            return
        if not _bot_token.fullmatch(channel.bot_token):
            raise InvalidInput("bot_token", "must look like xoxb-… as Slack shows it below OAuth & Permissions")
        if not channel.slack_channel:
            raise InvalidInput(
                "slack_channel", "is needed with a bot: the channel's id, such as C0123456789, or #name"
            )

    def urls(self, channel: SlackChannel) -> dict[str, str]:
        """The webhook's, or the API's."""
        if channel.webhook_url is None:
            return {"slack_api_url": channel.slack_api_url}
        return {"webhook_url": channel.webhook_url}

    def edit_destination(self, channel: SlackChannel) -> str | None:
        """A bot can edit what it posted."""
        if channel.bot_token is None or not channel.update_message:
            return None
        return f"{channel.slack_api_url} {channel.slack_channel}"

    def requests(self, channel: SlackChannel, message: Message) -> Sequence[Request]:
        """Messages of a headline, and alerts in an attachment that carries the severity's colour."""
        content = content_of(message)
        overrides = {
            "channel": channel.slack_channel,
            "username": channel.slack_username,
            "icon_emoji": channel.slack_icon_emoji,
        }
        given = {name: value for name, value in overrides.items() if value is not None}
        bodies = _bodies(content, channel.max_messages)
        if channel.webhook_url is not None:
            return [Request(url=channel.webhook_url, body=msgspec.json.encode(body | given)) for body in bodies]

        def post(body: dict[str, Any]) -> Request:
            return _call(channel, "chat.postMessage", body | given | QUIET)

        def edit(reference: str, body: dict[str, Any]) -> Request:
            posted_to, _, ts = reference.partition(" ")
            return _call(channel, "chat.update", body | {"channel": posted_to, "ts": ts, "parse": "none"})

        if isinstance(message, Digest) or self.edit_destination(channel) is None:
            return [post(body) for body in bodies]
        requests = edit_messages(
            message.message_refs, bodies, {"text": UNUSED_MESSAGE, "attachments": []}, post, edit
        )
        if channel.slack_reply_resolved and content.status is Status.RESOLVED and any(message.message_refs[:1]):
            posted_to, _, ts = message.message_refs[0].partition(" ")
            reply = {"channel": posted_to, "thread_ts": ts, "text": _headline(content)}
            replying = _call(channel, "chat.postMessage", reply)
            requests.append(msgspec.structs.replace(replying, optional=True))
        return requests

    def verdict(self, response: Response) -> Outcome:
        """Slack names the error in a word, and may refuse inside a 200: `{"ok": false, "error": "…"}`."""
        if 200 <= response.status < 300:
            answer = response.json_object()
            if answer.get("ok") is False:
                return _outcome_of(str(answer.get("error", "unknown_error")), response)
            return _accepted(classify(response), answer)
        if 400 <= response.status < 500 and not GONE.isdisjoint(_word.findall(response.text[:MAX_WORDS])):
            return destination_gone(response)
        return classify(response)


def _text(text: str, limit: int) -> str:
    """Text that mentions nobody, escaped, of at most `limit`."""
    return fit(unaddressed(text[: max(limit, 0) + 1]), limit, escape_all)


def _bodies(content: Content, max_messages: int) -> list[dict[str, Any]]:
    start, told = _start(content), _told(content)
    around = [*start, *told, *_closing(content, content.total)]
    room = MAX_TEXT - sum(map(_length, around))
    summary: list[dict[str, Any]] = []
    if content.counts:
        limits = Room(total=room, line=MAX_SECTION, escape=escape_all)
        summary = [_section(line) for line in summary_lines(content.counts, limits)]
        room -= sum(map(_length, summary))
    space = Space(size=room, alerts=MAX_BLOCKS - len(around) - len(summary))
    pages = paginate(content, max_messages, space, _alert, _length)
    return [
        _body(content, page, [*start, *(told if page.is_first else []), *summary, *page.alerts]) for page in pages
    ]


def _body(content: Content, page: MessagePage[dict[str, Any]], blocks: list[dict[str, Any]]) -> dict[str, Any]:
    headline = _headline(content, page.number)
    if page.is_last:
        blocks += _closing(content, page.left_out)
    attachment = {"color": f"#{content.colour:06X}", "fallback": headline, "blocks": blocks}
    return {"text": headline, "attachments": [attachment]}


def _headline(content: Content, number: str = "") -> str:
    if content.title:
        title = SLACK.cut(content.title, MAX_HEADLINE) + number
        return title if "*" in title else f"*{title}*"  # what is bold in part can't be so in whole
    return f"*{_text(content.headline, MAX_HEADLINE)}{number}*"


def _start(content: Content) -> list[dict[str, Any]]:
    blocks = [_context(_text(note, MAX_NOTE)) for note in content.notes]
    if content.labels:
        blocks.append(_context(_text(labels_line(content.labels), MAX_LABELS)))
    return blocks


def _told(content: Content) -> list[dict[str, Any]]:
    return [] if content.body is None else [_section(SLACK.cut(content.body, MAX_SECTION))]


def _alert(alert: AlertText, description: int) -> dict[str, Any]:
    if alert.rendered:
        return _section(SLACK.cut(alert.rendered, shortened_to(description, MAX_SECTION)))
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    lines = [f"{mark} *{_text(alert.title, MAX_TITLE)}*"]
    if alert.labels:
        labels = labels_line(alert.labels).replace("`", "'").replace("\n", " ")
        # Names in code mention nobody, and can be copied.
        lines.append(f"`{fit(labels, MAX_LABELS, escape_entities)}`")
    lines.append(" · ".join([alert.times, *_links(alert.links)]))
    room = min(description, MAX_SECTION - len("\n".join([*lines, ""])))
    if told := _text(alert.description, room):
        lines.insert(1, told)
    return _section("\n".join(lines))


def _closing(content: Content, left: int) -> list[dict[str, Any]]:
    links = _links(content.links_after(left))
    parts = [*([content.truncated] if content.truncated else []), *links]
    lines = [*([left_out(left)] if left else []), *([" · ".join(parts)] if parts else [])]
    return [_context(line) for line in lines]


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    written = [f"<{escape_entities(url)}|{text}>" for text, url in links]
    return [link for link in written if len(link) <= MAX_LINK]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _length(block: dict[str, Any]) -> int:
    return len(block["text"]["text"] if "text" in block else block["elements"][0]["text"])


def _call(channel: SlackChannel, method: str, arguments: dict[str, Any]) -> Request:
    """https://docs.slack.dev/apis/web-api/#json-encoded-bodies"""
    return Request(
        url=f"{channel.slack_api_url.rstrip('/')}/{method}",
        body=msgspec.json.encode(arguments),
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Bearer {channel.bot_token}",
        },
    )


def _accepted(outcome: Outcome, answer: dict[str, Any]) -> Outcome:
    """A yes; the Web API says where the message is, which a webhook does not."""
    posted_to, ts = answer.get("channel"), answer.get("ts")
    if not isinstance(outcome, Sent) or not isinstance(posted_to, str) or not isinstance(ts, str):
        return outcome
    return msgspec.structs.replace(
        outcome, detail=f"message {ts} in {posted_to}", message_refs=(f"{posted_to} {ts}",)
    )


def _outcome_of(error: str, response: Response) -> Outcome:
    kinds = (
        (RATE_LIMITED, Reason.RATE_LIMITED),
        (SERVER_ERRORS, Reason.SERVER_ERROR),
        (AUTH_ERRORS, Reason.AUTH_ERROR),
        (GONE, Reason.DESTINATION_GONE),
    )
    if error in MESSAGE_GONE:
        return Rejected(Reason.MESSAGE_GONE, error, response.status)
    for errors, reason in kinds:
        if error in errors:
            return retry(reason, error, response)
    return Rejected(Reason.CLIENT_ERROR, error, response.status)
