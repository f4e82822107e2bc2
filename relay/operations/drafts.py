"""Channels and silences in a request that are not saved, validated as if they were."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.channel_types import BaseChannel, Channel, Filters, channel_class
from relay.domain.channels import MASK, parse_channel
from relay.domain.errors import InvalidInput
from relay.domain.principals import Principal
from relay.domain.silences import Silence, new_silence, parse_new_silence
from relay.notify import registry
from relay.notify.transport.egress_policy import EgressPolicy
from relay.operations.context import errors_within

MAX_DRAFTS: Final = 100
"""Channels and silences of one request, each."""
READ_ONLY: Final = frozenset({"disabled_reason", "version", "health"})
"""Fields of a channel in responses, which are ignored."""
PLACEHOLDER: Final = "https://secret.invalid/"
"""Stands for a required secret, which routing does not need."""


async def draft_channels(given: Any, principal: Principal, egress_policy: EgressPolicy) -> dict[str, Channel]:
    """Validate channels as `POST /channels` does, and return them by id. Secrets may be absent or masked.

    Raises:
        InvalidInput: names the field, such as `channels[0].severities`.
    """
    found: dict[str, Channel] = {}
    for at, body in enumerate(_list("channels", given)):
        with errors_within(f"channels[{at}]"):
            data, absent = _with_secrets(body)
            channel = parse_channel(data)
            if channel.id in found:
                raise InvalidInput("id", "is that of another channel of the request")
            channel = msgspec.structs.replace(channel, tenant_id=principal.owner_of_new(channel.tenant_id))
            await _check(channel, absent, egress_policy)
            found[channel.id] = channel
    return found


def draft_silences(
    given: Any,
    principal: Principal,
    now: datetime,
    channels: Mapping[str, Filters],
    stored: Mapping[str, Silence],
) -> dict[str, Silence]:
    """Validate silences as `POST /silences` does, and return them by id, `silences[0]` for one without an id.

    `channels` are those that are visible to the principal; of the `stored` silences it may replace its own.

    Raises:
        InvalidInput: names the field, such as `silences[0].matchers`.
    """
    found: dict[str, Silence] = {}
    for at, body in enumerate(_list("silences", given)):
        with errors_within(f"silences[{at}]"):
            data = _object(body)
            silence_id = data.pop("id", f"silences[{at}]")
            if not isinstance(silence_id, str) or silence_id in found:
                raise InvalidInput("id", "must be the id of one silence")
            if silence_id in stored and not principal.sees(stored[silence_id].tenant_id):
                raise InvalidInput("id", f"there is no silence {silence_id!r}")
            request = parse_new_silence(data)
            owner = principal.owner_of_new(request.tenant_id)
            silence = new_silence(
                msgspec.structs.replace(request, tenant_id=owner), silence_id, principal.name, now
            )
            _require_channels(silence, channels)
            found[silence_id] = silence
    return found


def _require_channels(silence: Silence, channels: Mapping[str, Filters]) -> None:
    fields = [(f"channels[{at}]", channel_id) for at, channel_id in enumerate(silence.channels)]
    if silence.remind_channel_id is not None:
        fields.append(("remind_channel_id", silence.remind_channel_id))
    for field, channel_id in fields:
        if channel_id not in channels:
            raise InvalidInput(field, f"there is no channel {channel_id!r}")
        if silence.tenant_id is not None and channels[channel_id].tenant_id != silence.tenant_id:
            raise InvalidInput(field, f"the channel {channel_id!r} does not have the tenant of the silence")


async def _check(channel: Channel, absent: Collection[str], egress_policy: EgressPolicy) -> None:
    """Check a channel as its platform does, with no regard to the absent secrets."""
    try:
        await asyncio.to_thread(registry.check_channel, channel, egress_policy)
    except InvalidInput as error:
        if error.field.partition(".")[0] not in absent:
            raise


def _with_secrets(body: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """A channel's body with its required secrets, and the names of the secrets that it does not have itself."""
    data = {name: value for name, value in _object(body).items() if name not in READ_ONLY}
    kind = channel_class(data["channel_type"]) if "channel_type" in data else BaseChannel
    required = {field.name for field in msgspec.structs.fields(kind) if field.required} & kind.SECRET
    absent = frozenset(name for name in kind.SECRET if name not in data or _is_masked(data[name]))
    data = {name: value for name, value in data.items() if name not in absent}
    return data | dict.fromkeys(required & absent, PLACEHOLDER), absent


def _is_masked(value: Any) -> bool:
    return value == MASK or (isinstance(value, dict) and MASK in value.values())


def _list(field: str, given: Any) -> Sequence[Any]:
    if not isinstance(given, list):
        raise InvalidInput(field, "must be a list of objects")
    if len(given) > MAX_DRAFTS:
        raise InvalidInput(field, f"must not contain more than {MAX_DRAFTS}")
    return given


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InvalidInput("", "must be a JSON object")
    return dict(given)
