"""The records of a run: what was reported, what was suppressed when, and what each channel read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tests.model.suppression.clock import Clock

Key = tuple[str, str]
"""An occurrence: the name of its alert, and when it began."""


@dataclass
class Reported:
    """A webhook that was accepted: the status of its occurrences. It was sent at the moment `at`."""

    at: float
    answered: float
    group: str
    firing: frozenset[Key]
    resolved: frozenset[Key]


@dataclass
class Suppression:
    """What surely suppresses: between the moments `begin` and `end`, and in its windows by the clock.

    `alert` is the occurrence that an acknowledgement is for; the others are silences. `channels`: only these, all
    if it is empty.
    """

    name: str
    begin: float
    end: float = float("inf")
    clock: Clock | None = None
    windows: Sequence[tuple[datetime, datetime]] = ()
    matchers: Sequence[Mapping[str, Any]] = ()
    channels: frozenset[str] = frozenset()
    alert: Key | None = None
    send_resolved: bool = True

    def covers(self, key: Key, labels: Mapping[str, str], channel: str, since: float, until: float) -> bool:
        """Whether it suppresses an occurrence for a channel, all the time between two moments."""
        return self.concerns(key, labels, channel) and any(
            begin <= since and until < end for begin, end in self.spans()
        )

    def spans(self) -> list[tuple[float, float]]:
        """The moments between which it is active."""
        if self.clock is None:
            return [(self.begin, self.end)]
        reach = self.clock.reach
        return [(max(reach(start), self.begin), min(reach(end), self.end)) for start, end in self.windows]

    def concerns(self, key: Key, labels: Mapping[str, str], channel: str) -> bool:
        """Whether it is about an occurrence and a channel."""
        if self.alert is not None:
            return self.alert == key
        if self.channels and channel not in self.channels:
            return False
        return all(_meets(one, labels.get(one["name"], "")) for one in self.matchers)


def _meets(matcher: Mapping[str, Any], value: str) -> bool:
    wanted = matcher["value"]
    found = re.fullmatch(wanted, value) is not None if matcher["isRegex"] else wanted == value
    return found is matcher["isEqual"]


class Verdict(StrEnum):
    """What a channel did with a message: accept it, refuse it, or leave the relay in doubt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DOUBTFUL = "doubtful"


@dataclass
class Received:
    """A message that a channel read at the moment `at`; its delivery waited at `waited_at`, and was claimed later.

    `miscounted`: it is a digest that counts other alerts than it shows, which are few enough to be all.
    """

    at: float
    waited_at: float
    channel: str
    delivery: int
    kind: str
    firing: frozenset[Key]
    resolved: frozenset[Key]
    miscounted: bool = False
    verdict: Verdict = Verdict.DOUBTFUL


@dataclass
class Story:
    """All that is known of one history. `labels` are those of each alert, by its name.

    `fallbacks`: the channel that is sent what a channel refuses. `exempt`: the ids of alerts that a person sent
    again to a channel.
    """

    name: str
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    fallbacks: dict[str, str] = field(default_factory=dict)
    reported: list[Reported] = field(default_factory=list)
    suppressions: list[Suppression] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    exempt: set[tuple[str, int]] = field(default_factory=set)
    log: list[tuple[float, str]] = field(default_factory=list)

    def covering(self, key: Key, channel: str, since: float, until: float) -> list[Suppression]:
        """What suppresses an occurrence for a channel all the time between two moments."""
        labels = self.labels[key[0]]
        return [one for one in self.suppressions if one.covers(key, labels, channel, since, until)]

    def both(self, channel: str) -> tuple[str, ...]:
        """A channel, and the one that is sent what it refuses."""
        fallback = self.fallbacks.get(channel)
        return (channel,) if fallback is None else (channel, fallback)
