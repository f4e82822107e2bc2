"""Histories of webhooks, decided without a database."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from relay.domain.alerts import Alert, Group, Status
from relay.domain.channel_types import Filters
from relay.domain.identity import Sender
from relay.domain.series import Occurrence
from relay.receive.batch import Batch, Decision, decide
from relay.receive.incoming import Incoming, Webhook, derive
from relay.route.configuration import Configuration
from relay.route.silences import SilenceTable
from relay.route.table import RoutingTable
from relay.store.outbox.ingest_rows import StoredState

WINDOW = timedelta(seconds=60)
ROUTES = Configuration(RoutingTable(1, {"ops": Filters()}, "tenant_id"), SilenceTable(1, {}))


def at(clock: str) -> datetime:
    """A time on the day of the history, `HH:MM` or `HH:MM:SS`."""
    return datetime.fromisoformat(f"2026-11-23T{clock}").replace(tzinfo=UTC)


def firing(name: str = "a", starts: str = "10:00", fingerprint: str = "", **labels: str) -> Alert:
    """A firing alert."""
    return Alert(
        status=Status.FIRING,
        labels={"alertname": name} | labels,
        annotations={},
        starts_at=at(starts),
        ends_at=None,
        generator_url="",
        fingerprint=fingerprint or name,
    )


def resolved(name: str = "a", starts: str = "10:00", ends: str = "10:10", **labels: str) -> Alert:
    """A resolved alert."""
    return Alert(
        status=Status.RESOLVED,
        labels={"alertname": name} | labels,
        annotations={},
        starts_at=at(starts),
        ends_at=at(ends),
        generator_url="",
        fingerprint=name,
    )


def incoming(
    clock: str,
    *alerts: Alert,
    sender: str = "A",
    url: str = "http://am",
    source: str = "",
    group: str = "g",
    truncated: int = 0,
    body: bytes = b"",
) -> Incoming:
    """A webhook of one sender."""
    received = Group(
        group_key=group,
        receiver="relay",
        alerts=alerts,
        group_labels={},
        common_labels={},
        common_annotations={},
        external_url=url,
        truncated=truncated,
    )
    webhook = Webhook(body=body, group=received, sender=Sender(url, sender), received_at=at(clock), source=source)
    return derive(webhook, "tenant_id")


class History:
    """The state of a relay, kept in memory."""

    def __init__(self, routes: Configuration = ROUTES) -> None:
        self._routes = routes
        self._ids = itertools.count(1)
        self._stored = StoredState([], [], [], [])
        self.batches: list[Batch] = []

    def receive(self, *batch: Incoming) -> list[Decision]:
        """Decide webhooks in one batch."""
        alerts = sum(len(one.keys) for one in batch)
        self._stored.alert_ids, self._stored.receipt_ids = (
            list(itertools.islice(self._ids, count)) for count in (alerts * 2, len(batch))
        )
        decided = decide(batch, self._stored, self._routes, WINDOW)
        for series in self._stored.series:
            series.version = 1
        for group in self._stored.groups:
            group.version = group.seq
        self.batches.append(decided)
        return list(decided.decisions)

    def send(self, clock: str, *alerts: Alert, **sender: str) -> str:
        """Receive one webhook: `new`, `duplicate`, or `nothing` if it is recorded and nothing is delivered."""
        [decision] = self.receive(incoming(clock, *alerts, **sender))  # type: ignore[arg-type]
        return "duplicate" if decision.duplicate else "new" if decision.channel_ids else "nothing"

    @property
    def occurrences(self) -> list[Occurrence]:
        """All occurrences, in the order of their starts."""
        found = [occurrence for series in self._stored.series for occurrence in series.occurrences]
        return sorted(found, key=lambda occurrence: (occurrence.starts_at, occurrence.id))

    @property
    def periods(self) -> list[str]:
        """The occurrences as `start-end`, an open one without an end, and a reason that is not `resolved`."""
        return [_period(occurrence) for occurrence in self.occurrences]

    def delivered(self) -> Sequence[Sequence[int] | None]:
        """The positions of each delivery of the last batch."""
        return [row.positions for row in self.batches[-1].rows.deliveries]


def _period(occurrence: Occurrence) -> str:
    end = "" if occurrence.ends_at is None else _clock(occurrence.ends_at)
    reason = "" if occurrence.end_reason in (None, "resolved") else f" {occurrence.end_reason}"
    return f"{_clock(occurrence.starts_at)}-{end}{reason}"


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M}" if moment.second == 0 else f"{moment:%H:%M:%S}"
