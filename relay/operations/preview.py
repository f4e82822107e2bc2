"""Preview the requests that a channel would be sent, with secrets masked; nothing is sent or stored."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from relay.deliver.preview import preview_delivery
from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Alert, Group
from relay.domain.channel_types import Channel, Filters
from relay.domain.channels import merge_patch, parse_channel
from relay.domain.errors import InvalidInput, NotFound
from relay.domain.fields import require_storable
from relay.domain.folding import with_key_source
from relay.domain.history import MAX_ID
from relay.domain.identity import require_source
from relay.domain.notifications import Digest, Message, Notification
from relay.domain.principals import Principal, Tenants
from relay.domain.samples import PREVIEW_ID, Sample, sample_message
from relay.domain.templates.message_templates import MessageTemplate
from relay.notify import registry
from relay.notify.preview import RequestPreview, preview_request
from relay.notify.redact import redact
from relay.operations.context import OperationContext, errors_within
from relay.route.reasons import mismatch_reason
from relay.store.configuration import channels, message_templates
from relay.store.postgres.database import driver_connection
from relay.store.reports import deliveries


class PreviewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channel to preview and the content of the message.

    `channel_id` is a saved channel, `channel` a body as `POST /channels` accepts it. With both, `channel` is a
    patch of the saved channel, as `PATCH /channels/{id}` accepts it. The content is at most one of `group`, a
    whole webhook body, with its `source`; `delivery_id`; and `sample`. The default is the sample `mixed`.
    """

    channel_id: str | None = None
    channel: dict[str, Any] | None = None
    group: dict[str, Any] | None = None
    source: str | None = None
    delivery_id: Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)] | None = None
    sample: Sample | None = None


class Unmatched(msgspec.Struct, frozen=True):
    """An alert of the group that the channel does not match, and the filter that stops it."""

    labels: dict[str, str]
    reason: str


class PreviewResult(msgspec.Struct, frozen=True, kw_only=True):
    """The requests in the order of sending. `alerts` counts the alerts in them; `notes` list differences."""

    channel_id: str
    channel_type: str
    requests: list[RequestPreview]
    alerts: int
    unmatched: list[Unmatched]
    notes: list[str]


async def preview(context: OperationContext, request: PreviewRequest, principal: Principal) -> PreviewResult:
    """Build the requests that a channel would be sent, from what is visible to the principal.

    Raises:
        InvalidInput: names the field of the request.
        NotFound: there is no such channel or delivery.
    """
    _validate(request)
    channel, filters, template = await _channel(context, request, principal)
    unmatched: list[Unmatched] = []
    notes: list[str] = []
    message: Message | None
    if request.delivery_id is not None:
        async with context.database.begin() as connection:
            await deliveries.get(connection, request.delivery_id, principal.tenants)
        message, notes = await preview_delivery(
            context.database, request.delivery_id, channel, context.history_url, context.tenant_label
        )
    elif request.group is not None:
        group, source = _group(request.group), request.source or ""
        alerts, unmatched = _matched(group, filters, context.tenant_label, source)
        message = _notification(channel, group, alerts, context.history_url, source) if alerts else None
    else:
        message = sample_message(
            request.sample or Sample.MIXED, channel.id, datetime.now(UTC), context.history_url
        )
    if message is None:
        notes.append("the channel's filters match no alert of the group; nothing would be sent")
        return _result(channel, unmatched=unmatched, notes=notes)
    requests, more = await context.sender.preview(registry.notifier_for(channel), channel, message, template)
    return _result(
        channel,
        requests=[preview_request(request, channel) for request in requests],
        alerts=message.total if isinstance(message, Digest) else len(message.alerts),
        unmatched=unmatched,
        notes=[*notes, *more],
    )


def _result(
    channel: Channel,
    *,
    unmatched: list[Unmatched],
    notes: Sequence[str],
    requests: Sequence[RequestPreview] = (),
    alerts: int = 0,
) -> PreviewResult:
    return PreviewResult(
        channel_id=channel.id,
        channel_type=channel.channel_type,
        requests=list(requests),
        alerts=alerts,
        unmatched=unmatched,
        notes=[redact(note, channel) for note in notes],
    )


def _validate(request: PreviewRequest) -> None:
    if request.channel_id is None and request.channel is None:
        raise InvalidInput("channel_id", "is missing; to preview a channel that is not saved, send `channel`")
    require_storable(request.channel_id, "channel_id")
    if request.source is not None:
        require_source("source", request.source)
        if request.group is None:
            raise InvalidInput("source", "requires `group`")
    given = [name for name in ("group", "delivery_id", "sample") if getattr(request, name) is not None]
    if len(given) > 1:
        raise InvalidInput(given[1], f"can't be combined with `{given[0]}`")


async def _channel(
    context: OperationContext, request: PreviewRequest, principal: Principal
) -> tuple[Channel, Filters, MessageTemplate | None]:
    """The channel, its filters as routing sees them, and its message template."""
    saved: Channel | None = None
    every: dict[str, Filters] = {}
    if request.channel_id is not None:
        async with context.database.begin() as connection:
            saved = await channels.get(connection, request.channel_id, context.seal, principal.tenants)
            _, every = await channels.load_filters(await driver_connection(connection))
    if saved is not None and request.channel is None:
        channel, filters = saved, every[saved.id]
    else:
        with errors_within("channel"):
            channel = parse_channel(request.channel) if saved is None else merge_patch(saved, request.channel)
            channel = msgspec.structs.replace(channel, tenant_id=principal.owner_of_new(channel.tenant_id))
            await asyncio.to_thread(registry.check_channel, channel, context.egress_policy)
        filters = channel
    kept = saved is not None and saved.template == channel.template
    return channel, filters, await _template(context, channel, None if kept else principal.tenants)


async def _template(context: OperationContext, channel: Channel, tenants: Tenants) -> MessageTemplate | None:
    """The message template of the channel, if it is visible to the tenants.

    Raises:
        InvalidInput: there is no such template.
    """
    try:
        async with context.database.begin() as connection:
            return await message_templates.for_channel(connection, channel, tenants)
    except NotFound as error:
        raise InvalidInput("channel.template", str(error)) from None


def _group(body: dict[str, Any]) -> Group:
    with errors_within("group"):
        return decode_webhook(msgspec.json.encode(body))


def _matched(
    group: Group, filters: Filters, tenant_label: str, source: str
) -> tuple[tuple[Alert, ...], list[Unmatched]]:
    """Split a group into the alerts that match the filters and the others."""
    reasons = [(alert, mismatch_reason(alert, filters, tenant_label, source)) for alert in group.alerts]
    matched = tuple(alert for alert, reason in reasons if reason is None)
    return matched, [Unmatched(alert.labels, reason) for alert, reason in reasons if reason is not None]


def _notification(
    channel: Channel, group: Group, alerts: tuple[Alert, ...], history_url: str, source: str
) -> Notification:
    return Notification(
        id=PREVIEW_ID,
        channel_id=channel.id,
        group=group,
        alerts=tuple(with_key_source(alert, source) for alert in alerts),
        history_url=history_url + PREVIEW_ID,
        source=source,
        key_source=source,
    )
