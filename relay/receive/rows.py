"""Conversion of a decided batch into rows."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec

from relay.domain.alerts import Alert, status_of
from relay.domain.identity import Sender, group_hash, without_name
from relay.domain.notifications import rank_of
from relay.domain.repeats import GroupState
from relay.domain.series import Occurrence, Series
from relay.domain.silences import Silence
from relay.domain.suppression import SILENCE
from relay.receive.incoming import Incoming, Webhook
from relay.route.configuration import Configuration
from relay.store.outbox.ingest_rows import (
    MAX_INDEXED_TEXT,
    AlertRow,
    BatchRows,
    DeliveryRow,
    GroupRow,
    ReceiptRow,
    RepeatRow,
    SenderRow,
    SeriesKey,
    SeriesRow,
    SuppressedRow,
    UnsourcedRow,
)

RepeatKind = Literal["duplicate", "late"]


class Placed(msgspec.Struct, frozen=True, gc=False):
    """The occurrence that an alert of a webhook belongs to; see `relay.domain.occurrences.Placement`."""

    alert_id: int
    delivered: bool
    late: bool


class _Touched(msgspec.Struct, gc=False):
    """An occurrence that a batch changes, and the last report with its annotations, if they are to be stored."""

    series: Series
    occurrence: Occurrence
    alert: Alert | None


class Collected:
    """All that a batch changes."""

    def __init__(self) -> None:
        """Start with no changes."""
        self.labels: dict[int, dict[str, str]] = {}
        self.receipts: list[ReceiptRow] = []
        self.deliveries: list[DeliveryRow] = []
        self.suppressed: list[SuppressedRow] = []
        self._groups: dict[int, tuple[GroupState, Webhook]] = {}
        self._series: dict[int, Series] = {}
        self._occurrences: dict[int, _Touched] = {}
        self._repeats: dict[tuple[int, int, str], RepeatRow] = {}
        self._senders: dict[tuple[str, int], Webhook] = {}
        self._unsourced: dict[SeriesKey, UnsourcedRow] = {}
        self._routed: set[int] = set()
        self._unrouted: set[int] = set()

    def saw(self, incoming: Incoming, group: GroupState) -> None:
        """Write the states of a group, and when the sender was last seen."""
        self._groups[group.group_hash] = (group, incoming.webhook)
        self._senders[(incoming.webhook.source, incoming.sender)] = incoming.webhook

    def looked_up(self, key: SeriesKey, series: Series | None) -> None:
        """Verify at the commit that a series of the empty source is as it was when adoption was decided."""
        self._unsourced[key] = UnsourcedRow(
            key.tenant_id, key.source, key.identity, None if series is None else series.version
        )

    def touched(self, series: Series, occurrence: Occurrence, alert: Alert | None) -> None:
        """Write an occurrence and its series. `alert` has the annotations to be stored."""
        self._series[series.id] = series
        known = self._occurrences.get(occurrence.id)
        if known is None:
            self._occurrences[occurrence.id] = _Touched(series, occurrence, alert)
        else:
            known.series, known.alert = series, alert or known.alert

    def repeat(self, incoming: Incoming, receipt_id: int, kind: RepeatKind) -> None:
        """Count a duplicate or late report on the receipt that it repeats."""
        key = (receipt_id, incoming.sender, kind)
        count = self._repeats[key].count if key in self._repeats else 0
        self._repeats[key] = RepeatRow(*key, count + 1, incoming.webhook.received_at)

    def routed(self, placed: Sequence[Placed], unmatched: Collection[int]) -> None:
        """Write which alerts matched a channel; `unmatched` are the positions of the others."""
        omitted = frozenset(unmatched)
        self._unrouted.update(placed[position].alert_id for position in omitted)
        self._routed.update([one.alert_id for position, one in enumerate(placed) if position not in omitted])

    def rows(self, known: Collection[int]) -> BatchRows:
        """The rows; `known` are the ids of stored occurrences."""
        return BatchRows(
            groups=[_group_row(*self._groups[key]) for key in sorted(self._groups)],
            series=[
                _series_row(series, self.labels.get(series.id))
                for series in sorted(self._series.values(), key=_place_of)
            ],
            unsourced=list(self._unsourced.values()),
            alerts=[
                _alert_row(touched, added=at not in known, routed=self._was_routed(at, added=at not in known))
                for at, touched in sorted(self._occurrences.items())
            ],
            receipts=self.receipts,
            deliveries=self.deliveries,
            suppressed=self.suppressed,
            repeats=[self._repeats[key] for key in sorted(self._repeats)],
            senders=[
                _sender_row(source, sender, self._senders[(source, sender)])
                for source, sender in sorted(self._senders)
            ],
        )

    def _was_routed(self, alert_id: int, *, added: bool) -> bool | None:
        """What to store of an alert, None for what is stored of it, or for a new one that was routed."""
        if alert_id in self._routed:
            return None if added else True
        return False if added and alert_id in self._unrouted else None


def unmatched(routes: Mapping[str, Sequence[int] | None], total: int) -> Sequence[int]:
    """The positions of the alerts that match no channel; see `RoutingTable.route`."""
    if any(positions is None for positions in routes.values()):
        return ()
    matched = set(itertools.chain.from_iterable(positions for positions in routes.values() if positions))
    return tuple([position for position in range(total) if position not in matched])


def stored_hash(incoming: Incoming, *, adopted: bool) -> int:
    """The hash of a webhook's group, that of the group without its source if it has adopted alerts."""
    if not adopted:
        return incoming.group_hash
    return group_hash(incoming.webhook.group.group_key, without_name(incoming.webhook.source))


def receipt_row(
    incoming: Incoming, receipt_id: int, placed: Sequence[Placed], config_version: int, *, adopted: bool
) -> ReceiptRow:
    """The row of an accepted webhook."""
    webhook = incoming.webhook
    group = webhook.group
    return ReceiptRow(
        id=receipt_id,
        group_hash=stored_hash(incoming, adopted=adopted),
        group_key=group.group_key,
        receiver=group.receiver,
        status=status_of(group.alerts).value,
        received_at=webhook.received_at,
        body=webhook.body,
        alert_ids=tuple([one.alert_id for one in placed]),
        source=webhook.source,
        sender_hash=incoming.sender,
        adopted=adopted,
        late=tuple([position for position, one in enumerate(placed) if one.late]),
        config_version=config_version,
    )


def suppressed_row(
    receipt: ReceiptRow,
    placed: Sequence[Placed],
    alerts: Sequence[Alert],
    channel_id: str,
    positions: Sequence[int],
    silences: Mapping[int, Sequence[Silence]],
    configuration: Configuration,
) -> SuppressedRow:
    """The row of alerts at positions that are silenced for a channel."""
    suppressed_by: dict[str, list[int]] = {}
    for position in positions:
        for silence in silences[position]:
            suppressed_by.setdefault(SILENCE + silence.id, []).append(placed[position].alert_id)
    return SuppressedRow(
        receipt_id=receipt.id,
        channel_id=channel_id,
        group_hash=receipt.group_hash,
        source=receipt.source,
        tenant_id=configuration.table.channels[channel_id].tenant_id,
        rank=rank_of([alerts[position] for position in positions]),
        alert_ids=tuple([placed[position].alert_id for position in positions]),
        suppressed_by=suppressed_by,
        config_version=configuration.version,
    )


def _group_row(group: GroupState, webhook: Webhook) -> GroupRow:
    return GroupRow(
        group_hash=group.group_hash,
        expected=group.version,
        version=group.seq,
        senders=group.senders,
        updated_at=webhook.received_at,
    )


def _place_of(series: Series) -> tuple[bytes, str, str]:
    return series.identity, series.tenant_id, series.source


def _series_row(series: Series, labels: dict[str, str] | None) -> SeriesRow:
    opened = series.open
    return SeriesRow(
        id=series.id,
        expected=series.version,
        tenant_id=series.tenant_id,
        source=series.source,
        identity=series.identity,
        labels=labels,
        open_alert_id=None if opened is None else opened.id,
        reports=series.reports,
    )


def _alert_row(touched: _Touched, *, added: bool, routed: bool | None) -> AlertRow:
    series, occurrence, alert = touched.series, touched.occurrence, touched.alert
    labels = {} if alert is None else alert.labels
    first, last = occurrence.first_received_at, occurrence.last_received_at
    return AlertRow(
        id=occurrence.id,
        series_id=occurrence.series_id,
        tenant_id=series.tenant_id,
        source=occurrence.source,
        fingerprint="" if alert is None else alert.fingerprint,
        starts_at=occurrence.starts_at,
        alertname="" if alert is None else alert.name[:MAX_INDEXED_TEXT],
        severity=_indexed(labels.get("severity")),
        category=_indexed(labels.get("category")),
        annotations=None if alert is None else alert.annotations,
        ends_at=occurrence.ends_at,
        end_reason=occurrence.end_reason,
        generator_url=None if alert is None else alert.generator_url,
        first_received_at=first if added else None,
        last_received_at=None if added and last == first else last,
        resolved_received_at=occurrence.resolved_received_at,
        resolved_by=occurrence.resolved_by,
        group_hashes=occurrence.groups,
        resolved_group_hashes=occurrence.resolved_groups or None,
        receipt_id=occurrence.receipt_id,
        adopted=occurrence.adopted,
        routed=routed,
    )


def _sender_row(source: str, sender: int, webhook: Webhook) -> SenderRow:
    seen: Sender = webhook.sender
    return SenderRow(source, sender, seen.external_url, seen.address, webhook.received_at)


def _indexed(value: str | None) -> str | None:
    return None if value is None else value[:MAX_INDEXED_TEXT]
