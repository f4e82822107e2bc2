"""What do these tests tell in words of a template's own?"""

from typing import Any

import msgspec

from relay.domain.notifications import Message, Notification
from relay.domain.templates.message_templates import MessageTemplate, validate_message_template
from relay.notify.registry import NOTIFIERS
from relay.notify.templates.sandbox import check_parts, render_parts
from relay.notify.text.payload import payload_of
from tests.notify.channel_types import ChannelType
from tests.notify.factories import channel
from tests.notify.strict.readers import READERS

MARK = "{{ '🔥' if alert.status == 'firing' else '✅' }} "
EVERYTHING = """
{% set told, label = alert.annotations, alert.labels %}
{% macro quoted(text) %}“{{ text }}”{% endmacro %}
{% set block %}{{ told.description or "" }}{% endset %}
{{ told.summary }} {{ told.description }} {{ label.huge }} {{ alert.alertname | bold }} {{ label.instance | code }}
{{ (told.summary or "there") | link(told.runbook_url or "") }} {{ quoted(told.summary) ~ alert.alertname }}
{{ block | truncate(200) }} {{ told.summary | upper | escape | escape }} {{ label | tojson }}
"""
"""Prints all that an alert has, by each way that leads to the page."""


def template(**parts: Any) -> MessageTemplate:
    return validate_message_template(MessageTemplate(name="Ours", **parts))


def with_template(channel_type: ChannelType, message: Notification, **parts: str) -> Notification:
    """A message with what a template makes of it for a type."""
    check_parts(parts)
    data: Any = msgspec.json.decode(msgspec.json.encode(payload_of(message)))
    return msgspec.structs.replace(message, rendered=render_parts(parts, NOTIFIERS[channel_type].markup, data))


def read(channel_type: ChannelType, message: Message, **settings: Any) -> list[str]:
    """What the platform's strict reader makes of each request."""
    requests = NOTIFIERS[channel_type].requests(channel(channel_type, **settings), message)
    return [READERS[channel_type](request.body) for request in requests]
