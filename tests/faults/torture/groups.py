"""Which states does a group go through: alerts fire, are resolved, and new ones fire?"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from relay.domain.alerts import Status
from tests.faults.torture.records import Acknowledged
from tests.fixtures.relays import alert, webhook

MOST_FIRING: Final = 3
SEVERITIES: Final = ("critical", "warning", "info")


@dataclass(frozen=True)
class State:
    """One state of a group: the webhook that tells it, and what is on record once it was acknowledged."""

    body: dict[str, Any]
    record: Acknowledged


def states(group: str, count: int, chance: Random) -> Iterator[State]:
    """A group's states, as Alertmanager would send them: what is resolved is told once and then left out.

    Each occurrence of an alert has a name of its own, so that a digest, which counts by name, counts occurrences.
    """
    firing: list[str] = []
    begun = 0
    for seq in range(1, count + 1):
        begins = not firing or (len(firing) < MOST_FIRING and chance.random() < 0.5)
        ends = [name for name in firing if chance.random() < 0.4]
        if not begins and not ends:
            ends = [chance.choice(firing)]
        firing = [name for name in firing if name not in ends]
        if begins:
            begun += 1
            firing.append(f"{group}-o{begun:03}")
        statuses = dict.fromkeys(firing, Status.FIRING) | dict.fromkeys(ends, Status.RESOLVED)
        alerts = [occurrence(name, status, seq) for name, status in statuses.items()]
        yield State(webhook(*alerts, group=group), Acknowledged(group, seq, statuses))


def occurrence(name: str, status: Status, seq: int) -> dict[str, Any]:
    """One alert of a webhook. A sink that gets no JSON of ours reads name and number from the summary."""
    severity = SEVERITIES[int(name[-3:]) % len(SEVERITIES)]
    annotations = {"seq": str(seq), "summary": f"{name} seq {seq}"}
    return alert(name, status=status.value, severity=severity) | {"annotations": annotations}
