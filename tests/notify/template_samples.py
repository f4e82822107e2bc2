"""Templates for tests, and messages rendered with them."""

from typing import Any

import msgspec

from relay.domain.notifications import Message, Notification
from relay.domain.templates.message_templates import MessageTemplate, validate_message_template
from relay.notify.registry import NOTIFIERS
from relay.notify.templates.checks import check_parts
from relay.notify.templates.sandbox import render_parts
from relay.notify.text.payload import payload_of
from tests.notify.channel_types import ChannelType
from tests.notify.factories import channel
from tests.notify.strict.readers import READERS

MARK = "{{ '🔥' if alert.status == 'firing' else '✅' }} "
EVERYTHING = """
{% set note, label = alert.annotations, alert.labels %}
{% macro quoted(text) %}“{{ text }}”{% endmacro %}
{% set block %}{{ note.description or "" }}{% endset %}
{{ note.summary }} {{ note.description }} {{ label.huge }} {{ alert.alertname | bold }} {{ label.instance | code }}
{{ (note.summary or "there") | link(note.runbook_url or "") }} {{ quoted(note.summary) ~ alert.alertname }}
{{ block | truncate(200) }} {{ note.summary | upper | escape | escape }} {{ label | tojson }}
"""
"""Renders every text of an alert in every way that the sandbox allows."""


def template(**parts: Any) -> MessageTemplate:
    return validate_message_template(MessageTemplate(name="Ours", **parts))


def with_template(channel_type: ChannelType, message: Notification, **parts: str) -> Notification:
    """A message with its template rendered for a channel type."""
    check_parts(parts)
    data: Any = msgspec.json.decode(payload_of(message))
    return msgspec.structs.replace(message, rendered=render_parts(parts, NOTIFIERS[channel_type].markup, data))


def request_texts(channel_type: ChannelType, message: Message, **settings: Any) -> list[str]:
    """The text of each request, accepted by the strict reader."""
    requests = NOTIFIERS[channel_type].requests(channel(channel_type, **settings), message)
    return [READERS[channel_type](request.body) for request in requests]
