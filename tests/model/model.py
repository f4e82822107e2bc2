"""The rules of senders, duplicates and late reports, one by one, slowly and on plain data: the test's expectation.

A comment that starts with "Choice" marks a decision that the rules do not state.
"""

from collections import defaultdict
from dataclasses import dataclass

from tests.model.series import Arrival, Series
from tests.model.webhooks import Report, Sender, Webhook

SeriesKey = tuple[str, str]
"""Source and alert. Alerts that differ in the fingerprint or in a label are different series."""
GroupKey = tuple[str, str]
"""Source and group key."""


@dataclass
class LastState:
    """The last state of a group that a sender reported, duplicates included."""

    arrival: float
    order: int
    statuses: dict[str, bool]
    """The alerts, and whether they fire; startsAt is ignored."""
    accepted: tuple[float, int] | None
    """When it was accepted as new, as arrival and order; None if it never was."""


@dataclass(frozen=True)
class Decision:
    """What the relay does with a webhook: the occurrence of each alert, and the positions that are delivered."""

    duplicate: bool
    occurrences: tuple[int, ...] = ()
    late: tuple[int, ...] = ()
    delivered: tuple[int, ...] = ()


class Model:
    """All series and senders of one tenant."""

    def __init__(self, window: float) -> None:
        """`window` is RELAY_REPEAT_AFTER."""
        self.window = window
        self.series: defaultdict[SeriesKey, Series] = defaultdict(lambda: Series(window))
        self.last_states: defaultdict[GroupKey, dict[Sender, LastState]] = defaultdict(dict)
        self._order = 0
        self._ids = 0

    def receive(self, webhook: Webhook) -> Decision:
        """Apply the rules in their order: duplicate of its own, duplicate of another sender, late, new."""
        self._order += 1
        states = self.last_states[webhook.source, webhook.group]
        own = states.get(webhook.sender)
        repeats = self._repeats_own(webhook, own) or self._repeats_another(webhook, states, own)
        # Choice: a report that opens, closes or adopts an occurrence, or is the first of its end in the group, is
        # not a duplicate, whatever was reported before. Otherwise an alert is left firing when a peer sent the
        # firing between two equal resolves of a sender: each peer leaves out what the other one sent.
        if repeats and not any(self._changes(webhook, report) for report in webhook.reports):
            for report in webhook.reports:
                self._series(webhook, report).mention(_arrival(webhook), report)
            decision = Decision(duplicate=True)
        else:
            decision = self._accept(webhook)
        # Choice: a webhook with nothing but late reports is late, not accepted as new.
        if not decision.duplicate and len(decision.late) < len(webhook.reports):
            accepted: tuple[float, int] | None = (webhook.at, self._order)
        else:
            # Choice: a state that was accepted stays so while its sender repeats it.
            accepted = own.accepted if own is not None and own.statuses == _statuses(webhook) else None
        states[webhook.sender] = LastState(webhook.at, self._order, _statuses(webhook), accepted)
        return decision

    def _repeats_own(self, webhook: Webhook, own: LastState | None) -> bool:
        """Rule 1: the sender's own last state within the window.

        A firing startsAt later than the arrival of that report makes another state, other differences do not.
        Choice: the window begins at the sender's last report of the group, duplicates included.
        """
        if own is None or webhook.at - own.arrival >= self.window or _statuses(webhook) != own.statuses:
            return False
        return not any(report.firing and report.starts_at > own.arrival for report in webhook.reports)

    def _repeats_another(self, webhook: Webhook, states: dict[Sender, LastState], own: LastState | None) -> bool:
        """Rule 2: the alerts and statuses of another sender's last state.

        That state must have been accepted as new within the window, and since this sender's previous report.
        """
        for sender, state in states.items():
            if sender == webhook.sender or state.accepted is None or state.statuses != _statuses(webhook):
                continue
            accepted_at, accepted_order = state.accepted
            if webhook.at - accepted_at < self.window and (own is None or accepted_order > own.order):
                return True
        return False

    def _accept(self, webhook: Webhook) -> Decision:
        """Rules 3 and 4: late alerts are recorded, everything else is new."""
        occurrences, late, delivered = [], [], []
        for position, report in enumerate(webhook.reports):
            series = self._series(webhook, report)
            if self._adopts(webhook, report):
                series.adopt(self.series["", report.alert], _arrival(webhook))
            self._ids += 1
            placed = series.place(_arrival(webhook), report, self._ids)
            occurrences.append(placed.occurrence.id)
            if placed.late:
                late.append(position)
            if placed.delivered:
                delivered.append(position)
        return Decision(False, tuple(occurrences), tuple(late), tuple(delivered))

    def _changes(self, webhook: Webhook, report: Report) -> bool:
        series = self._series(webhook, report)
        return self._adopts(webhook, report) or series.changed_by(_arrival(webhook), report)

    def _adopts(self, webhook: Webhook, report: Report) -> bool:
        """A report with a source adopts the open alert of the empty source with the same externalURL."""
        if not webhook.source:
            return False
        old = self.series["", report.alert]
        return self._series(webhook, report).adopts(old, webhook.sender.external_url)

    def _series(self, webhook: Webhook, report: Report) -> Series:
        return self.series[webhook.source, report.alert]


def _arrival(webhook: Webhook) -> Arrival:
    return Arrival(webhook.at, webhook.sender, (webhook.source, webhook.group))


def _statuses(webhook: Webhook) -> dict[str, bool]:
    return {report.alert: report.firing for report in webhook.reports}
