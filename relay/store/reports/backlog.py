"""What waits, how is each channel, and what died: the numbers that every process shows of the database?"""

from typing import Any, Final

import msgspec

from relay.domain.health import ChannelState, state_of
from relay.domain.outcomes import Reason

DEAD_FOR: Final = 86_400.0
"""Seconds for which a dead letter is counted, after the longest time for which it may have been tried."""
MAX_DEAD: Final = 10_000
"""Dead letters are counted among so many of the newest ones, so that the count's cost has a bound."""


class ChannelBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel is, and what waits for it.

    `gone`: the relay itself disabled it. `oldest_age` is in seconds, None when nothing waits.
    """

    channel_type: str
    state: ChannelState
    gone: bool
    waiting: int
    oldest_age: float | None


# What waits is read once for all channels, from its own partition. The tallies are looked up channel by channel:
# their key begins with the channel, and reading them all would read every day that is kept.
CHANNELS: Final = """
SELECT
  c.channel_type, c.enabled, c.disabled_reason IS NOT NULL AS by_relay,
  l.opened_at IS NOT NULL AS breaker_open, coalesce(l.failures, 0) AS failures,
  t.sent::float8 / nullif(t.attempts, 0)::float8 AS success_rate,
  coalesce(t.attempts, 0)::bigint AS attempts,
  coalesce(w.waiting, 0) AS waiting, extract(epoch FROM now() - w.oldest)::float8 AS oldest_age
FROM channels c
LEFT JOIN lanes l ON l.channel_id = c.id
LEFT JOIN (
  SELECT channel_id, count(*) AS waiting, min(waiting_since) AS oldest FROM deliveries_waiting GROUP BY channel_id
) w ON w.channel_id = c.id
LEFT JOIN LATERAL (
  SELECT coalesce(sum(attempts) FILTER (WHERE outcome = 'sent'), 0) AS sent, sum(attempts) AS attempts
  FROM tallies WHERE channel_id = c.id AND period > now() - interval '1 hour'
) t ON true
"""

# No row says when it died. It did so within the time for which it is tried, counted from `waiting_since`.
# What died with its channel, somebody wanted gone.
DEAD: Final = f"""
SELECT c.channel_type, count(*) AS dead FROM (
  SELECT channel_id, waiting_since, last_reason FROM deliveries_finished
  WHERE state = 'dead' ORDER BY id DESC LIMIT {MAX_DEAD}
) d JOIN channels c ON c.id = d.channel_id
WHERE d.waiting_since > now() - make_interval(secs => $1)
  AND d.last_reason IS DISTINCT FROM '{Reason.CHANNEL_DELETED.value}'
GROUP BY c.channel_type
"""


async def of_channels(driver: Any) -> list[ChannelBacklog]:
    """How all channels are, and what waits for each; in no order, and without ids."""
    return [
        ChannelBacklog(
            channel_type=row["channel_type"],
            state=state_of(
                enabled=row["enabled"],
                breaker_open=row["breaker_open"],
                failures=row["failures"],
                success_rate=row["success_rate"],
                attempts=row["attempts"],
                oldest_age=row["oldest_age"],
            ),
            gone=row["by_relay"] and not row["enabled"],
            waiting=row["waiting"],
            oldest_age=row["oldest_age"],
        )
        for row in await driver.fetch(CHANNELS)
    ]


async def dead_letters(driver: Any, give_up_after: float) -> dict[str, int]:
    """How many deliveries died lately and were not sent again, by channel type; types without any are left out.

    Those are counted that began to wait within `give_up_after` seconds and a day; at most MAX_DEAD in all.
    """
    rows = await driver.fetch(DEAD, give_up_after + DEAD_FOR)
    return {row["channel_type"]: row["dead"] for row in rows}
