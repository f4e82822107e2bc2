"""The outcome of an attempt, and the wait before the next one."""

from enum import StrEnum
from typing import ClassVar, Final

import msgspec

FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 120.0
UNCONFIRMED_DELAYS: Final = (10.0, 60.0, 600.0, 3600.0)
"""Seconds to wait after each attempt that the platform may have accepted: every further one may be a duplicate."""


class Reason(StrEnum):
    """Why an attempt failed: Alertmanager's reasons first. Also the label of a metric, so the set stays small."""

    RATE_LIMITED = "rateLimited"
    AUTH_ERROR = "authError"
    CLIENT_ERROR = "clientError"
    SERVER_ERROR = "serverError"
    DEADLINE_EXCEEDED = "contextDeadlineExceeded"
    OTHER = "other"
    CONNECTION_ERROR = "connectionError"
    BLOCKED_TARGET = "blockedTarget"
    INTERRUPTED = "interrupted"
    EXPIRED = "expired"
    CIRCUIT_OPEN = "circuitOpen"
    DESTINATION_GONE = "destinationGone"
    CHANNEL_DELETED = "channelDeleted"
    MESSAGE_GONE = "messageGone"
    UNEXPECTED_RESPONSE = "unexpectedResponse"


NEVER_CONNECTED: Final = (
    "Cannot connect to host",
    "the proxy cannot be reached",
    "the proxy refused",
    "TLS failed",
    "the name could not be resolved",
    "the mail server does not support STARTTLS",
)
"""How the detail of a connection error begins if no request was sent, so that nothing can have arrived."""


class OutcomeKind(StrEnum):
    """How an attempt ended, as the database, the API and the metrics name it."""

    SENT = "sent"
    RETRY = "retry"
    REJECTED = "rejected"


class Sent(msgspec.Struct, frozen=True):
    """The platform accepted the message. `detail` is the response, or what went wrong before it was accepted.

    `after`: seconds for which the platform accepts no more messages from this channel. `message_refs`, here and
    below: the platform's references of the group's messages, which may be edited later.
    """

    kind: ClassVar[OutcomeKind] = OutcomeKind.SENT

    status_code: int | None = None
    detail: str | None = None
    after: float | None = None
    message_refs: tuple[str, ...] = ()


class Retry(msgspec.Struct, frozen=True):
    """A later attempt may succeed: the error concerns the destination or is temporary.

    `after`: seconds until the platform accepts messages from this channel; None leaves the wait to the backoff.
    DESTINATION_GONE retries only after the channel is fixed. `unconfirmed`: the platform may have accepted the
    message, so that it is retried a few times only. `progress` is for the next attempt of a message with several
    requests: which of them were sent.
    """

    kind: ClassVar[OutcomeKind] = OutcomeKind.RETRY

    reason: Reason
    detail: str
    status_code: int | None = None
    after: float | None = None
    unconfirmed: bool = False
    progress: str | None = None
    message_refs: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True):
    """The platform does not accept this message, so it is not retried.

    MESSAGE_GONE: the message to edit no longer exists or can no longer be edited.
    """

    kind: ClassVar[OutcomeKind] = OutcomeKind.REJECTED

    reason: Reason
    detail: str
    status_code: int | None = None
    message_refs: tuple[str, ...] = ()


Outcome = Sent | Retry | Rejected


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait after the given attempt (the first is 1): exponential, with full jitter.

    `chance` is a random number in [0, 1). The wait is never shorter than half of the first delay.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 32))
    return max(FIRST_DELAY / 2, ceiling * chance)
