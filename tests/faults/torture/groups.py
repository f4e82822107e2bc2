"""The states of a group: alerts fire, are resolved, and new ones fire."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from relay.domain.alerts import Status
from tests.faults.torture.records import Acknowledged
from tests.fixtures.relays import alert, webhook

MAX_FIRING: Final = 3
SEVERITIES: Final = ("critical", "warning", "info")


@dataclass(frozen=True)
class State:
    """One state of a group: its webhook, and the record of it once it is acknowledged."""

    body: dict[str, Any]
    record: Acknowledged


def states(group: str, count: int, rng: Random) -> Iterator[State]:
    """A group's states, as Alertmanager sends them: a resolved alert is sent once and omitted afterwards.

    Each occurrence of an alert has a unique name, so that a digest, which counts by name, counts occurrences.
    """
    firing: list[str] = []
    started = 0
    for seq in range(1, count + 1):
        starts = not firing or (len(firing) < MAX_FIRING and rng.random() < 0.5)
        ends = [name for name in firing if rng.random() < 0.4]
        if not starts and not ends:
            ends = [rng.choice(firing)]
        firing = [name for name in firing if name not in ends]
        if starts:
            started += 1
            firing.append(f"{group}-o{started:03}")
        statuses = dict.fromkeys(firing, Status.FIRING) | dict.fromkeys(ends, Status.RESOLVED)
        alerts = [occurrence(name, status, seq) for name, status in statuses.items()]
        yield State(webhook(*alerts, group=group), Acknowledged(group, seq, statuses))


def occurrence(name: str, status: Status, seq: int) -> dict[str, Any]:
    """One alert of a webhook. The Slack sink reads name and sequence number from the summary."""
    severity = SEVERITIES[int(name[-3:]) % len(SEVERITIES)]
    annotations = {"seq": str(seq), "summary": f"{name} seq {seq}"}
    return alert(name, status=status.value, severity=severity) | {"annotations": annotations}
