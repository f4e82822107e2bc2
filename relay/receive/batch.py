"""Conversion of a batch of webhooks into rows.

Pure. An alert may occur several times in a batch (in several groups, or firing and then resolved). It is written
once, in its last state; each webhook keeps its own content.
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
    """A decoded webhook and its body."""

    body: bytes
    group: Group


class Batch(msgspec.Struct, frozen=True):
    """The rows of a batch. Webhooks with the same state share a row; `row_of` has the row of each webhook.

    `late` has, for each row, the number of firing alerts that an earlier webhook of the batch already resolved.
    """

    alerts: tuple[AlertRow, ...]
    webhooks: tuple[WebhookRow, ...]
    row_of: tuple[int, ...]
    late: tuple[int, ...]


class _AlertState(msgspec.Struct):
    alert: Alert
    tenant: str
    groups: set[int]


def build_batch(webhooks: Sequence[Webhook], table: RoutingTable, received_at: datetime) -> Batch:
    """Merge the webhooks, in order, into distinct alerts and distinct states of groups."""
    states: dict[Occurrence, _AlertState] = {}
    rows: dict[bytes, tuple[Group, bytes, list[Occurrence], set[int]]] = {}
    row_of: list[int] = []
    order: dict[bytes, int] = {}
    for webhook in webhooks:
        group = webhook.group
        state = state_hash(group, table.tenant_label)
        row_of.append(order.setdefault(state, len(order)))
        occurrences, late = _merge(group, table.tenant_label, states)
        rows.setdefault(state, (group, webhook.body, occurrences, late))
    ordered = sorted(states)
    index = {occurrence: at for at, occurrence in enumerate(ordered)}
    return Batch(
        alerts=tuple(_alert_row(states[occurrence], received_at) for occurrence in ordered),
        webhooks=tuple(
            _webhook_row(state, group, body, [index[o] for o in occurrences], late, table)
            for state, (group, body, occurrences, late) in rows.items()
        ),
        row_of=tuple(row_of),
        late=tuple(len(late) for _, _, _, late in rows.values()),
    )


def state_hash(group: Group, tenant_label: str) -> bytes:
    """Hash the state of a group: its key, and the status of each occurrence of its alerts.

    Annotations, the receiver and the Alertmanager's address are excluded, so that the peers of an HA pair agree.
    """
    facts = sorted(
        (_tenant(alert, tenant_label), alert.fingerprint, alert.starts_at.isoformat(), alert.status)
        for alert in group.alerts
    )
    state = _encoder.encode((group.group_key, group.truncated, facts))
    return hashlib.blake2b(state, digest_size=STATE_HASH_BYTES).digest()


def group_hash(group_key: str) -> int:
    """Hash a group key to a signed 64-bit number, so that a key of any length can be indexed."""
    return int.from_bytes(hashlib.blake2b(group_key.encode(), digest_size=8).digest(), signed=True)


def _merge(
    group: Group, tenant_label: str, states: dict[Occurrence, _AlertState]
) -> tuple[list[Occurrence], set[int]]:
    """Merge a group's alerts into `states`; return their occurrences, and the positions of late alerts."""
    occurrences: list[Occurrence] = []
    late: set[int] = set()
    hashed = group_hash(group.group_key)
    for position, alert in enumerate(group.alerts):
        tenant = _tenant(alert, tenant_label)
        occurrence = (tenant, alert.fingerprint, alert.starts_at)
        occurrences.append(occurrence)
        known = states.get(occurrence)
        if known is None:
            states[occurrence] = _AlertState(alert, tenant, {hashed})
            continue
        known.groups.add(hashed)
        if alert.firing and not known.alert.firing:
            late.add(position)
        elif known.alert.firing:
            known.alert = alert
    return occurrences, late


def _alert_row(state: _AlertState, received_at: datetime) -> AlertRow:
    alert, labels = state.alert, state.alert.labels
    resolved = alert.status is Status.RESOLVED
    return AlertRow(
        tenant_id=state.tenant,
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
        group_hashes=tuple(sorted(state.groups)),
    )


def _webhook_row(
    state: bytes, group: Group, body: bytes, alert_rows: list[int], late: set[int], table: RoutingTable
) -> WebhookRow:
    deliveries = []
    for channel_id, positions in table.route(group).items():
        kept = positions
        if late:
            candidates = range(len(group.alerts)) if positions is None else positions
            kept = tuple(position for position in candidates if position not in late)
        if kept is None or kept:
            alerts = group.alerts if kept is None else [group.alerts[position] for position in kept]
            deliveries.append(DeliveryRow(channel_id, kept, rank_of(alerts)))
    return WebhookRow(
        state_hash=state,
        group_hash=group_hash(group.group_key),
        group_key=group.group_key,
        receiver=group.receiver,
        status=status_of(group.alerts).value,
        body=body,
        alerts=tuple(alert_rows),
        firing=tuple(alert.firing for alert in group.alerts),
        deliveries=tuple(deliveries),
    )


def _tenant(alert: Alert, tenant_label: str) -> str:
    return alert.labels.get(tenant_label, "")[:MAX_INDEXED_TEXT]


def _indexed(value: str | None) -> str | None:
    return None if value is None else value[:MAX_INDEXED_TEXT]
