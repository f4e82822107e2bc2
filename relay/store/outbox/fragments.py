"""Parts of SQL statements that several statements share, and the values of enums as SQL literals.

In each, `d` is a delivery, `l` a lane, `a` a channel's rate limit, `f` a fallback channel and `k` one of the
acknowledgements.
"""

from typing import Final

from relay.domain.alerts import Status
from relay.domain.history import Kind, State
from relay.domain.identity import FORCED
from relay.domain.notifications import LOWEST_RANK

FIRING: Final = f"'{Status.FIRING}'"
STALE: Final = f"'{Status.STALE}'"
RESOLVED: Final = f"'{Status.RESOLVED}'"
PENDING: Final = f"'{State.PENDING}'"
SENDING: Final = f"'{State.SENDING}'"
DELIVERED: Final = f"'{State.DELIVERED}'"
MERGED: Final = f"'{State.MERGED}'"
SUPPRESSED: Final = f"'{State.SUPPRESSED}'"
DEAD: Final = f"'{State.DEAD}'"
DIGEST: Final = f"'{Kind.DIGEST}'"
REFRESH: Final = f"'{Kind.REFRESH}'"
RELEASE: Final = f"'{Kind.RELEASE}'"

IN_FLIGHT: Final = f"""(
  SELECT s.id FROM deliveries s
  WHERE s.channel_id = d.channel_id AND s.group_hash = d.group_hash AND s.state = {SENDING}
  ORDER BY s.group_hash LIMIT 1
)"""
"""The delivery of the same group as `d` that is being sent, or NULL."""

# A sub-select with a limit, not a join or NOT EXISTS: the planner can only look it up for each row, on the index,
# and stops as soon as it has enough rows. A join would read all pending deliveries, every time. ORDER BY
# before LIMIT 1 keeps such a lookup on its index: without it the planner may expect to find a row soon.
IS_HEAD: Final = f"""(d.id = (
  SELECT e.id FROM deliveries e
  WHERE e.channel_id = d.channel_id AND e.group_hash = d.group_hash AND e.state = {PENDING}
  ORDER BY e.rank, e.id LIMIT 1
) AND {IN_FLIGHT} IS NULL)"""
"""Whether `d` is the most urgent pending delivery of its group, and none of the group is being sent."""

IS_NO_REFRESH: Final = f"(d.rank < {LOWEST_RANK} AND d.kind <> {REFRESH})"
"""Whether `d` is not a refresh. Refreshes have the lowest rank, which ends a scan of the index before them."""

IS_RELEASE: Final = f"(d.kind = {RELEASE} AND d.fallback_of IS NULL)"
"""Whether `d` was added when a suppression ended, and not in place of one that was."""

PENDING_DIGEST: Final = f"""
  SELECT d.id FROM deliveries d
  WHERE d.channel_id = l.channel_id AND d.state = {PENDING} AND d.kind = {DIGEST} AND d.fallback_of IS NULL
  ORDER BY d.id LIMIT 1
"""
"""The id of the pending digest of the channel of `l`; not one that fell back to it."""

TOKENS: Final = """least(a.burst, coalesce(
  l.tokens + greatest(0, extract(epoch FROM now() - l.tokens_at)::float8) * a.per_second, a.burst
))"""
"""The tokens in the bucket of `l` now, by the limit `a`. A clock that was set back adds none."""

USABLE_FALLBACK: Final = """(
  f.enabled OR (f.disabled_reason IS NOT NULL AND f.config ->> 'fallback_channel_id' IS NOT NULL)
)"""
"""Whether `f` can be sent to, or has a fallback itself. A channel that a user disabled would only hold it."""

NOT_LEASED: Final = "(l.lease_until IS NULL OR l.lease_until <= now())"
NOT_HELD_BACK: Final = "(l.held_until IS NULL OR l.held_until <= now())"

CURRENT_ALERT: Final = f"""
  a.id, CASE a.status WHEN {STALE} THEN {FIRING} ELSE a.status END AS status, s.labels, a.annotations, a.starts_at,
  a.ends_at, a.generator_url, a.fingerprint,
  CASE WHEN a.adopted THEN coalesce(substring(a.source FROM '{FORCED}.*$'), '') ELSE a.source END AS key_source
"""
"""The columns of the alert `a` of the series `s` as a message shows it: a stale one has not ended."""

HOLDS: Final = "(k.ended_at IS NULL AND (k.until IS NULL OR k.until > now()))"
"""Whether `k` holds, unless its alert is resolved."""
ACKNOWLEDGEMENT: Final = "k.author AS by, k.author_name AS by_name, k.created_at AS since, k.until, k.comment"
"""The columns of `k` that make an `Acknowledgement`."""


IS_NOT_HELD: Final = "(d.suppressed_by IS NULL OR d.redelivered_at IS NOT NULL)"
"""Whether what `d` contains was not suppressed, or a person asked for it nevertheless."""

ALERTS_OF_NODE: Final = """CASE
  WHEN t.alert_ids IS NOT NULL THEN t.alert_ids
  WHEN t.positions IS NULL THEN r.alert_ids
  ELSE ARRAY(SELECT r.alert_ids[p + 1] FROM unnest(t.positions) AS p)
END"""
"""The ids of the alerts of the node `t` of `content`, whose receipt is `r`, with those that are withheld."""


SUPPRESSION_ENDED: Final = "now() - interval '7 days'"
QUIET: Final = f"""NOT (
  EXISTS (SELECT FROM silences WHERE ends_at > {SUPPRESSION_ENDED})
  OR EXISTS (SELECT FROM silences WHERE ends_at IS NULL)
  OR EXISTS (SELECT FROM acknowledgements WHERE ended_at > {SUPPRESSION_ENDED})
  OR EXISTS (SELECT FROM acknowledgements WHERE ended_at IS NULL)
)"""
"""Whether nothing is suppressed, and nothing was of late, on which the ends of alerts depend.
What was held back longer ago was sent since, or expired."""


def wake_lanes(channel_ids: str) -> str:
    """Make the lanes of channels due; `channel_ids` is a query.

    Lanes are locked in the order of their ids everywhere, so that two transactions can't deadlock.
    """
    return f"""
      UPDATE lanes SET enqueued = enqueued + 1, next_due = least(next_due, greatest(now(), held_until))
      WHERE channel_id = ANY (ARRAY(
        SELECT channel_id FROM lanes WHERE channel_id IN ({channel_ids}) ORDER BY channel_id FOR NO KEY UPDATE
      ))
    """


def content_tree(roots: str) -> str:
    """Return the recursive query `content`: all deliveries whose notifications a message contains, by `root`.

    It is a tree: what was merged into a delivery, and the delivery that it replaces. `roots` is the FROM
    and WHERE of the deliveries `d` at its top. `withheld` are the alerts of a node that are not in the message;
    `redelivered`: a person asked for the node. `in_place_of`: the delivery in whose place the message contains it,
    NULL if it was for the channel itself. What was suppressed is not part of what releases it, and has all of its
    alerts itself: of the delivery that it replaces, the message contains no others (`is_covered`).
    """
    return f"""content AS (
      SELECT d.id AS root, d.id, d.receipt_id, d.positions, d.alert_ids, d.withheld, d.fallback_of,
        d.redelivered_at IS NOT NULL AS redelivered, d.channel_id, d.fallback_of AS in_place_of,
        d.suppressed_by IS NOT NULL AS is_whole, false AS is_covered
      FROM {roots}
      UNION
      SELECT t.root, m.id, m.receipt_id, m.positions, CASE WHEN m.is_covered THEN '{{}}' ELSE m.alert_ids END,
        CASE WHEN m.redelivered_at IS NULL THEN t.withheld || m.withheld ELSE m.withheld END, m.fallback_of,
        t.redelivered OR m.redelivered_at IS NOT NULL, t.channel_id,
        CASE WHEN m.channel_id = t.channel_id THEN m.fallback_of ELSE coalesce(t.in_place_of, m.id) END,
        m.suppressed_by IS NOT NULL, m.is_covered
      FROM content t CROSS JOIN LATERAL (
        SELECT d.*, t.is_covered FROM deliveries d
        WHERE d.merged_into = t.id AND d.state = {MERGED} AND {IS_NOT_HELD}
        UNION ALL SELECT d.*, t.is_covered OR t.is_whole FROM deliveries d WHERE d.id = t.fallback_of
      ) AS m
    )"""


def insert_fallbacks(source: str) -> str:
    """Queue deliveries in place of those of `source`, which has their columns and the channel's id `fallback`."""
    return f"""
      INSERT INTO deliveries (
        receipt_id, channel_id, kind, group_hash, positions, rank, state, created_at, waiting_since,
        next_attempt_at, fallback_of, source, tenant_id, alert_ids, withheld
      )
      SELECT d.receipt_id, d.fallback, d.kind, d.group_hash, d.positions, d.rank, {PENDING}, now(), now(),
        now(), d.id, d.source, (SELECT c.tenant_id FROM channels c WHERE c.id = d.fallback), d.alert_ids,
        d.withheld
      FROM {source} d WHERE d.fallback IS NOT NULL AND d.kind <> {REFRESH} ORDER BY d.id
      RETURNING id, channel_id, fallback_of
    """
