"""Sources of alerts, and the Alertmanager processes that send them, as the API shows them."""

from datetime import datetime
from typing import Final

import msgspec

MAX_STALE_AFTER: Final = 366 * 86_400
"""Seconds: a year."""


class SenderItem(msgspec.Struct, frozen=True, kw_only=True):
    """An Alertmanager process. `address` is the client's address, or the `?sender=` of its webhooks."""

    external_url: str
    address: str
    first_seen_at: datetime
    last_seen_at: datetime


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source: the `?source=` of webhooks, empty for those without one.

    `stale_after` is in seconds, and null for the setting RELAY_STALE_AFTER. `senders` has the last ones seen, the
    newest first; `sender_count` counts all.
    """

    name: str
    stale_after: float | None
    last_seen_at: datetime | None
    sender_count: int
    senders: tuple[SenderItem, ...]
