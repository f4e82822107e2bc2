"""What is a message template: people's own words for the title, the body and each alert of a message?"""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from relay.domain.channels import MAX_NAME, require_id, slug
from relay.domain.errors import InvalidInput
from relay.domain.fields import field_and_message, require_storable

PARTS: Final = ("title", "body", "alert")
MAX_PART: Final = 16 * 1024
"""Characters of a part's text."""
MAX_DESCRIPTION: Final = 2000

IGNORED: Final = "; what is sent is ignored"


class TemplateContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a template says, in Jinja. A part that is None keeps the relay's own words.

    `title` stands for the headline, `body` before the alerts, and `alert` is written once for each alert.
    """

    name: str
    description: str = ""
    title: str | None = None
    body: str | None = None
    alert: str | None = None

    @property
    def parts(self) -> dict[str, str]:
        """The parts that it has, by name."""
        given = {name: getattr(self, name) for name in PARTS}
        return {name: text for name, text in given.items() if text is not None}


class MessageTemplate(TemplateContent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template as it is now."""

    id: str = ""
    version: Annotated[int, msgspec.Meta(description=f"Counts up with every change{IGNORED}.")] = 0
    updated_at: Annotated[datetime | None, msgspec.Meta(description=f"When it was changed last{IGNORED}.")] = None


class TemplateVersion(TemplateContent, frozen=True, kw_only=True):
    """A template as it was, from a moment on."""

    version: int
    created_at: datetime


def parse_message_template(data: Any) -> MessageTemplate:
    """Read a template from JSON data; `checked` says whether it makes sense.

    Raises:
        InvalidInput: names the field.
    """
    try:
        return msgspec.convert(data, MessageTemplate)
    except msgspec.ValidationError as error:
        raise InvalidInput(*field_and_message(error)) from None


def validate_message_template(template: MessageTemplate) -> MessageTemplate:
    """The template with its id, if that was left out. What its parts say is not looked at.

    Raises:
        InvalidInput: names the field.
    """
    require_storable(msgspec.to_builtins(template))
    if not template.name.strip():
        raise InvalidInput("name", "must not be empty")
    limits = {"name": MAX_NAME, "description": MAX_DESCRIPTION} | dict.fromkeys(PARTS, MAX_PART)
    for field, limit in limits.items():
        if len(getattr(template, field) or "") > limit:
            raise InvalidInput(field, f"must not be longer than {limit} characters")
    template_id = template.id or slug(template.name)
    require_id(template_id)
    if not template.parts:
        raise InvalidInput("", f"give at least one of {', '.join(PARTS)}")
    for field, text in template.parts.items():
        if not text.strip():
            raise InvalidInput(field, "must not be empty; leave it out to keep the relay's own words")
    return msgspec.structs.replace(template, id=template_id)
