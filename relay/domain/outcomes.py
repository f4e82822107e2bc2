"""How did an attempt end, and when is the next one?"""

from enum import StrEnum
from typing import Final

import msgspec

FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 120.0


class Reason(StrEnum):
    """Why an attempt failed: Alertmanager's words, then ours. Also a metric's label, so the set stays small."""

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


class Sent(msgspec.Struct, frozen=True):
    """The platform took the message. `detail` says what a reader of the history should know all the same.

    `after`: seconds in which the platform wants nothing more of this channel. `posted`, here and below, are the
    platform's references of the messages that tell the group by now, and may be edited later.
    """

    status_code: int | None = None
    detail: str | None = None
    after: float | None = None
    message_refs: tuple[str, ...] = ()


class Retry(msgspec.Struct, frozen=True):
    """It may succeed later: what is wrong is the destination, or the moment, and not the message.

    `after`: seconds in which the platform wants nothing of this channel; None leaves it to the backoff.
    With DESTINATION_GONE it waits until people have mended the channel. `progress` is for the next attempt, when
    the message needs several requests: which of them were taken.
    """

    reason: Reason
    detail: str
    status_code: int | None = None
    after: float | None = None
    progress: str | None = None
    message_refs: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True):
    """The message is at fault: the same one will never be taken.

    With MESSAGE_GONE it is the message to be edited that is not there any more, or takes no edits.
    """

    reason: Reason
    detail: str
    status_code: int | None = None
    message_refs: tuple[str, ...] = ()


Outcome = Sent | Retry | Rejected


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait after the given attempt failed (the first is 1): exponential, with full jitter.

    `chance` is a random number in [0, 1). The floor of half a first delay keeps a lucky draw from hammering.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 32))
    return max(FIRST_DELAY / 2, ceiling * chance)
