"""The audit of a run: whether the accepted messages contain all that was acknowledged, in order.

Pure: records in, findings out. For each channel:

lost          an acknowledged occurrence whose last status is in no accepted message. A message that contains it
              as resolved counts for its firing, too: an alert that is over is sent once, as both.
out of order  an accepted message of a group whose highest sequence number is lower than that of one accepted
              before, or any accepted message (or digest) that contains an occurrence as firing after one contained
              it as resolved. A message repeated after a kill has the same number; it counts as a duplicate.
unannounced   an accepted message of a group that contains an occurrence as resolved, and not as both, although no
              message that the sink read before contained it as firing.
duplicates    accepted requests of a delivery that was accepted before; at most as many as were in flight when
              something was killed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.domain.alerts import Status
from tests.faults.torture.records import Acknowledged, Interruption, Request, Verdict


@dataclass
class Findings:
    """The violations, each as text with its channel and occurrence, and the number of duplicates."""

    lost: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    unannounced: list[str] = field(default_factory=list)
    duplicates: int = 0
    duplicates_allowed: int = 0

    @property
    def clean(self) -> bool:
        """Whether there are no violations."""
        violations = self.lost or self.out_of_order or self.unannounced
        return not violations and self.duplicates <= self.duplicates_allowed


def audit(
    acknowledged: Iterable[Acknowledged],
    requests: Mapping[str, Sequence[Request]],
    interruptions: Iterable[Interruption],
) -> Findings:
    """Compare what was acknowledged with what each channel's sink read, in the order of arrival."""
    last = last_status(acknowledged)
    findings = Findings(duplicates_allowed=sum(interruption.in_flight for interruption in interruptions))
    for channel, read in requests.items():
        accepted = [request for request in read if request.verdict is Verdict.ACCEPTED]
        findings.lost += lost(channel, last, accepted)
        findings.out_of_order += [*groups_out_of_order(channel, accepted), *firing_again(channel, accepted)]
        findings.unannounced += unannounced(channel, read)
        findings.duplicates += sum(Counter(request.delivery for request in accepted).values()) - len(
            {request.delivery for request in accepted}
        )
    return findings


def last_status(acknowledged: Iterable[Acknowledged]) -> dict[str, Status]:
    """By occurrence: its status in the last acknowledged state."""
    last: dict[str, Status] = {}
    for state in sorted(acknowledged, key=lambda one: one.seq):
        last.update(state.alerts)
    return last


def lost(channel: str, last: Mapping[str, Status], accepted: Sequence[Request]) -> list[str]:
    """The occurrences whose last status was not sent."""
    resolved = {name for request in accepted for name in request.resolved}
    sent = {
        Status.RESOLVED: resolved,
        Status.FIRING: resolved | {name for request in accepted for name in request.firing},
    }
    return [
        f"{channel}: {name} is {status}, but was never sent as such"
        for name, status in sorted(last.items())
        if name not in sent[status]
    ]


def groups_out_of_order(channel: str, accepted: Sequence[Request]) -> list[str]:
    """The messages of groups that are older than an earlier one."""
    found = []
    newest: dict[str, int] = {}
    for request in accepted:
        if request.group is None:
            continue
        before = newest.get(request.group, 0)
        if request.seq < before:
            found.append(
                f"{channel}: delivery {request.delivery} contains {request.group} at {request.seq} after {before}"
            )
        newest[request.group] = max(before, request.seq)
    return found


def firing_again(channel: str, accepted: Sequence[Request]) -> list[str]:
    """The occurrences that were sent as firing after they were sent as resolved."""
    found = []
    over: set[str] = set()
    for request in accepted:
        found += [
            f"{channel}: delivery {request.delivery} contains {name} as firing after it was sent as resolved"
            for name in sorted(request.firing & over)
        ]
        over |= request.resolved
    return found


def unannounced(channel: str, read: Sequence[Request]) -> list[str]:
    """The occurrences that were sent as resolved only, and never as firing before."""
    found = []
    announced: set[str] = set()
    for one in read:
        if one.verdict is Verdict.ACCEPTED and one.group is not None:
            found += [
                f"{channel}: delivery {one.delivery} contains {name} as resolved, whose firing was never sent"
                for name in sorted(one.resolved - one.unnotified - announced)
            ]
        # An aborted request was read, but the relay cannot know whether it was accepted.
        if one.verdict is not Verdict.REJECTED:
            announced |= one.firing | one.resolved
    return found
