"""Which webhooks of a group are new, and which repeat what was accepted before (rules 1, 2 and 4 of duplicates).

Pure: the stored states of the group and the clock come in. Rule 3, late alerts, concerns single alerts: see
`relay.domain.occurrences`.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

MAX_SENDERS: Final = 16
"""Senders of a group whose states are kept, the last ones; a pod gets a new address with every restart."""


class SenderState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last state of a group that one sender reported.

    `seq` counts the webhooks of the group, in the order in which they were decided. `receipt_id` is the webhook
    that was accepted, of this sender or the one that this sender repeated. `accepted_seq` is None if the state was
    never accepted from this sender.
    """

    sender: int
    state: str
    alerts: str
    received_at: datetime
    seq: int
    receipt_id: int
    accepted_at: datetime | None = None
    accepted_seq: int | None = None
    alternations: int = 0


class GroupState(msgspec.Struct, kw_only=True, gc=False):
    """The last states of a group, by sender. `version` is that of the stored row, None if there is none."""

    group_hash: int
    seq: int = 0
    version: int | None = None
    senders: tuple[SenderState, ...] = ()

    def of(self, sender: int) -> SenderState | None:
        """The last state that a sender reported."""
        return next((state for state in self.senders if state.sender == sender), None)


class GroupReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One webhook of a group. `latest_start` is the latest startsAt of its firing alerts.

    `state` hashes its alerts and their statuses, `alerts` the alerts alone.
    """

    sender: int
    state: str
    alerts: str
    received_at: datetime
    latest_start: datetime | None


def repeated_receipt(group: GroupState, report: GroupReport, window: timedelta) -> int | None:
    """The receipt that a webhook repeats, or None if the webhook is new."""
    own = group.of(report.sender)
    # 1. The sender's own last state within the window is a duplicate. A firing startsAt later than the arrival of
    # that report makes another state: the alert ended in between. Other differences of startsAt do not.
    if (
        own is not None
        and own.state == report.state
        and report.received_at - own.received_at < window
        and not (report.latest_start is not None and report.latest_start > own.received_at)
    ):
        return own.receipt_id
    # 2. The same alerts and statuses as another sender's last state, accepted as new within the window and since
    # this sender's previous report, are a duplicate.
    for other in group.senders:
        if (
            other.sender != report.sender
            and other.state == report.state
            and other.accepted_at is not None
            and other.accepted_seq is not None
            and report.received_at - other.accepted_at < window
            and (own is None or other.accepted_seq > own.seq)
        ):
            return other.receipt_id
    # 4. Everything else is new, also the sender's own last state after the window: a deliberate repeat.
    return None


def record(group: GroupState, report: GroupReport, receipt_id: int, *, accepted: bool) -> None:
    """Make a webhook the last state of its sender, also if it is a duplicate.

    `receipt_id` is its own receipt if it was accepted, else the one that it repeats.
    """
    own = group.of(report.sender)
    group.seq += 1
    kept = own if own is not None and own.state == report.state and not accepted else None
    new = SenderState(
        sender=report.sender,
        state=report.state,
        alerts=report.alerts,
        received_at=report.received_at,
        seq=group.seq,
        receipt_id=receipt_id,
        accepted_at=report.received_at if accepted else (None if kept is None else kept.accepted_at),
        accepted_seq=group.seq if accepted else (None if kept is None else kept.accepted_seq),
        alternations=_alternations(group, report),
    )
    others = [state for state in group.senders if state.sender != report.sender]
    group.senders = (new, *others[: MAX_SENDERS - 1])


def is_alternating(group: GroupState) -> bool:
    """Whether the last webhook continues an alternation of senders that report different alerts in one group.

    Unrelated Alertmanagers with the same configuration send the same groupKey; they need different sources. One
    round is no proof, because the peers of a cluster may differ for one flush.
    """
    last = group.senders[0]
    return last.alternations > 1 and any(
        other.alternations > 0 and other.alerts != last.alerts for other in group.senders[1:]
    )


def _alternations(group: GroupState, report: GroupReport) -> int:
    """How often the sender has reported the same alerts again after another sender reported different ones."""
    own = group.of(report.sender)
    if own is None or own.alerts != report.alerts:
        return 0
    others = any(state.seq > own.seq and state.alerts != report.alerts for state in group.senders)
    return own.alternations + 1 if others else own.alternations
