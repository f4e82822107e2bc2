"""What would a channel be sent? The very requests, secrets masked; nothing is sent or stored."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from relay.api.channels import ChannelPatch
from relay.api.pages import MAX_ID
from relay.deliver.preview import preview_delivery
from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Alert, Group
from relay.domain.channel_types import Channel, Filters
from relay.domain.channels import merge_patch, parse_channel
from relay.domain.errors import InvalidInput, NotFound
from relay.domain.fields import require_storable
from relay.domain.notifications import Digest, Message, Notification
from relay.domain.samples import PREVIEW_ID, Sample, sample_message
from relay.domain.templates.message_templates import MessageTemplate
from relay.notify import registry
from relay.notify.preview import RequestPreview, preview_request
from relay.notify.redact import redact
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from relay.route.reasons import mismatch_reason
from relay.settings import Settings
from relay.store.configuration import channels, message_templates
from relay.store.configuration.seal import Seal
from relay.store.postgres.database import Database


class PreviewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which channel, and what it is told.

    `channel_id` is a saved channel, `channel` one as `POST /channels` takes it; with both, `channel` is a change
    of the saved one, as PATCH takes it. Then at most one of `group`, a whole webhook body; `delivery_id`; and
    `sample`, which is `mixed` when nothing is given.
    """

    channel_id: str | None = None
    channel: ChannelPatch | None = None
    group: dict[str, Any] | None = None
    delivery_id: Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)] | None = None
    sample: Sample | None = None


class Unmatched(msgspec.Struct, frozen=True):
    """An alert of the group that the channel is not told of, and what stops it."""

    labels: dict[str, str]
    reason: str


class PreviewResult(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent, in this order. `alerts` counts those that it tells; `notes` say what else to know."""

    channel_id: str
    channel_type: str
    requests: list[RequestPreview]
    alerts: int
    unmatched: list[Unmatched]
    notes: list[str]


class PreviewController(Controller):
    """Dry runs of sending."""

    path = "/preview"
    tags = ("channels",)

    @post(status_code=200)
    async def preview(
        self,
        data: JSONBody[PreviewRequest],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        egress_policy: NamedDependency[EgressPolicy],
        sender: NamedDependency[Sender],
        settings: NamedDependency[Settings],
        history_url: NamedDependency[str],
    ) -> PreviewResult:
        """Show the requests that a channel would get, byte for byte but for masked secrets and times.

        A group is told as routing would: the alerts that the channel's filters stop are in `unmatched`, with the
        reason, and where nothing is left there is no request. `preview` stands for the delivery's id, and where
        the channel edits its message of a group, this is the first one. With `delivery_id` it is what that
        delivery tells, by its own id; a message that is there already is edited. A sample goes past the filters.
        """
        _require_one_of_each(data)
        channel, filters = await _channel(data, database, seal, egress_policy)
        unmatched: list[Unmatched] = []
        notes: list[str] = []
        message: Message | None
        if data.delivery_id is not None:
            message, notes = await preview_delivery(database, data.delivery_id, channel, history_url)
        elif data.group is not None:
            group = _group(data.group)
            alerts, unmatched = _matched(group, filters, settings.tenant_label)
            message = _notification(channel, group, alerts, history_url) if alerts else None
        else:
            message = sample_message(data.sample or Sample.MIXED, channel.id, datetime.now(UTC), history_url)
        if message is None:
            notes.append("the channel's filters stop every alert of the group, and nothing would be sent")
            return _result(channel, unmatched=unmatched, notes=notes)
        template = await _template(database, channel)
        requests, more = await sender.preview(registry.notifier_for(channel), channel, message, template)
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


async def _template(database: Database, channel: Channel) -> MessageTemplate | None:
    """The message template that the channel names.

    Raises:
        InvalidInput: there is no such template.
    """
    try:
        async with database.begin() as connection:
            return await message_templates.for_channel(connection, channel)
    except NotFound as error:
        raise InvalidInput("channel.template", str(error)) from None


def _require_one_of_each(data: PreviewRequest) -> None:
    if data.channel_id is None and data.channel is None:
        raise InvalidInput("channel_id", "is missing; or give a channel that is not saved, as `channel`")
    require_storable(data.channel_id, "channel_id")
    given = [name for name in ("group", "delivery_id", "sample") if getattr(data, name) is not None]
    if len(given) > 1:
        raise InvalidInput(given[1], f"does not go with `{given[0]}`")


async def _channel(
    data: PreviewRequest, database: Database, seal: Seal, egress_policy: EgressPolicy
) -> tuple[Channel, Filters]:
    """The channel, and its filters as routing sees them."""
    if data.channel_id is None:
        assert data.channel is not None
        with _within("channel"):
            channel = parse_channel(data.channel.writable())
            await asyncio.to_thread(registry.check_channel, channel, egress_policy)
        return channel, channel
    async with database.begin() as connection:
        saved = await channels.get(connection, data.channel_id, seal)
        every = await channels.all_filters(connection)
    if data.channel is None:
        return saved, every[saved.id]
    with _within("channel"):
        channel = merge_patch(saved, data.channel.writable())
        await asyncio.to_thread(registry.check_channel, channel, egress_policy)
    return channel, channel


def _group(body: dict[str, Any]) -> Group:
    with _within("group"):
        return decode_webhook(msgspec.json.encode(body))


def _matched(group: Group, filters: Filters, tenant_label: str) -> tuple[tuple[Alert, ...], list[Unmatched]]:
    """The alerts that a channel with these filters is told of, and the others."""
    reasons = [(alert, mismatch_reason(alert, filters, tenant_label)) for alert in group.alerts]
    matched = tuple(alert for alert, reason in reasons if reason is None)
    return matched, [Unmatched(alert.labels, reason) for alert, reason in reasons if reason is not None]


def _notification(channel: Channel, group: Group, alerts: tuple[Alert, ...], history_url: str) -> Notification:
    return Notification(
        id=PREVIEW_ID, channel_id=channel.id, group=group, alerts=alerts, history_url=history_url + PREVIEW_ID
    )


@contextmanager
def _within(name: str) -> Iterator[None]:
    """Name a field as the caller does."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{name}.{error.field}" if error.field else name, error.message) from None
