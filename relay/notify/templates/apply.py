"""In which words is a message told: those of its channel's templates, or the relay's own?

A template that fails, takes too long or makes too much gives way to the relay's own words, and a note says why.
"""

import msgspec

from relay.domain.notifications import Message, Notification
from relay.domain.templates.message_templates import MessageTemplate
from relay.notify.notifier import C, Notifier
from relay.notify.templates.child_process import BodyTask, PartsTask, RenderedBody, RenderedParts, RenderFailed
from relay.notify.templates.process_pool import ProcessPool
from relay.notify.text.payload import payload_of


class AppliedTemplates(msgspec.Struct, frozen=True):
    """A message, and whether a template made something of it. `notes` say which templates failed, and why."""

    message: Message
    templated: bool = False
    notes: tuple[str, ...] = ()


async def apply_templates(
    renderer: ProcessPool, notifier: Notifier[C], channel: C, message: Message, template: MessageTemplate | None
) -> AppliedTemplates:
    """Let the channel's templates make what they say of a message."""
    said = AppliedTemplates(message)
    if template is not None and isinstance(message, Notification):
        data = msgspec.json.encode(payload_of(message))
        match await renderer.render(PartsTask(template.parts, notifier.markup.name, data)):
            case RenderedParts(rendered):
                said = AppliedTemplates(msgspec.structs.replace(message, rendered=rendered), templated=True)
            case RenderFailed(words):
                note = f"the template {template.id!r} failed, the built-in message was sent: {words}"
                said = AppliedTemplates(message, notes=(note,))
    if (source := notifier.body_template(channel)) is not None:
        data = msgspec.json.encode(payload_of(said.message))
        match await renderer.render(BodyTask(source, data)):
            case RenderedBody(text):
                told = msgspec.structs.replace(said.message, body=text)
                said = AppliedTemplates(told, templated=True, notes=said.notes)
            case RenderFailed(words):
                note = f"custom_payload_template failed, the built-in body was sent: {words}"
                said = msgspec.structs.replace(said, notes=(*said.notes, note))
    return said
