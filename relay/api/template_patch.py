"""JSON merge patches (RFC 7396) of channel templates and message templates."""

from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from relay.domain.errors import InvalidInput


class TemplatePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that both types of template have."""

    id: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    tenant_id: str | UnsetType | None = UNSET


class Template(Protocol):
    """A stored template."""

    @property
    def id(self) -> str: ...


def patch_template(template: Template, patch: TemplatePatch, **read_only: Any) -> dict[str, Any]:
    """Return the fields of a template after a patch; null resets a field to its default.

    Args:
        template: the stored template.
        patch: the fields to change; the id may be sent unchanged.
        read_only: fields that keep these values, whatever the patch contains.

    Raises:
        InvalidInput: the patch changes the id.
    """
    if patch.id not in (UNSET, template.id):
        raise InvalidInput("id", "can't be changed; create another template instead")
    fields = msgspec.to_builtins(template) | msgspec.to_builtins(patch) | read_only
    return {name: value for name, value in fields.items() if value is not None}
