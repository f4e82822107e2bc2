"""The channels of a history: what they are, what they read, and how they fail."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Final

from tests.fixtures.behaviors import Behavior, answers, resets_after
from tests.fixtures.platforms import OK, Arrival, Platform
from tests.model.suppression.records import Key, Received, Story, Verdict

LATENCY: Final = 0.1
REFUSAL: Final = answers(400, "no")
FAULTS: Final = (
    (answers(503, "later"), Verdict.DOUBTFUL),
    (answers(429, "slow down", {"Retry-After": "1"}), Verdict.REFUSED),
    (resets_after(b""), Verdict.DOUBTFUL),
)
"""Ways to fail for a time; after a 503 and a reset, the message may have arrived."""
STEADY, FLAKY, LIMITED, FIRST, SECOND = "steady", "flaky", "limited", "first", "second"
UNLIMITED: Final = {"per_second": 10_000, "burst": 10_000}


@dataclass
class Sinks:
    """The platform of all channels, whose path names the channel."""

    platform: Platform
    stories: dict[str, Story]
    rng: Random
    recovered: bool = False
    waiting: dict[int, float] = field(default_factory=dict)
    """When deliveries were last seen waiting, by id."""

    def __post_init__(self) -> None:
        self.platform.script = self._answer

    def fields(self, story: Story) -> list[dict[str, Any]]:
        """The channels of a history. `first` falls back to `second`, which matches nothing itself."""
        own = {"channel_type": "webhook", "matchers": [f'history="{story.name}"'], "rate_limit": UNLIMITED}
        special: dict[str, dict[str, Any]] = {
            SECOND: {"matchers": ['history="none"']},
            FIRST: {"fallback_channel_id": f"{story.name}-{SECOND}"},
            STEADY: {},
            FLAKY: {},
            LIMITED: {"rate_limit": {"per_second": 0.5, "burst": 1}},
        }
        return [
            own
            | {"id": f"{story.name}-{kind}", "name": f"{story.name}-{kind}"}
            | {"webhook_url": f"{self.platform.url}/{story.name}-{kind}"}
            | fields
            for kind, fields in special.items()
        ]

    def _answer(self, arrival: Arrival) -> Behavior:
        channel = arrival.path.strip("/")
        name, _, kind = channel.partition("-")
        received = _read(channel, arrival, self.waiting)
        self.stories[name].received.append(received)
        behavior, verdict = self._choose(kind)
        pause = self.rng.uniform(0, LATENCY)

        async def behave(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(pause)
            if not arrival.gone:
                received.verdict = verdict
                await behavior(writer)

        return behave

    def _choose(self, kind: str) -> tuple[Behavior, Verdict]:
        if not self.recovered:
            if kind == FIRST and self.rng.random() < 0.5:
                return REFUSAL, Verdict.REFUSED
            if kind in (FLAKY, SECOND) and self.rng.random() < 0.3:
                return self.rng.choice(FAULTS)
        return OK, Verdict.ACCEPTED


def _read(channel: str, arrival: Arrival, waiting: Mapping[int, float]) -> Received:
    message = arrival.json
    alerts = message["alerts"]
    shown = tuple(sum(one["status"] == status for one in alerts) for status in ("firing", "resolved"))
    digest = message["digest"]
    return Received(
        time.monotonic(),
        waiting.get(int(message["id"]), float("-inf")),
        channel,
        int(message["id"]),
        message["kind"],
        frozenset(_key(one) for one in alerts if one["status"] == "firing"),
        frozenset(_key(one) for one in alerts if one["status"] == "resolved"),
        miscounted=digest is not None and shown != (digest["firing"], digest["resolved"]),
    )


def _key(alert: dict[str, Any]) -> Key:
    return alert["alertname"], datetime.fromisoformat(alert["starts_at"]).isoformat(timespec="milliseconds")
