"""What does a batch of webhooks become: which rows, and which webhooks are the same?

Pure. Within a batch an alert may come several times (in several groups, or firing and then resolved); it is
written once, as the batch leaves it, and each webhook keeps what it said itself.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group, Status, status_of
from relay.domain.notifications import rank_of
from relay.route.table import RoutingTable
from relay.store.outbox.ingest import MAX_INDEXED_TEXT, AlertRow, DeliveryRow, WebhookRow

STATE_HASH_BYTES: Final = 16
_encoder = msgspec.json.Encoder()

Occurrence = tuple[str, str, datetime]


class Webhook(msgspec.Struct, frozen=True):
    """A decoded webhook with the bytes that it came in."""

    body: bytes
    group: Group


class Batch(msgspec.Struct, frozen=True):
    """The rows of a batch. `row_of` gives for each webhook its row, which webhooks of the same state share.

    `late` counts for each row the firing reports of alerts that an earlier webhook of the batch resolved.
    """

    alerts: tuple[AlertRow, ...]
    webhooks: tuple[WebhookRow, ...]
    row_of: tuple[int, ...]
    late: tuple[int, ...]


class _Seen(msgspec.Struct):
    alert: Alert
    tenant: str
    groups: set[int]


def build_batch(webhooks: Sequence[Webhook], table: RoutingTable, received_at: datetime) -> Batch:
    """Fold the webhooks, in their order, into distinct alerts and distinct states of groups."""
    seen: dict[Occurrence, _Seen] = {}
    rows: dict[bytes, tuple[Group, bytes, list[Occurrence], set[int]]] = {}
    row_of: list[int] = []
    order: dict[bytes, int] = {}
    for webhook in webhooks:
        group = webhook.group
        state = state_hash(group, table.tenant_label)
        row_of.append(order.setdefault(state, len(order)))
        occurrences, late = _fold(group, table.tenant_label, seen)
        rows.setdefault(state, (group, webhook.body, occurrences, late))
    ordered = sorted(seen)
    index = {occurrence: k for k, occurrence in enumerate(ordered)}
    return Batch(
        alerts=tuple(_alert_row(seen[occurrence], received_at) for occurrence in ordered),
        webhooks=tuple(
            _webhook_row(state, group, body, [index[o] for o in occurrences], late, table)
            for state, (group, body, occurrences, late) in rows.items()
        ),
        row_of=tuple(row_of),
        late=tuple(len(late) for _, _, _, late in rows.values()),
    )


def state_hash(group: Group, tenant_label: str) -> bytes:
    """What makes two webhooks say the same: the group, and which occurrences of which alerts are in which state.

    Rendered text, the receiver's and the Alertmanager's own address take no part, so that the peers of an HA
    pair agree.
    """
    facts = sorted(
        (_tenant(alert, tenant_label), alert.fingerprint, alert.starts_at.isoformat(), alert.status)
        for alert in group.alerts
    )
    said = _encoder.encode((group.group_key, group.truncated, facts))
    return hashlib.blake2b(said, digest_size=STATE_HASH_BYTES).digest()


def group_hash(group_key: str) -> int:
    """A signed 64-bit name of a group, short enough to index whatever the key's length."""
    return int.from_bytes(hashlib.blake2b(group_key.encode(), digest_size=8).digest(), signed=True)


def _fold(group: Group, tenant_label: str, seen: dict[Occurrence, _Seen]) -> tuple[list[Occurrence], set[int]]:
    """Add a group's alerts to what was seen; the positions of those that come too late are told apart."""
    occurrences: list[Occurrence] = []
    late: set[int] = set()
    hashed = group_hash(group.group_key)
    for position, alert in enumerate(group.alerts):
        tenant = _tenant(alert, tenant_label)
        occurrence = (tenant, alert.fingerprint, alert.starts_at)
        occurrences.append(occurrence)
        before = seen.get(occurrence)
        if before is None:
            seen[occurrence] = _Seen(alert, tenant, {hashed})
            continue
        before.groups.add(hashed)
        if alert.firing and not before.alert.firing:
            late.add(position)
        elif before.alert.firing:
            before.alert = alert
    return occurrences, late


def _alert_row(seen: _Seen, received_at: datetime) -> AlertRow:
    alert, labels = seen.alert, seen.alert.labels
    resolved = alert.status is Status.RESOLVED
    return AlertRow(
        tenant_id=seen.tenant,
        fingerprint=alert.fingerprint,
        starts_at=alert.starts_at,
        status=alert.status.value,
        alertname=alert.name[:MAX_INDEXED_TEXT],
        severity=_indexed(labels.get("severity")),
        category=_indexed(labels.get("category")),
        labels=_encoder.encode(labels).decode(),
        annotations=_encoder.encode(alert.annotations).decode(),
        ends_at=(alert.ends_at or received_at) if resolved else None,
        generator_url=alert.generator_url,
        group_hashes="{" + ",".join(map(str, sorted(seen.groups))) + "}",
    )


def _webhook_row(
    state: bytes, group: Group, body: bytes, alerts: list[int], late: set[int], table: RoutingTable
) -> WebhookRow:
    deliveries = []
    for channel_id, positions in table.route(group).items():
        kept = positions
        if late:
            every = range(len(group.alerts)) if positions is None else positions
            kept = tuple(position for position in every if position not in late)
        if kept is None or kept:
            told = group.alerts if kept is None else [group.alerts[position] for position in kept]
            deliveries.append(DeliveryRow(channel_id, kept, rank_of(told)))
    return WebhookRow(
        state_hash=state,
        group_hash=group_hash(group.group_key),
        group_key=group.group_key,
        receiver=group.receiver,
        status=status_of(group.alerts).value,
        body=body,
        alerts=tuple(alerts),
        firing=tuple(alert.firing for alert in group.alerts),
        deliveries=tuple(deliveries),
    )


def _tenant(alert: Alert, tenant_label: str) -> str:
    return alert.labels.get(tenant_label, "")[:MAX_INDEXED_TEXT]


def _indexed(value: str | None) -> str | None:
    return None if value is None else value[:MAX_INDEXED_TEXT]
