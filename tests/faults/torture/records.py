"""What is written down during a run, for the audit?"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from relay.domain.alerts import Status


class Verdict(StrEnum):
    """What a sink did with a request. A broken one was read, and no whole answer came back."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True)
class Acknowledged:
    """A state of a group that the relay answered with 2xx: the status of each occurrence in it."""

    group: str
    seq: int
    alerts: Mapping[str, Status]


@dataclass
class Request:
    """What a sink read, in the order in which it came. `group` is None for a digest, whose `seq` is 0.

    `untold` are those of the resolved alerts whose firing the message tells as well.
    """

    channel: str
    delivery: str
    group: str | None
    seq: int
    firing: frozenset[str]
    resolved: frozenset[str]
    untold: frozenset[str] = frozenset()
    verdict: Verdict = Verdict.BROKEN


@dataclass(frozen=True)
class Interruption:
    """A kill, and how many deliveries were on their way at that moment: so many may be told again."""

    what: str
    in_flight: int
