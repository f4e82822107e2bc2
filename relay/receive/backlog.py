"""Webhooks that wait for their commit, and those that are being committed."""

import asyncio
from collections import deque
from typing import Final

import msgspec

from relay.domain.errors import Unavailable
from relay.receive.incoming import Incoming

MAX_PENDING_WEBHOOKS: Final = 2_000
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
MANY_ALERTS: Final = 1_000
"""Alerts of a webhook above which it is large."""
MAX_BATCH_ALERTS: Final = 2_000
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024


class WebhookResult(msgspec.Struct, frozen=True):
    """The response to a webhook. `suppressed` counts alerts that were not routed because they are late."""

    alerts: int
    notifications: int
    suppressed: int
    duplicate: bool


class Pending(msgspec.Struct, frozen=True):
    """A webhook that waits for its commit, and the response that its client waits for."""

    incoming: Incoming
    result: "asyncio.Future[WebhookResult]"

    def reject(self, reason: str) -> None:
        """Respond that the webhook was not stored."""
        if not self.result.done():
            self.result.set_exception(Unavailable(reason))


class Backlog:
    """The queue of webhooks. Commits that overlap share no group and no series, whose reports stay in order."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._pending: deque[Pending] = deque()
        self._pending_bytes = 0
        self._committing: dict[int, Incoming] = {}

    def __len__(self) -> int:
        """The webhooks that wait."""
        return len(self._pending)

    def require_room(self, size: int) -> None:
        """Reject a body of so many bytes if too much waits.

        Raises:
            Unavailable: the queue is full.
        """
        if len(self._pending) >= MAX_PENDING_WEBHOOKS or self._pending_bytes + size > MAX_PENDING_BYTES:
            raise Unavailable("too many webhooks are waiting for the database")

    def add(self, incoming: Incoming) -> "asyncio.Future[WebhookResult]":
        """Append a webhook, and return its result."""
        result: asyncio.Future[WebhookResult] = asyncio.get_running_loop().create_future()
        self._pending.append(Pending(incoming, result))
        self._pending_bytes += len(incoming.webhook.body)
        return result

    def take(self) -> list[Pending]:
        """Take webhooks for a commit, up to a size that keeps the statement fast.

        While another commit runs, only those that have nothing to do with it, or with one that waits before them;
        and none before as many wait as that commit has, because many small commits would cost more than they gain.
        A large webhook has a commit of its own, so that no other one waits for it.
        """
        if len(self._pending) < len(self._committing):
            return []
        taken: list[Pending] = []
        left: list[Pending] = []
        others = _Concerns()
        for incoming in self._committing.values():
            others.add(incoming)
        alerts = size = 0
        while self._pending and (not taken or (alerts < MAX_BATCH_ALERTS and size < MAX_BATCH_BYTES)):
            pending = self._pending.popleft()
            incoming = pending.incoming
            large = len(incoming.keys) > MANY_ALERTS
            if others.overlap(incoming) or (large and taken):
                others.add(incoming)
                left.append(pending)
                continue
            taken.append(pending)
            alerts += len(incoming.keys)
            size += len(incoming.webhook.body)
            if large:
                break
        self._pending.extendleft(reversed(left))
        self._pending_bytes -= size
        self._committing.update((id(pending), pending.incoming) for pending in taken)
        return taken

    def done(self, taken: list[Pending]) -> None:
        """Webhooks are no longer being committed."""
        for pending in taken:
            self._committing.pop(id(pending), None)

    def reject_all(self, reason: str) -> None:
        """Reject all webhooks that wait."""
        while self._pending:
            self._pending.popleft().reject(reason)
        self._pending_bytes = 0


class _Concerns:
    """Groups and series of webhooks, the series by identity alone. Those of large webhooks are not copied."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._series: set[bytes] = set()
        self._large: list[frozenset[bytes]] = []

    def add(self, incoming: Incoming) -> None:
        self._groups.add(incoming.group_hash)
        if len(incoming.series) > MANY_ALERTS:
            self._large.append(incoming.series)
        else:
            self._series.update(incoming.series)

    def overlap(self, incoming: Incoming) -> bool:
        """Whether a webhook concerns any of them."""
        series = incoming.series
        return (
            incoming.group_hash in self._groups
            or not series.isdisjoint(self._series)
            or any(not series.isdisjoint(large) for large in self._large)
        )
