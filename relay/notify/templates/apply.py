"""Application of a channel's templates to a message.

If a template fails, takes too long or produces too much, the built-in text is used, and a note contains the error.
"""

import msgspec

from relay.domain.notifications import Message, Notification
from relay.domain.templates.message_templates import MessageTemplate
from relay.notify.notifier import C, Notifier
from relay.notify.templates.child_process import BodyTask, PartsTask, RenderedBody, RenderedParts, RenderFailed
from relay.notify.templates.process_pool import ProcessPool
from relay.notify.text.large import on_thread_if_large
from relay.notify.text.payload import payload_of


class AppliedTemplates(msgspec.Struct, frozen=True):
    """A message, whether a template rendered any of it, and the errors of failed templates."""

    message: Message
    templated: bool = False
    notes: tuple[str, ...] = ()


async def apply_templates(
    pool: ProcessPool, notifier: Notifier[C], channel: C, message: Message, template: MessageTemplate | None
) -> AppliedTemplates:
    """Render the message template, if there is one, and the channel's template for the whole body."""
    applied = AppliedTemplates(message)
    if template is not None and isinstance(message, Notification):
        data = await on_thread_if_large(payload_of, message)
        match await pool.render(PartsTask(template.parts, notifier.markup.name, data)):
            case RenderedParts(rendered):
                applied = AppliedTemplates(msgspec.structs.replace(message, rendered=rendered), templated=True)
            case RenderFailed(error):
                note = f"the template {template.id!r} failed, the built-in message was sent: {error}"
                applied = AppliedTemplates(message, notes=(note,))
    if (source := notifier.body_template(channel)) is not None:
        data = await on_thread_if_large(payload_of, applied.message)
        match await pool.render(BodyTask(source, data)):
            case RenderedBody(text):
                with_body = msgspec.structs.replace(applied.message, body=text)
                applied = AppliedTemplates(with_body, templated=True, notes=applied.notes)
            case RenderFailed(error):
                note = f"custom_payload_template failed, the built-in body was sent: {error}"
                applied = msgspec.structs.replace(applied, notes=(*applied.notes, note))
    return applied
