"""Delivery of a templated message that the platform rejects, possibly after some of its requests."""

import json
import re
from typing import Any

from aiohttp import web

from relay.domain.channel_types import PagerDutyChannel, TeamsChannel, TelegramChannel
from relay.domain.notifications import Notification
from relay.domain.outcomes import Outcome, Rejected, Retry, Sent
from relay.domain.templates.message_templates import MessageTemplate
from relay.notify.registry import NOTIFIERS
from tests.fixtures.sink import Sink, success
from tests.notify.channel_types import ChannelType
from tests.notify.factories import alert, channel, notification
from tests.notify.sending import local_sender
from tests.notify.template_samples import template

TEMPLATE = template(
    title="Ours",
    # Renders differently each time, like a template with the duration of an alert.
    alert="ours {{ alert.labels.instance }} {{ range(100000) | random }} {{ 'x' * 1500 }}",
)
NOTE = "the platform rejected the template's message ("


async def send_with_template(
    sink: Sink,
    channel_type: ChannelType,
    message: Notification,
    progress: str | None = None,
    message_template: MessageTemplate = TEMPLATE,
) -> Outcome:
    async with local_sender() as sender:
        return await sender.attempt(
            NOTIFIERS[channel_type], channel(channel_type, sink.url), message, progress, template=message_template
        )


def group(count: int) -> Notification:
    return notification(*[alert(instance=f"db{at}") for at in range(count)])


def bodies(sink: Sink) -> list[Any]:
    return [request.json for request in sink.received]


async def test_messages_already_sent_are_edited_to_the_built_in_content(sink: Sink) -> None:
    rejection = {"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities"}
    message_ids = iter(range(7, 99))

    def respond(request: web.Request) -> web.Response:
        text = bodies(sink)[-1]["text"]
        if "ours db4" in text:
            return web.json_response(rejection, status=400)
        return web.json_response({"ok": True, "result": {"message_id": next(message_ids)}})

    sink.script = respond
    outcome = await send_with_template(sink, TelegramChannel, group(5))

    assert isinstance(outcome, Sent)
    assert (outcome.detail or "").startswith(f"{NOTE}part 3 of 3: 400 ")
    calls = [(request.path.rpartition("/")[2], request.json.get("message_id")) for request in sink.received]
    assert calls[:3] == [("sendMessage", None)] * 3
    # The built-in content needs one message: the first is edited to it, and the second is cleared.
    assert calls[3:] == [("editMessageText", 7), ("editMessageText", 8)]
    assert bodies(sink)[3]["text"].startswith("<b>[FIRING:5] DiskFull</b>")


async def test_a_rejected_event_is_sent_built_in_and_the_others_once(sink: Sink) -> None:
    async def respond(request: web.Request) -> web.StreamResponse:
        if "ours db1" in bodies(sink)[-1]["payload"]["summary"]:
            return web.json_response({"status": "invalid event"}, status=400)
        return await success(request)

    sink.script = respond
    outcome = await send_with_template(sink, PagerDutyChannel, group(3))

    assert isinstance(outcome, Sent)
    assert (outcome.detail or "").startswith(NOTE)
    summaries = [body["payload"]["summary"][:13] for body in bodies(sink)]
    assert summaries == ["Ours: ours db", "Ours: ours db", "DiskFull is f", "Ours: ours db"]


async def test_a_retry_after_a_rejection_continues_with_the_built_in_message(sink: Sink) -> None:
    statuses = iter([400, 503, 200])
    sink.script = lambda _: web.Response(status=next(statuses))

    first = await send_with_template(sink, TeamsChannel, group(1))
    assert isinstance(first, Retry)
    assert first.detail.startswith(NOTE)
    assert isinstance(await send_with_template(sink, TeamsChannel, group(1), first.progress), Sent)

    assert ["ours db0" in request.body.decode() for request in sink.received] == [True, False, False]


async def test_parts_of_a_template_that_were_sent_are_not_sent_again(sink: Sink) -> None:
    statuses = iter([200, 503, 200, 200, 200])
    sink.script = lambda _: web.Response(status=next(statuses))

    first = await send_with_template(sink, TeamsChannel, group(30))
    assert isinstance(first, Retry)
    assert isinstance(await send_with_template(sink, TeamsChannel, group(30), first.progress), Sent)

    instances = [re.findall(r"ours (db\d+)", request.body.decode()) for request in sink.received]
    assert instances[1] == instances[2]
    sent = [name for names in [instances[0], *instances[2:]] for name in names]
    assert sent == [f"db{at}" for at in range(len(sent))]


async def test_a_rejected_built_in_message_reports_both_reasons(sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text="never")
    outcome = await send_with_template(sink, TeamsChannel, group(1))
    assert isinstance(outcome, Rejected)
    assert outcome.detail == f"{NOTE}400 never); the built-in message was sent instead; 400 never"
    assert len(sink.received) == 2
    assert "ours" not in json.dumps(sink.received[1].json)
