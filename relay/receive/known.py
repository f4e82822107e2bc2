"""What a process knows of groups and series from its own commits, which saves the next commit the read.

The write verifies the version of all that it builds on, so that what is known may be out of date.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Collection
from typing import Final, TypeVar

from relay.domain.repeats import GroupState
from relay.domain.series import Series
from relay.store.outbox.ingest_rows import MAX_OCCURRENCES, BatchRows, FreshIds, SeriesKey, StoredState

MAX_KNOWN: Final = 20_000
"""Groups, and series, that are kept in memory: some tens of megabytes."""
READS_AFTER_CONFLICT: Final = 20
"""Batches that are read after one built on what was out of date: another process writes the same groups, or this
process has just started."""
SIZES: Final = 8
"""Batches whose largest determines how many ids are drawn for the next one."""
SPARE_IDS: Final = 16
"""Ids beyond that."""
MAX_AGE: Final = 60.0
"""Seconds for which ids are kept. They are in the order of time, but for those that several processes keep."""

Key = TypeVar("Key")
State = TypeVar("State", GroupState, Series)


class Known:
    """The states of groups and series after the last commits, and ids for the next one."""

    def __init__(self) -> None:
        """Nothing is known."""
        # An ordinary dict searches for its first key from the start, past all that were deleted.
        self._groups: OrderedDict[int, GroupState] = OrderedDict()
        self._series: OrderedDict[SeriesKey, Series] = OrderedDict()
        self._sizes: deque[tuple[int, int]] = deque(maxlen=SIZES)
        self._alert_ids: deque[int] = deque()
        self._receipt_ids: deque[int] = deque()
        self._ids_drawn_at = 0.0
        self._reads = 0

    def state(
        self, group_hashes: Collection[int], keys: Collection[SeriesKey], alerts: int, webhooks: int
    ) -> StoredState | None:
        """The state to decide a batch with, in which what is not known is new; None if it has to be read."""
        if self._reads > 0:
            self._reads -= 1
            return None
        if time.monotonic() - self._ids_drawn_at > MAX_AGE:
            self._alert_ids.clear()
            self._receipt_ids.clear()
        if len(self._alert_ids) < alerts or len(self._receipt_ids) < webhooks:
            return None
        return StoredState(
            [self._groups[key] for key in group_hashes if key in self._groups],
            [self._series[key] for key in keys if key in self._series],
            [self._alert_ids.popleft() for _ in range(alerts)],
            [self._receipt_ids.popleft() for _ in range(webhooks)],
        )

    def ids_to_draw(self, alerts: int, webhooks: int) -> tuple[int, int]:
        """How many ids for alerts and for webhooks the next batch may need, from the sizes of the last ones."""
        self._sizes.append((alerts, webhooks))
        most_alerts, most_webhooks = (max(sizes) for sizes in zip(*self._sizes, strict=True))
        return (
            max(0, most_alerts + SPARE_IDS - len(self._alert_ids)),
            max(0, most_webhooks + SPARE_IDS - len(self._receipt_ids)),
        )

    def conflict(self, group_hashes: Collection[int], keys: Collection[SeriesKey]) -> None:
        """Discard what was decided with, and read for a while."""
        for group_hash in group_hashes:
            self._groups.pop(group_hash, None)
        for key in keys:
            self._series.pop(key, None)
        self._alert_ids.clear()
        self._receipt_ids.clear()
        self._reads = READS_AFTER_CONFLICT

    def forget(self, group_hash: int, identities: frozenset[bytes]) -> None:
        """Discard what was written without this object."""
        self._groups.pop(group_hash, None)
        for key in [key for key in self._series if key.identity in identities]:
            del self._series[key]

    def committed(self, stored: StoredState, written: BatchRows, ids: FreshIds) -> None:
        """Remember the state after a commit, and ids for the next one."""
        for group in stored.groups:
            group.version = group.seq
            _put(self._groups, group.group_hash, group)
        versions = {row.id: row.expected for row in written.series}
        for series in stored.series[-MAX_KNOWN:]:
            if series.id in versions:
                series.version = (versions[series.id] or 0) + 1
            if len(series.occurrences) > MAX_OCCURRENCES:
                series.occurrences.sort(
                    key=lambda occurrence: (occurrence.is_open, occurrence.starts_at, occurrence.id), reverse=True
                )
                del series.occurrences[MAX_OCCURRENCES:]
            _put(self._series, SeriesKey(series.tenant_id, series.source, series.identity), series)
        if not self._alert_ids or not self._receipt_ids:
            self._ids_drawn_at = time.monotonic()
        self._alert_ids += ids.alert_ids
        self._receipt_ids += ids.receipt_ids


def _put(states: OrderedDict[Key, State], key: Key, state: State) -> None:
    """Make a state the last one, and drop the first one if there are too many."""
    states[key] = state
    states.move_to_end(key)
    if len(states) > MAX_KNOWN:
        states.popitem(last=False)
