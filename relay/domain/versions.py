"""Versions: the record of every change of the configuration."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from relay.domain.channels import MASK
from relay.domain.principals import Tenants, sees

ABSENT: Final = frozenset({"id", "version", "updated_at", "builtin"})
"""Fields that are not part of what a change may set."""


class ObjectKind(StrEnum):
    """What is configured."""

    CHANNEL = "channel"
    CHANNEL_TEMPLATE = "channel_template"
    MESSAGE_TEMPLATE = "message_template"
    KEY = "key"
    SOURCE = "source"
    SILENCE = "silence"
    ACKNOWLEDGEMENT = "acknowledgement"


class Action(StrEnum):
    """What happened to an object. `disabled`: the relay disabled a channel whose destination is gone."""

    CREATED = "created"
    UPDATED = "updated"
    RESTORED = "restored"
    DELETED = "deleted"
    DISABLED = "disabled"
    ROTATED = "rotated"
    REVOKED = "revoked"


class FieldChange(msgspec.Struct, frozen=True):
    """A field before and after a change; null for none, and the mask for a secret."""

    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an object. `body` is the object after it, without secrets; None if it was deleted.

    `routing`: the change has incremented the version of the configuration.
    """

    kind: ObjectKind
    object_id: str
    action: Action
    tenant_id: str | None
    body: dict[str, Any] | None
    changes: dict[str, FieldChange]
    routing: bool = False


class ObjectVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an object: who changed what, when and from where.

    `author` is the identity of a principal, and `method` how it authenticated. `body` is the object after the
    change, without its secrets, and null if it was deleted.
    """

    number: int
    action: Action
    at: datetime
    author: str
    author_name: str
    method: str
    address: str | None
    request_id: str | None
    changes: dict[str, FieldChange]
    body: dict[str, Any] | None


class AuditEntry(ObjectVersion, frozen=True, kw_only=True):
    """A change in the audit, with the object that it concerns. `tenant_id` is the tenant of the object."""

    id: int
    kind: ObjectKind
    object_id: str
    tenant_id: str | None


Version = TypeVar("Version", bound=ObjectVersion)


def changes_between(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, secrets: Collection[str] = ()
) -> dict[str, FieldChange]:
    """The fields that differ between two states of an object, of which either may be None.

    The values of `secrets` are masked.
    """
    earlier, later = before or {}, after or {}
    found: dict[str, FieldChange] = {}
    for name in (*earlier, *(name for name in later if name not in earlier)):
        old, new = earlier.get(name), later.get(name)
        if old != new and name not in ABSENT:
            shown = (_masked(old), _masked(new)) if name in secrets else (old, new)
            found[name] = FieldChange(*shown)
    return found


def seen_by(tenants: Tenants, version: Version) -> Version:
    """The version as the tenants see it: without what the object was while it belonged to another tenant."""
    owner = version.changes.get("tenant_id")
    if owner is None or sees(tenants, owner.before):
        return version
    changes = {name: FieldChange(None, change.after) for name, change in version.changes.items()}
    return msgspec.structs.replace(version, changes=changes)


def _masked(value: Any) -> str | None:
    return None if value is None else MASK
