"""Decision of a batch of webhooks: what each one adds to the stored state, and what is delivered.

Pure. The webhooks are decided in order, so that an alert may fire, end and fire again within one batch.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from relay.domain import repeats
from relay.domain.adoption import adopt, adopts
from relay.domain.alerts import Alert
from relay.domain.notifications import rank_of
from relay.domain.occurrences import Placement, changes, observe, place
from relay.domain.repeats import GroupState
from relay.domain.series import Series
from relay.receive import rows
from relay.receive.incoming import Incoming
from relay.receive.rows import Placed
from relay.route.configuration import Configuration, Silenced
from relay.store.outbox.ingest_rows import BatchRows, DeliveryRow, ReceiptRow, SeriesKey, StoredState


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one webhook. `suppressed` counts its alerts that are not delivered.

    `held` counts alerts that channels do not get because they are silenced, for each channel.
    `unrouted` has the positions of its firing alerts that match no channel.
    `alternating`: unrelated senders report different alerts in this group.
    """

    duplicate: bool
    suppressed: int = 0
    held: int = 0
    channel_ids: tuple[str, ...] = ()
    unrouted: tuple[int, ...] = ()
    alternating: bool = False


class Batch(msgspec.Struct, frozen=True):
    """The rows of a batch, and the decision on each webhook."""

    rows: BatchRows
    decisions: tuple[Decision, ...]


def decide(
    batch: Sequence[Incoming], stored: StoredState, configuration: Configuration, window: timedelta
) -> Batch:
    """Decide webhooks, in order; `stored` is changed to the state after them."""
    state = State(stored, window)
    decisions = tuple(state.decide(incoming, configuration) for incoming in batch)
    return Batch(state.rows(), decisions)


class State:
    """The state of groups and series in the course of a batch."""

    def __init__(self, stored: StoredState, window: timedelta) -> None:
        """`stored` is changed to the state after what is decided."""
        self._stored, self._window = stored, window
        self._groups = {group.group_hash: group for group in stored.groups}
        self._series = {_key(series): series for series in stored.series}
        self._alert_ids, self._receipt_ids = iter(stored.alert_ids), iter(stored.receipt_ids)
        self._known = {occurrence.id for series in stored.series for occurrence in series.occurrences}
        self._first_alerts: set[int] = set()
        self._collected = rows.Collected()

    def decide(self, incoming: Incoming, configuration: Configuration) -> Decision:
        """Decide one webhook."""
        group = self.group_of(incoming.group_hash)
        repeated = repeats.repeated_receipt(group, incoming.report, self._window)
        # What changes an occurrence is no duplicate. Otherwise an alert is left firing when a peer sends
        # the firing between two equal resolves of a sender: a peer does not send what the other one has sent.
        if repeated is not None and not self.changes(incoming):
            self.observe(incoming)
            return self.record_duplicate(incoming, group, repeated)
        receipt_id = next(self._receipt_ids)
        adopted = self.adopt(incoming)
        placed = self.place(incoming, receipt_id, adopted=adopted)
        routes = configuration.table.route(incoming.webhook.group, incoming.webhook.source)
        return self.record_accepted(incoming, group, receipt_id, placed, routes, configuration, adopted=adopted)

    def group_of(self, group_hash: int) -> GroupState:
        """The state of a group, a new one if none is stored."""
        group = self._groups.get(group_hash)
        if group is None:
            group = self._groups[group_hash] = GroupState(group_hash=group_hash)
            self._stored.groups.append(group)
        return group

    def changes(self, incoming: Incoming) -> bool:
        """Whether a webhook opens, closes or adopts an occurrence."""
        alerts = zip(incoming.keys, incoming.webhook.group.alerts, strict=True)
        old = [self._series.get(key) for key in incoming.keys_without_source]
        return any(series is not None and adopts(series, incoming.url) for series in old) or any(
            series is None or changes(series, incoming.report_of(alert, None), self._window)
            for series, alert in ((self._series.get(key), alert) for key, alert in alerts)
        )

    def observe(self, incoming: Incoming) -> None:
        """Record the alerts of a duplicate."""
        self._looked_up(incoming)
        for key, alert in zip(incoming.keys, incoming.webhook.group.alerts, strict=True):
            if (series := self._series.get(key)) is not None:
                occurrence = observe(series, incoming.report_of(alert, None), self._window)
                if occurrence is not None:
                    self._collected.touched(series, occurrence, alert if occurrence.is_open else None)

    def record_duplicate(self, incoming: Incoming, group: GroupState, repeated: int) -> Decision:
        """Record a webhook that repeats a receipt."""
        repeats.record(group, incoming.report, repeated, accepted=False)
        self._collected.saw(incoming, group)
        self._collected.repeat(incoming, repeated, "duplicate")
        return Decision(duplicate=True, alternating=repeats.is_alternating(group))

    def adopt(self, incoming: Incoming) -> bool:
        """Adopt what is open without a source; return whether the group keeps its hash without a source.

        It keeps it until all of its occurrences have ended, so that its message shows none that fires on.
        """
        self._looked_up(incoming)
        for key, old_key in zip(incoming.keys, incoming.keys_without_source, strict=False):
            if (old := self._series.get(old_key)) is not None and (opened := old.open) is not None:
                series = self._series_of(key)
                adopt(series, old, incoming.url, incoming.webhook.received_at)
                self._collected.touched(old, opened, None)
                self._collected.touched(series, opened, None)
        opens = (self._series[key].open for key in incoming.keys if key in self._series)
        return any(occurrence is not None and occurrence.adopted for occurrence in opens)

    def place(self, incoming: Incoming, receipt_id: int, *, adopted: bool) -> list[Placed]:
        """Place the alerts of a new webhook, in its order."""
        placements = [
            self._place(incoming, key, alert, receipt_id, adopted=adopted)
            for key, alert in zip(incoming.keys, incoming.webhook.group.alerts, strict=True)
        ]
        if adopted:
            kept_hash = rows.stored_hash(incoming, adopted=True)
            for placement in placements:
                placement.occurrence.add_group(kept_hash)
        return [Placed(placed.occurrence.id, placed.delivered, placed.late) for placed in placements]

    def record_accepted(
        self,
        incoming: Incoming,
        group: GroupState,
        receipt_id: int,
        placed: Sequence[Placed],
        routes: Mapping[str, Sequence[int] | None],
        configuration: Configuration,
        *,
        adopted: bool,
    ) -> Decision:
        """Record a new webhook whose alerts are placed, and queue its deliveries.

        `routes` has the positions of the alerts that each channel matches, None for all.
        """
        receipt = rows.receipt_row(incoming, receipt_id, placed, configuration.version, adopted=adopted)
        self._collected.saw(incoming, group)
        self._collected.receipts.append(receipt)
        # What is late is not accepted as new: the report of another sender that it fires again is not a duplicate.
        late = all(one.late for one in placed)
        alerts = incoming.webhook.group.alerts
        unmatched = rows.unmatched(routes, len(alerts))
        self._collected.routed(placed, unmatched)
        repeats.record(group, incoming.report, receipt_id, accepted=not late)
        channel_ids, silenced, held = self._queue(incoming, receipt, placed, routes, configuration)
        return Decision(
            duplicate=False,
            suppressed=sum(not one.delivered for one in placed) + silenced,
            held=held,
            channel_ids=channel_ids,
            unrouted=tuple([position for position in unmatched if alerts[position].firing]),
            alternating=repeats.is_alternating(group),
        )

    def _place(
        self, incoming: Incoming, key: SeriesKey, alert: Alert, receipt_id: int, *, adopted: bool
    ) -> Placement:
        series = self._series_of(key, alert)
        before = series.open
        placement = place(
            series,
            incoming.report_of(alert, receipt_id, adopted=adopted),
            self._window,
            lambda: self._new_alert_id(series),
        )
        occurrence = placement.occurrence
        if before is not None and before is not occurrence:
            self._collected.touched(series, before, None)
        current = placement.delivered or occurrence.id not in self._known
        self._collected.touched(series, occurrence, alert if current else None)
        if placement.late and occurrence.receipt_id is not None:
            self._collected.repeat(incoming, occurrence.receipt_id, "late")
        return placement

    def _series_of(self, key: SeriesKey, alert: Alert | None = None) -> Series:
        series = self._series.get(key)
        if series is None:
            series = Series(
                id=next(self._alert_ids), tenant_id=key.tenant_id, source=key.source, identity=key.identity
            )
            self._series[key] = series
            self._stored.series.append(series)
        if alert is not None and series.version is None:
            self._collected.labels[series.id] = alert.labels
        return series

    def _new_alert_id(self, series: Series) -> int:
        """An id for an alert; the first one of a new series shares that of the series."""
        if series.version is not None or series.id in self._first_alerts:
            return next(self._alert_ids)
        self._first_alerts.add(series.id)
        return series.id

    def _looked_up(self, incoming: Incoming) -> None:
        for key in incoming.keys_without_source:
            self._collected.looked_up(key, self._series.get(key))

    def _queue(
        self,
        incoming: Incoming,
        receipt: ReceiptRow,
        placed: Sequence[Placed],
        routes: Mapping[str, Sequence[int] | None],
        configuration: Configuration,
    ) -> tuple[tuple[str, ...], int, int]:
        """Queue the deliveries of the alerts that are delivered; what is silenced for a channel waits.

        Return the channels that get any; how many alerts no channel gets because they are silenced; and how many
        are silenced for a channel, over all channels.
        """
        alerts = incoming.webhook.group.alerts
        delivered = {position: alerts[position] for position, one in enumerate(placed) if one.delivered}
        silenced = Silenced(configuration, delivered, receipt.received_at)
        channel_ids: list[str] = []
        held = 0
        for channel_id, positions in routes.items():
            kept = positions
            if len(delivered) < len(alerts):
                matched = range(len(alerts)) if positions is None else positions
                kept = tuple(position for position in matched if position in delivered)
            if silences := silenced.for_channel(channel_id):
                matched = range(len(alerts)) if kept is None else kept
                if waiting := [position for position in matched if position in silences]:
                    self._collected.suppressed.append(
                        rows.suppressed_row(receipt, placed, alerts, channel_id, waiting, silences, configuration)
                    )
                    silenced.held.update(waiting)
                    held += len(waiting)
                    kept = tuple(position for position in matched if position not in silences)
            if kept is not None and not kept:
                continue
            row = DeliveryRow(
                receipt_id=receipt.id,
                channel_id=channel_id,
                group_hash=receipt.group_hash,
                source=receipt.source,
                tenant_id=configuration.table.channels[channel_id].tenant_id,
                positions=kept,
                rank=rank_of(alerts if kept is None else [alerts[position] for position in kept]),
            )
            self._collected.deliveries.append(row)
            channel_ids.append(channel_id)
            silenced.sent(range(len(alerts)) if kept is None else kept)
        return tuple(channel_ids), len(silenced.held - silenced.queued), held

    def rows(self) -> BatchRows:
        """What the batch writes."""
        return self._collected.rows(self._known)


def _key(series: Series) -> SeriesKey:
    return SeriesKey(series.tenant_id, series.source, series.identity)
