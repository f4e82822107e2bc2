"""Do the messages that the sinks accepted tell all that was acknowledged, in order, and not too often?

Pure: records in, findings out. For each channel:

lost          an acknowledged occurrence whose last status no accepted message tells. A firing may also be told by
              the message that tells it as resolved, for what is over is told once, as both.
out of order  an accepted message of a group whose highest sequence number is lower than that of one accepted
              before, or any accepted message (a digest too) that tells an occurrence as firing after one told it
              as resolved. Sent once more after a kill, the same message has the same number: that is a duplicate.
unannounced   an accepted message of a group that tells an occurrence as resolved, and not as both, although no
              message that the sink read before told it as firing.
duplicates    accepted requests of a delivery that was accepted before; no more than were on their way when
              something was killed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.domain.alerts import Status
from tests.faults.torture.records import Acknowledged, Interruption, Request, Verdict


@dataclass
class Findings:
    """What is wrong, in words that name channel, group and occurrence; and the duplicates, counted."""

    lost: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    unannounced: list[str] = field(default_factory=list)
    duplicates: int = 0
    duplicates_allowed: int = 0

    @property
    def clean(self) -> bool:
        """Whether all promises were kept."""
        wrong = self.lost or self.out_of_order or self.unannounced
        return not wrong and self.duplicates <= self.duplicates_allowed


def audit(
    acknowledged: Iterable[Acknowledged],
    requests: Mapping[str, Sequence[Request]],
    interruptions: Iterable[Interruption],
) -> Findings:
    """Compare what was acknowledged with what each channel's sink read, in the order in which it came."""
    last = last_status(acknowledged)
    findings = Findings(duplicates_allowed=sum(one.in_flight for one in interruptions))
    for channel, read in requests.items():
        accepted = [one for one in read if one.verdict is Verdict.ACCEPTED]
        findings.lost += lost(channel, last, accepted)
        findings.out_of_order += [*groups_out_of_order(channel, accepted), *firing_again(channel, accepted)]
        findings.unannounced += unannounced(channel, read)
        findings.duplicates += sum(Counter(one.delivery for one in accepted).values()) - len(
            {one.delivery for one in accepted}
        )
    return findings


def last_status(acknowledged: Iterable[Acknowledged]) -> dict[str, Status]:
    """By occurrence: its status in the last state that was acknowledged with it."""
    last: dict[str, Status] = {}
    for state in sorted(acknowledged, key=lambda one: one.seq):
        last.update(state.alerts)
    return last


def lost(channel: str, last: Mapping[str, Status], accepted: Sequence[Request]) -> list[str]:
    """The occurrences whose last status was not told."""
    resolved = {name for one in accepted for name in one.resolved}
    told = {Status.RESOLVED: resolved, Status.FIRING: resolved | {name for one in accepted for name in one.firing}}
    return [
        f"{channel}: {name} is {status}, and was never told so"
        for name, status in sorted(last.items())
        if name not in told[status]
    ]


def groups_out_of_order(channel: str, accepted: Sequence[Request]) -> list[str]:
    """The messages of groups that are older than one before them."""
    found = []
    newest: dict[str, int] = {}
    for one in accepted:
        if one.group is None:
            continue
        before = newest.get(one.group, 0)
        if one.seq < before:
            found.append(f"{channel}: delivery {one.delivery} tells {one.group} at {one.seq} after {before}")
        newest[one.group] = max(before, one.seq)
    return found


def firing_again(channel: str, accepted: Sequence[Request]) -> list[str]:
    """The occurrences that were told as firing after they had been told as resolved."""
    found = []
    over: set[str] = set()
    for one in accepted:
        found += [
            f"{channel}: delivery {one.delivery} tells {name} as firing after it was told as resolved"
            for name in sorted(one.firing & over)
        ]
        over |= one.resolved
    return found


def unannounced(channel: str, read: Sequence[Request]) -> list[str]:
    """The occurrences that were told as resolved alone, and never as firing before."""
    found = []
    announced: set[str] = set()
    for one in read:
        if one.verdict is Verdict.ACCEPTED and one.group is not None:
            found += [
                f"{channel}: delivery {one.delivery} tells {name} as resolved, whose firing was never told"
                for name in sorted(one.resolved - one.untold - announced)
            ]
        # A request that was broken off has been read all the same, and the relay can't know which way it went.
        if one.verdict is not Verdict.REFUSED:
            announced |= one.firing | one.resolved
    return found
