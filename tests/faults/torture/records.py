"""The records of a run, which the audit reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from relay.domain.alerts import Status


class Verdict(StrEnum):
    """What a sink did with a request. An aborted one was read, but got no complete response."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ABORTED = "aborted"


@dataclass(frozen=True)
class Acknowledged:
    """A state of a group that the relay acknowledged with 2xx: the status of each occurrence in it."""

    group: str
    seq: int
    alerts: Mapping[str, Status]


@dataclass
class Request:
    """A request that a sink read. `group` is None for a digest, whose `seq` is 0.

    `unnotified` are the resolved alerts whose firing was not sent before.
    """

    channel: str
    delivery: str
    group: str | None
    seq: int
    firing: frozenset[str]
    resolved: frozenset[str]
    unnotified: frozenset[str] = frozenset()
    verdict: Verdict = Verdict.ABORTED


@dataclass(frozen=True)
class Interruption:
    """A kill, and the number of deliveries in flight then, which may be sent again."""

    kind: str
    in_flight: int
