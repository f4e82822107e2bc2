"""The cost of building the requests for a group of 10 alerts, for each platform."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from relay.domain.alerts import Alert
from relay.domain.channel_types import type_name
from relay.domain.notifications import Notification
from relay.notify.registry import NOTIFIERS
from tests.bench.figures import Amount, Figure
from tests.notify.factories import RUNBOOK, alert, channel, notification
from tests.notify.hostile import hostile

ALERTS = 10
ROUNDS = 15
CALLS = 40
"""Per round. The best round counts, which excludes other load on the machine."""
MOST = 1.0
"""Milliseconds of event loop time per message."""
DESCRIPTION = (
    "The filesystem /var/lib/postgresql on db-1 has 3.2 % left, and at the rate of the last hour it is full in "
    "40 minutes. Once it is, the primary takes no writes. Remove old WAL segments, or grow the volume."
)


async def measure(_url: str) -> list[Figure]:
    """An ordinary group, and one whose texts need much escaping and truncation."""
    return [
        figure(f"rendering {ALERTS} {kind} alerts for {type_name(channel_class)}, ms", channel_class, group)
        for kind, group in (("ordinary", ordinary()), ("hostile", hostile(ALERTS)))
        for channel_class in NOTIFIERS
    ]


def figure(name: str, channel_class: type[Any], group: Notification) -> Figure:
    """The cost of the requests, also as a multiple of encoding the group as JSON."""
    notifier, settings = NOTIFIERS[channel_class], channel(channel_class)
    bare = cost(lambda: msgspec.json.encode(group))
    taken = cost(lambda: notifier.requests(settings, group))
    detail = f"{taken / bare:.0f} times its JSON encoding by msgspec, {bare * 1e6:.1f} µs"
    return Figure(name, taken * 1e3, detail, at_most=MOST, amounts=(Amount("ms", taken * 1e3),))


def cost(call: Callable[[], object]) -> float:
    """CPU seconds per call."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        for _ in range(CALLS):
            call()
        rounds.append((time.thread_time() - started) / CALLS)
    return min(rounds)


def ordinary() -> Notification:
    """What a careful team's rules make of a bad morning: a summary, a description, 8 labels, and both links."""
    return notification(*(_alert(at) for at in range(ALERTS)))


def _alert(at: int) -> Alert:
    annotations = {
        "summary": f"The disk of db-{at} is nearly full",
        "description": DESCRIPTION,
        "runbook_url": RUNBOOK,
    }
    labels = {"instance": f"db-{at}:9100", "job": "node", "team": "db", "env": "prod", "tenant_id": "acme"}
    status = "resolved" if at % 3 == 2 else "firing"
    return alert("DiskFull", status, annotations=annotations, mountpoint=f"/var/lib/postgresql/{at}", **labels)
