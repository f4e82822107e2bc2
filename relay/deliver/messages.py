"""What is a channel to be told by the deliveries that were claimed?"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec

from relay.deliver.message_edits import PreparedMessage, telling
from relay.deliver.receipts import Receipts
from relay.domain.alerts import Alert, Group, Status
from relay.domain.notifications import Digest, FallbackFor, Message, Notification
from relay.store.outbox import contents, digests, message_edits
from relay.store.outbox.claims import Claimed
from relay.store.outbox.contents import Member, Origin, Resolved
from relay.store.postgres.database import HeldConnection

STALE_AFTER: Final = timedelta(seconds=60)
"""What waited for longer is held against what is known of its alerts now."""
READ_AT_ONCE: Final = 50
"""Webhooks of one merged delivery that are in memory at the same time."""


class Contents:
    """Reads what deliveries tell, off the connection that claims."""

    def __init__(
        self, connection: HeldConnection, digesting: HeldConnection, receipts: Receipts, history_url: str
    ) -> None:
        """`history_url` leads to all the alerts of a delivery, whose id is put behind it."""
        self._connection = connection
        self._digesting = digesting
        self._receipts = receipts
        self._history_url = history_url

    async def prepare_messages(
        self, claimed: Sequence[Claimed], destination_hash: bytes | None, moment: datetime
    ) -> dict[int, PreparedMessage]:
        """What a channel is told, by delivery. One whose webhook can't be read any more is left out.

        `place` is where the channel's messages are, if they are edited; `moment` is when they are told.
        """
        if destination_hash is None:
            messages = await self._messages(claimed, moment)
            return {delivery_id: PreparedMessage(message) for delivery_id, message in messages.items()}
        groups = [one for one in claimed if one.receipt_id is not None]
        folded = await self._folded(groups) if groups else {}
        found = {one.id: PreparedMessage(await self._digest(one)) for one in claimed if one.receipt_id is None}
        return found | await self._living([one for one in groups if one.id in folded], folded, destination_hash)

    async def _living(
        self,
        claimed: Sequence[Claimed],
        folded: dict[int, tuple[Notification, list[int]]],
        destination_hash: bytes,
    ) -> dict[int, PreparedMessage]:
        """Each with what was told before in the message of its group."""
        if not claimed:
            return {}
        async with self._connection.use() as driver:
            channel_id = claimed[0].channel_id
            living = await message_edits.load(
                driver, channel_id, destination_hash, [one.group_hash for one in claimed]
            )
            wanted = sorted({alert_id for one in living.values() for alert_id in one.alert_ids})
            known = await message_edits.alerts(driver, wanted) if wanted else []
        prepare_messages = {}
        for one in claimed:
            notification, alert_ids = folded[one.id]
            message = living.get(one.group_hash)
            others = frozenset(() if message is None else message.alert_ids) - frozenset(alert_ids)
            earlier = [(alert_id, alert) for alert_id, alert in known if alert_id in others]
            prepare_messages[one.id] = telling(notification, alert_ids, one.group_hash, message, earlier)
        return prepare_messages

    async def _messages(self, claimed: Sequence[Claimed], moment: datetime) -> dict[int, Message]:
        as_sent = [one for one in claimed if is_plain(one, moment)]
        for one in as_sent:
            if one.receipt_id is not None and one.body is not None:
                self._receipts.offer(one.receipt_id, one.body)
        groups = await self._receipts.groups(one.receipt_id for one in as_sent if one.receipt_id is not None)
        messages: dict[int, Message] = {
            one.id: _as_sent(one, groups[one.receipt_id], self._history_of(one))
            for one in as_sent
            if one.receipt_id in groups
        }
        others = [one for one in claimed if not is_plain(one, moment)]
        if others:
            messages |= await self._reviewed(others)
        return messages

    async def _reviewed(self, claimed: Sequence[Claimed]) -> dict[int, Message]:
        """What was merged, tried before or waited for long, with each alert as it is by now."""
        messages: dict[int, Message] = {
            one.id: await self._digest(one) for one in claimed if one.receipt_id is None
        }
        if groups := [one for one in claimed if one.receipt_id is not None]:
            messages |= {delivery_id: told for delivery_id, (told, _) in (await self._folded(groups)).items()}
        return messages

    async def _folded(self, claimed: Sequence[Claimed]) -> dict[int, tuple[Notification, list[int]]]:
        """The notifications, with all that was merged into them and each alert as it is by now; and their ids."""
        async with self._connection.use() as driver:
            members = await contents.members(driver, [one.id for one in claimed])
            resolved = await contents.resolved(driver, _alert_ids(members))
            origins = await contents.origins(driver, [one.id for one in claimed])
        told = {root: tuple(of_root) for root, of_root in groupby(members, key=lambda member: member.root)}
        notifications = {}
        for one in claimed:
            if one.id in told and (folded := await self._fold(told[one.id])) is not None:
                mark = _mark(origins.get(one.id))
                notification = folded.notification(one, resolved, self._history_of(one), mark)
                notifications[one.id] = (notification, folded.alert_ids)
        return notifications

    async def _digest(self, claimed: Claimed) -> Digest:
        # On a connection of its own: it may take seconds, and others have something to read, too.
        async with self._digesting.use() as driver:
            origins = await contents.origins(driver, [claimed.id])
        async with self._digesting.use() as driver:
            told = await digests.told(driver, claimed.id)
        return Digest(
            id=str(claimed.id),
            channel_id=claimed.channel_id,
            groups=told.groups,
            counts=told.counts,
            alerts=told.alerts,
            history_url=self._history_of(claimed),
            unnotified=told.unnotified,
            fallback_for=_mark(origins.get(claimed.id)),
        )

    def _history_of(self, claimed: Claimed) -> str:
        return f"{self._history_url}{claimed.id}"

    async def _fold(self, members: Sequence[Member]) -> "_Folded | None":
        folded: _Folded | None = None
        for at in range(0, len(members), READ_AT_ONCE):
            part = members[at : at + READ_AT_ONCE]
            groups = await self._receipts.groups(member.receipt_id for member in part)
            for member in part:
                if (group := groups.get(member.receipt_id)) is not None:
                    folded = folded or _Folded(group, member.received_at)
                    folded.add(member, group)
        return folded


class _Folded:
    """Several notifications of a group in one: each alert once, as it was reported last."""

    def __init__(self, group: Group, since: datetime) -> None:
        self._group = group
        self._since = since
        self._alerts: dict[int, Alert] = {}
        self._fired: set[int] = set()

    @property
    def alert_ids(self) -> list[int]:
        """The ids of its alerts, by position."""
        return list(self._alerts)

    def add(self, member: Member, group: Group) -> None:
        """Add a later notification."""
        self._group = group
        for position in range(len(group.alerts)) if member.positions is None else member.positions:
            alert, alert_id = group.alerts[position], member.alert_ids[position]
            self._alerts[alert_id] = alert
            if alert.firing:
                self._fired.add(alert_id)

    def notification(
        self, claimed: Claimed, resolved: dict[int, Resolved], history_url: str, mark: FallbackFor | None
    ) -> Notification:
        """The notification, in which an alert that was resolved meanwhile is."""
        alerts = [_as_it_is(alert, alert_id, resolved) for alert_id, alert in self._alerts.items()]
        return Notification(
            id=str(claimed.id),
            channel_id=claimed.channel_id,
            group=self._group,
            alerts=tuple(alerts),
            unnotified=frozenset(
                position
                for position, (alert, alert_id) in enumerate(zip(alerts, self._alerts, strict=True))
                if not alert.firing and self._is_new(alert_id, resolved)
            ),
            history_url=history_url,
            fallback_for=mark,
        )

    def _is_new(self, alert_id: int, resolved: dict[int, Resolved]) -> bool:
        """Whether it began to fire in what waited, and not in what was sent before that."""
        if alert_id not in self._fired or alert_id not in resolved:
            return False
        return resolved[alert_id].first_received_at >= self._since


def is_plain(claimed: Claimed, moment: datetime) -> bool:
    """Whether it tells its own webhook and nothing else, as that said it, if it is told at a moment."""
    return (
        claimed.receipt_id is not None
        and claimed.attempt == 1
        and not (claimed.carries or claimed.redelivered or claimed.fallback_of is not None)
        and moment - claimed.waiting_since < STALE_AFTER
    )


def _as_sent(claimed: Claimed, group: Group, history_url: str) -> Notification:
    alerts = group.alerts if claimed.positions is None else tuple(group.alerts[at] for at in claimed.positions)
    return Notification(
        id=str(claimed.id), channel_id=claimed.channel_id, group=group, alerts=alerts, history_url=history_url
    )


def _as_it_is(alert: Alert, alert_id: int, resolved: dict[int, Resolved]) -> Alert:
    if not alert.firing or alert_id not in resolved:
        return alert
    return msgspec.structs.replace(alert, status=Status.RESOLVED, ends_at=resolved[alert_id].ends_at)


def _alert_ids(members: Sequence[Member]) -> list[int]:
    return sorted({alert_id for member in members for alert_id in _of(member)})


def _of(member: Member) -> Iterator[int]:
    if member.positions is None:
        yield from member.alert_ids
    else:
        yield from (member.alert_ids[position] for position in member.positions)


def _mark(origin: Origin | None) -> FallbackFor | None:
    return None if origin is None else FallbackFor(channel_id=origin.channel_id, reason=origin.reason)
