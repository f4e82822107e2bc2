"""The messages of claimed deliveries, read from the database."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from relay.deliver.message_edits import PreparedMessage, firing_ids, mark_firing, prepare_edit
from relay.deliver.receipt_cache import ReceiptCache
from relay.domain.alerts import Alert, Group
from relay.domain.folding import (
    FoldedGroup,
    MergedNotification,
    left_out,
    matched_alert_ids,
    stored_group,
    with_key_source,
)
from relay.domain.history import Kind
from relay.domain.identity import group_hash, key_source
from relay.domain.notifications import Digest, Message, Notification
from relay.domain.severities import is_critical
from relay.store.outbox import contents, digests, message_edits, refreshes, unreported
from relay.store.outbox.claims import Claimed
from relay.store.outbox.unreported import ShownAlerts
from relay.store.postgres.database import HeldConnection

STALE_AFTER: Final = timedelta(seconds=60)
"""Deliveries older than this are refreshed with the current state of their alerts."""
READ_AT_ONCE: Final = 50
ALERTS_AT_ONCE: Final = 5_000
"""Webhooks of one merged delivery, and their alerts unless one has more, that are in memory at the same time."""


class MessageReader:
    """Reads the messages of deliveries, on other connections than the one that claims."""

    def __init__(
        self,
        connection: HeldConnection,
        digest_connection: HeldConnection,
        receipts: ReceiptCache,
        history_url: str,
    ) -> None:
        """`history_url` with a delivery's id appended leads to all of its alerts."""
        self._connection = connection
        self._digest_connection = digest_connection
        self._receipts = receipts
        self._history_url = history_url

    async def prepare_messages(
        self, claimed: Sequence[Claimed], destination_hash: bytes | None, now: datetime
    ) -> dict[int, PreparedMessage]:
        """The messages of one channel's deliveries, by id. A delivery whose webhook is unreadable is left out.

        `destination_hash` is that of the channel, None if its messages are not edited.
        """
        if destination_hash is None:
            messages = await self._messages(claimed, now)
            return {delivery_id: PreparedMessage(message) for delivery_id, message in messages.items()}
        groups = [delivery for delivery in claimed if delivery.kind is not Kind.DIGEST]
        folded = await self._folded(groups) if groups else {}
        prepared = {
            delivery.id: PreparedMessage(await self._digest(delivery))
            for delivery in claimed
            if delivery.kind is Kind.DIGEST
        }
        return prepared | await self._edits(
            [delivery for delivery in groups if delivery.id in folded], folded, destination_hash
        )

    async def _edits(
        self,
        claimed: Sequence[Claimed],
        folded: dict[int, tuple[Notification, FoldedGroup]],
        destination_hash: bytes,
    ) -> dict[int, PreparedMessage]:
        """Messages that are edited, each with the earlier alerts of its group's message."""
        if not claimed:
            return {}
        async with self._connection.use() as driver:
            channel_id = claimed[0].channel_id
            group_hashes = [delivery.group_hash for delivery in claimed]
            editable = await message_edits.load(driver, channel_id, destination_hash, group_hashes)
            alert_ids = sorted({alert_id for message in editable.values() for alert_id in message.alert_ids})
            alerts = await message_edits.alerts(driver, alert_ids) if alert_ids else []
            repeats = [
                last for delivery in claimed if (last := _possible_repeat(*folded[delivery.id])) is not None
            ]
            repeated = await contents.repeated(driver, repeats) if repeats else frozenset()
        prepared = {}
        for delivery in claimed:
            notification, group = folded[delivery.id]
            message = editable.get(delivery.group_hash)
            other_ids = frozenset(() if message is None else message.alert_ids) - frozenset(group.alert_ids)
            prepared[delivery.id] = prepare_edit(
                notification,
                group.alert_ids,
                delivery.group_hash,
                message,
                [(alert_id, alert) for alert_id, alert in alerts if alert_id in other_ids],
                silent=delivery.kind is Kind.REFRESH,
                repeated=delivery.id in repeated,
            )
        return await self._mark_firing(claimed, prepared)

    async def _mark_firing(
        self, claimed: Sequence[Claimed], prepared: dict[int, PreparedMessage]
    ) -> dict[int, PreparedMessage]:
        """The messages, with firing alerts shown as acknowledged, or as omitted by the deliveries' webhooks."""
        firing = sorted({alert_id for message in prepared.values() for alert_id in firing_ids(message)})
        if not firing:
            return prepared
        shown = [
            rows for delivery in claimed if (rows := _shown_alerts(delivery, prepared[delivery.id])) is not None
        ]
        since: dict[int, dict[int, datetime]] = {}
        async with self._connection.use() as driver:
            acknowledged = await refreshes.acknowledged(driver, firing)
            for found in await unreported.load(driver, shown) if shown else ():
                since.setdefault(found.delivery_id, {})[found.alert_id] = found.since
        return {
            delivery_id: mark_firing(message, since.get(delivery_id, {}), acknowledged)
            for delivery_id, message in prepared.items()
        }

    async def _messages(self, claimed: Sequence[Claimed], now: datetime) -> dict[int, Message]:
        verbatim = [delivery for delivery in claimed if is_verbatim(delivery, now)]
        for delivery in verbatim:
            if delivery.receipt_id is not None and delivery.body is not None:
                self._receipts.add(delivery.receipt_id, delivery.body, delivery.waiting_since, delivery.source)
        groups = await self._receipts.groups(
            delivery.receipt_id for delivery in verbatim if delivery.receipt_id is not None
        )
        messages: dict[int, Message] = {
            delivery.id: _verbatim(delivery, groups[delivery.receipt_id], self._history_url_of(delivery))
            for delivery in verbatim
            if delivery.receipt_id in groups
        }
        others = [delivery for delivery in claimed if not is_verbatim(delivery, now)]
        if others:
            messages |= await self._current(others)
        return messages

    async def _current(self, claimed: Sequence[Claimed]) -> dict[int, Message]:
        """Messages with all that was merged into them, and the current state of each alert."""
        messages: dict[int, Message] = {
            delivery.id: await self._digest(delivery) for delivery in claimed if delivery.kind is Kind.DIGEST
        }
        if groups := [delivery for delivery in claimed if delivery.kind is not Kind.DIGEST]:
            folded = await self._folded(groups)
            messages |= {delivery_id: notification for delivery_id, (notification, _) in folded.items()}
        return messages

    async def _folded(self, claimed: Sequence[Claimed]) -> dict[int, tuple[Notification, FoldedGroup]]:
        """By delivery: its notification, with all that was merged into it, and the group that it was made of."""
        async with self._connection.use() as driver:
            merged = await contents.members(driver, [delivery.id for delivery in claimed])
            stored = await contents.stored_alerts(driver, merged)
            resolutions = await contents.resolved(driver, matched_alert_ids(merged))
            origins = await contents.origins(driver, [delivery.id for delivery in claimed])
        by_delivery = {
            delivery_id: tuple(notifications)
            for delivery_id, notifications in groupby(merged, key=lambda notification: notification.delivery_id)
        }
        small = [one.receipt_id for one in merged if len(one.alert_ids) <= ALERTS_AT_ONCE // READ_AT_ONCE]
        await self._receipts.groups(small[:READ_AT_ONCE])  # at once, and not one for each delivery
        folded = {}
        for delivery in claimed:
            notifications = by_delivery.get(delivery.id, ())
            if delivery.kind is Kind.REFRESH:  # what it leaves out is not stored
                notifications = tuple(left_out(one, delivery.withheld) for one in notifications)
            group = await self._fold(notifications, stored)
            if group is not None:
                history_url, origin = self._history_url_of(delivery), origins.get(delivery.id)
                notification = group.notification(
                    delivery.id,
                    delivery.channel_id,
                    resolutions,
                    history_url,
                    origin,
                    delivery.source,
                    delivery.group_hash,
                )
                folded[delivery.id] = (notification, group)
        return folded

    async def _digest(self, claimed: Claimed) -> Digest:
        # A digest may take seconds to read, so it has its own connection.
        async with self._digest_connection.use() as driver:
            origins = await contents.origins(driver, [claimed.id])
        async with self._digest_connection.use() as driver:
            content = await digests.content(driver, claimed.id)
        return Digest(
            id=str(claimed.id),
            channel_id=claimed.channel_id,
            groups=content.groups,
            counts=content.counts,
            alerts=content.alerts,
            history_url=self._history_url_of(claimed),
            unnotified=content.unnotified,
            fallback_for=origins.get(claimed.id),
        )

    def _history_url_of(self, claimed: Claimed) -> str:
        return f"{self._history_url}{claimed.id}"

    async def _fold(
        self, notifications: Sequence[MergedNotification], stored: Mapping[int, Alert]
    ) -> FoldedGroup | None:
        """Fold notifications of one group; None if none of their webhooks is readable."""
        folded: FoldedGroup | None = None
        for part in _parts(notifications):
            groups = await self._receipts.groups(notification.receipt_id for notification in part)
            for notification in part:
                if (group := groups.get(notification.receipt_id) or stored_group(notification)) is not None:
                    folded = folded or FoldedGroup(group, notification.received_at)
                    folded.add(notification, group, stored)
        return folded


def _possible_repeat(notification: Notification, group: FoldedGroup) -> MergedNotification | None:
    """The webhook that may be a repeat of which people should hear: one of critical alerts."""
    return group.repeat if any(is_critical(alert.severity) for alert in notification.firing) else None


def is_verbatim(claimed: Claimed, now: datetime) -> bool:
    """Whether the message contains the alerts of its own webhook alone, as they were received."""
    return (
        claimed.kind is not Kind.DIGEST
        and claimed.attempt == 1
        and claimed.alert_ids is None
        and not (claimed.carries or claimed.redelivered or claimed.fallback_of is not None or claimed.withheld)
        and now - claimed.waiting_since < STALE_AFTER
    )


def _parts(notifications: Sequence[MergedNotification]) -> Iterator[list[MergedNotification]]:
    part: list[MergedNotification] = []
    alerts = 0
    for notification in notifications:
        if part and (len(part) == READ_AT_ONCE or alerts + len(notification.alert_ids) > ALERTS_AT_ONCE):
            yield part
            part, alerts = [], 0
        part.append(notification)
        alerts += len(notification.alert_ids)
    if part:
        yield part


def _shown_alerts(claimed: Claimed, prepared: PreparedMessage) -> ShownAlerts | None:
    """The firing alerts of a message; None if they are those of the delivery's webhook alone."""
    message, editable = prepared.message, prepared.editable
    if not isinstance(message, Notification) or editable is None or claimed.receipt_id is None:
        return None
    firing = firing_ids(prepared)
    if not firing or not (editable.message_refs or claimed.carries):
        return None
    group = message.group
    return ShownAlerts(
        delivery_id=claimed.id,
        receipt_id=claimed.receipt_id,
        group_hashes=(claimed.group_hash, group_hash(group.group_key, claimed.source)),
        alert_ids=firing,
        complete=not group.truncated,
    )


def _verbatim(claimed: Claimed, group: Group, history_url: str) -> Notification:
    alerts = group.alerts if claimed.positions is None else tuple(group.alerts[at] for at in claimed.positions)
    key = key_source(claimed.source, group.group_key, claimed.group_hash)
    return Notification(
        id=str(claimed.id),
        channel_id=claimed.channel_id,
        group=group,
        alerts=tuple(with_key_source(alert, key) for alert in alerts) if key else alerts,
        history_url=history_url,
        source=claimed.source,
        key_source=key,
    )
