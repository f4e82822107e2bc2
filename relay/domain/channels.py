"""Validation and changes of channels, and masking of their secrets."""

import re
import unicodedata
from typing import Any, Final

import msgspec
import msgspec.inspect
from msgspec import UNSET

from relay.domain.channel_types import LABEL_FILTERS, Channel, channel_class, channel_types
from relay.domain.errors import InvalidInput
from relay.domain.fields import choices, field_and_message, fields_of, require_storable
from relay.domain.identity import require_source
from relay.domain.matchers import require_matchers

MASK: Final = "********"
MAX_ID: Final = 63
MAX_NAME: Final = 200
MAX_FILTER_VALUES: Final = 1000
MIN_RATE: Final = 1 / 3600
MAX_RATE: Final = 10_000
NO_CHOICE: Final = "Invalid enum value"
"""How msgspec's message begins for a value that is none of the choices."""
_slug = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")


def parse_channel(data: Any) -> Channel:
    """Parse and validate a channel from JSON data. Without an id, the id is derived from the name.

    Raises:
        InvalidInput: the channel is invalid; names the field.
    """
    if not isinstance(data, dict):
        raise InvalidInput("", "must be a JSON object")
    require_storable(data)
    if "channel_type" not in data:
        raise InvalidInput("channel_type", f"is missing; must be one of {', '.join(channel_types())}")
    kind = channel_class(data["channel_type"])
    try:
        channel: Channel = msgspec.convert(data, Channel)
    except msgspec.ValidationError as error:
        field, message = field_and_message(error)
        if message.startswith(NO_CHOICE):
            message = (
                f"{message}; must be one of {', '.join(choices(fields_of(kind)[field.partition('[')[0]].type))}"
            )
        raise InvalidInput(field, message) from None
    if data.get("id") == "":
        raise InvalidInput("id", "must not be empty; omit it to derive it from the name")
    if not channel.id and channel.name.strip():
        channel = msgspec.structs.replace(channel, id=slug(channel.name))
    _check(channel)
    return channel


def slug(name: str) -> str:
    """Derive an id from a name: "Critical Alerts" becomes `critical-alerts`.

    Raises:
        InvalidInput: the name has no ASCII letter or digit.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    derived = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_ID].rstrip("-")
    if not derived:
        raise InvalidInput("id", "can't be derived from this name; provide an id")
    return derived


def require_id(text: str) -> None:
    """Reject a text that is not a valid id of a channel or template.

    Raises:
        InvalidInput: the id is invalid; states the format.
    """
    if len(text) > MAX_ID or not _slug.fullmatch(text):
        raise InvalidInput(
            "id",
            f"must be 1 to {MAX_ID} characters of a-z, 0-9, - and _, starting and ending with a letter or digit",
        )


def mask_secrets(channel: Channel) -> dict[str, Any]:
    """Return the channel as JSON data with its secrets masked."""
    data: dict[str, Any] = msgspec.to_builtins(channel)
    for name in channel.SECRET:
        data[name] = _mask(data[name])
    return data


def merge_patch(channel: Channel, patch: Any) -> Channel:
    """Apply a JSON merge patch (RFC 7396). Null resets a field; an absent or masked secret is kept.

    Raises:
        InvalidInput: the patch or its result is invalid; names the field.
    """
    if not isinstance(patch, dict):
        raise InvalidInput("", "must be a JSON object")
    data: dict[str, Any] = msgspec.to_builtins(channel)
    for name in ("id", "channel_type"):
        if name in patch and patch[name] != data[name]:
            raise InvalidInput(name, "can't be changed; create another channel instead")
    for name, value in patch.items():
        if value is None:
            data.pop(name, None)
        elif name in channel.SECRET:
            data[name] = _unmask(value, data.get(name))
        else:
            data[name] = value
    changed = parse_channel(data)
    _require_secrets_again(channel, changed, patch)
    return changed


def _require_secrets_again(before: Channel, after: Channel, patch: dict[str, Any]) -> None:
    """Reject a change of where a channel sends if it would send a stored secret there.

    Secrets can't be read; otherwise a caller could have them sent to a server of theirs.
    """
    moved = [name for name in sorted(before.DESTINATION) if getattr(before, name) != getattr(after, name)]
    if not moved:
        return
    kept = [
        field
        for name in sorted(before.SECRET - set(moved))
        for field in _kept_secrets(name, getattr(before, name), patch.get(name, UNSET))
    ]
    if kept:
        raise InvalidInput(
            kept[0],
            f"changing {' and '.join(moved)} changes where the channel sends; "
            f"send its secrets again, or null to remove them: {', '.join(kept)}",
        )


def _kept_secrets(name: str, stored: Any, given: Any) -> list[str]:
    """The fields of a stored secret that a patch does not contain: absent or masked."""
    if stored is None or given is None:
        return []
    if isinstance(stored, dict):
        entries = given if isinstance(given, dict) else {}
        return [f"{name}.{entry}" for entry in stored if entries.get(entry, UNSET) in (UNSET, MASK)]
    return [name] if given in (UNSET, MASK) else []


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return value if value is None else MASK


def _unmask(value: Any, kept: Any) -> Any:
    if isinstance(value, dict) and isinstance(kept, dict):
        merged = kept | {name: _unmask(item, kept.get(name)) for name, item in value.items()}
        return {name: item for name, item in merged.items() if item is not None}
    return kept if value == MASK and kept is not None else value


def _check(channel: Channel) -> None:
    if not channel.name.strip():
        raise InvalidInput("name", "must not be empty")
    if len(channel.name) > MAX_NAME:
        raise InvalidInput("name", f"must not be longer than {MAX_NAME} characters")
    require_id(channel.id)
    for name in channel.SECRET:
        value = getattr(channel, name)
        if value == MASK or (isinstance(value, dict) and MASK in value.values()):
            raise InvalidInput(name, "is the mask of a secret; send the secret itself")
    _check_filters(channel)
    _check_delivery(channel)


def _check_filters(channel: Channel) -> None:
    if channel.tenant_id == "":
        raise InvalidInput("tenant_id", "must not be empty; omit it to match all tenants")
    if channel.source is not None:
        require_source("source", channel.source)
    for name in (*LABEL_FILTERS, "matchers"):
        values: tuple[str, ...] = getattr(channel, name)
        if len(values) > MAX_FILTER_VALUES:
            raise InvalidInput(name, f"must not contain more than {MAX_FILTER_VALUES} values")
        if "" in values and name != "matchers":
            raise InvalidInput(f"{name}[{values.index('')}]", "must not be empty")
    for at, text in enumerate(channel.matchers):
        try:
            require_matchers(text)
        except InvalidInput as error:
            raise InvalidInput(f"matchers[{at}]", error.message) from None


def _check_delivery(channel: Channel) -> None:
    if channel.rate_limit is not None:
        if not MIN_RATE <= channel.rate_limit.per_second <= MAX_RATE:
            raise InvalidInput("rate_limit.per_second", f"must be between one per hour and {MAX_RATE}")
        if not 1 <= channel.rate_limit.burst <= MAX_RATE:
            raise InvalidInput("rate_limit.burst", f"must be between 1 and {MAX_RATE}")
    if channel.fallback_channel_id is not None and channel.fallback_channel_id == channel.id:
        raise InvalidInput("fallback_channel_id", "must be another channel")
