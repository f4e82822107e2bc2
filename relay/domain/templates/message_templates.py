"""Message templates: custom text for the title, the body and each alert of a message."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from relay.domain.channels import MAX_NAME, require_id, slug
from relay.domain.errors import InvalidInput
from relay.domain.fields import field_and_message, require_storable

PARTS: Final = ("title", "body", "alert")
MAX_PART: Final = 16 * 1024
"""Characters in a part."""
MAX_DESCRIPTION: Final = 2000

IGNORED: Final = "; ignored in requests"


class TemplateContent(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a template, in Jinja. The built-in text is used for a part that is None.

    `title` replaces the headline, `body` precedes the alerts, and `alert` is rendered once per alert.
    """

    name: str
    description: str = ""
    title: str | None = None
    body: str | None = None
    alert: str | None = None

    @property
    def parts(self) -> dict[str, str]:
        """The parts that are set, by name."""
        given = {name: getattr(self, name) for name in PARTS}
        return {name: text for name, text in given.items() if text is not None}


class MessageTemplate(TemplateContent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The current version of a template, of a tenant or of none."""

    id: str = ""
    tenant_id: str | None = None
    version: Annotated[int, msgspec.Meta(description=f"Increases with every change{IGNORED}.")] = 0
    updated_at: Annotated[datetime | None, msgspec.Meta(description=f"The time of the last change{IGNORED}.")] = (
        None
    )


class TemplateVersion(TemplateContent, frozen=True, kw_only=True):
    """One version of a template, in use from `created_at`."""

    version: int
    created_at: datetime


def parse_message_template(data: Any) -> MessageTemplate:
    """Parse a template from JSON data; `validate_message_template` validates it.

    Raises:
        InvalidInput: the data has the wrong shape; names the field.
    """
    try:
        return msgspec.convert(data, MessageTemplate)
    except msgspec.ValidationError as error:
        raise InvalidInput(*field_and_message(error)) from None


def validate_message_template(template: MessageTemplate) -> MessageTemplate:
    """Validate a template except for the Jinja in its parts; return it with its id.

    Raises:
        InvalidInput: the template is invalid; names the field.
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
        raise InvalidInput("", f"at least one of {', '.join(PARTS)} is required")
    for field, text in template.parts.items():
        if not text.strip():
            raise InvalidInput(field, "must not be empty; omit it to use the built-in text")
    return msgspec.structs.replace(template, id=template_id)
