"""Webhooks of no simulated installation: any status and times from any sender, around the limits of the rules."""

import random
from typing import Final

from tests.model.webhooks import ALERTS, History, Report, Sender, Webhook

STEPS: Final = (1, 1, 2, 5, 20, 58, 59, 60, 61, 62, 120, 200)
DISTANCES: Final = (-20, -5, -1, 0, 0, 0, 1, 5, 20, 60)


def history(seed: str) -> History:
    """Return a history of at most 30 webhooks."""
    rng = random.Random(seed)
    sources = rng.choice([("",), ("",), ("", "b"), ("a", "b")])
    senders = [
        (source, Sender(rng.choice(["http://am", f"http://am-{source}"]), f"10.0.{place}.{place}"))
        for source in sources
        for place in range(rng.choice([1, 2, 2, 3]))
    ]
    names = rng.sample(sorted(ALERTS), rng.choice([1, 1, 2, 3]))
    groups = rng.choice([("g1",), ("g1",), ("g1", "g2")])
    now, times = 300, [250, 280]
    webhooks = []
    for _ in range(rng.randrange(3, 30)):
        now += rng.choice(STEPS)
        chosen = [name for name in names if rng.random() < 0.7] or names[:1]
        reports = tuple(_report(rng, name, now, times) for name in chosen)
        webhooks.append(Webhook(now, now, *rng.choice(senders), rng.choice(groups), reports))
        times.append(now)
    return History(seed, tuple(webhooks), realistic=False)


def _report(rng: random.Random, name: str, now: int, times: list[int]) -> Report:
    starts_at = _time(rng, now, times)
    if rng.random() < 0.6:
        return Report(name, starts_at)
    return Report(name, starts_at, max(_time(rng, now, times), starts_at))


def _time(rng: random.Random, now: int, times: list[int]) -> int:
    """A time near one that occurred before, not in the future."""
    chosen = min(rng.choice(times[-6:]) + rng.choice(DISTANCES), now)
    times.append(chosen)
    return chosen
