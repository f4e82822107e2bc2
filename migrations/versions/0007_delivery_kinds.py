"""Deliveries get a kind, and the messages that are edited plain names; so do the comments of all tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COMMENTS = {
    "COLUMN channels.config": (
        "All fields but the id, the type and the secret ones.",
        "The settings, without id, type and secret fields.",
    ),
    "COLUMN channels.sealed": (
        "The secret fields, sealed with the id bound in.",
        "The secret fields, encrypted and bound to the id.",
    ),
    "COLUMN channels.disabled_reason": (
        "Why the relay itself disabled it.",
        "Why the relay disabled the channel.",
    ),
    "COLUMN channel_templates.body": (
        "All but the id; secrets stand in none of them.",
        "All fields but the id; they contain no secrets.",
    ),
    "TABLE channel_templates": (
        "Those of people; the built-in ones are in the code.",
        "Templates of users; the built-in ones are in the code.",
    ),
    "COLUMN message_templates.version": (
        "The one in force.",
        "The current version.",
    ),
    "COLUMN message_templates.body": (
        "Of that version.",
        "The body of that version.",
    ),
    "COLUMN message_template_versions.body": (
        "All but the id.",
        "All fields but the id.",
    ),
    "TABLE message_template_versions": (
        "All that a template ever said.",
        "All versions of each message template.",
    ),
    "COLUMN alerts.group_hashes": (
        "The groups that carried it.",
        "The groups that contained the alert.",
    ),
    "TABLE config_version": (
        "One row; a trigger counts up with every change of the configuration.",
        "One row; a trigger increments the version at every change of the configuration.",
    ),
    "TABLE group_states": (
        "When a state of a group was last taken for news; the same again soon after is a duplicate.",
        "When a state of a group was last accepted; the same state soon after that is a duplicate.",
    ),
    "COLUMN receipts.group_hash": (
        "Of the group_key, which may be too long to index.",
        "A hash of the group_key, which may be too long to index.",
    ),
    "COLUMN receipts.body": (
        "The webhook as it came.",
        "The body of the webhook.",
    ),
    "COLUMN lanes.enqueued": (
        "Counts up with every commit.",
        "Incremented by every commit that queues a delivery.",
    ),
    "COLUMN lanes.next_due": (
        "When something may be sent; NULL when nothing waits.",
        "When a delivery is due; NULL when none is pending.",
    ),
    "COLUMN lanes.epoch": (
        "Counts up with every lease.",
        "Incremented with every lease.",
    ),
    "COLUMN lanes.tokens": (
        "Of the bucket, at tokens_at; NULL for a full one.",
        "Tokens in the bucket at tokens_at; NULL when it is full.",
    ),
    "COLUMN lanes.held_until": (
        "Nothing is sent before: the platform asked so, or the breaker.",
        "Nothing is sent before: the platform or the circuit breaker holds the channel back.",
    ),
    "COLUMN lanes.failures": (
        "One after the other.",
        "Consecutive failures.",
    ),
    "COLUMN lanes.opened_at": (
        "Since when the circuit breaker is open; NULL when it is closed.",
        "When the circuit breaker opened; NULL when it is closed.",
    ),
    "COLUMN lanes.probes": (
        "Tries since it opened.",
        "Attempts since the circuit breaker opened.",
    ),
    "COLUMN lanes.digested_at": (
        "When the last digest was begun.",
        "When the last digest was claimed.",
    ),
    "COLUMN deliveries.positions": (
        "Which alerts of the body it tells; NULL for all.",
        "Positions of the alerts in the body; NULL for all.",
    ),
    "COLUMN deliveries.rank": (
        "Its place in the queue: 0 is critical.",
        "Its place in the queue: 0 is critical, 100 is for refreshes.",
    ),
    "COLUMN deliveries.waiting_since": (
        "Of now when it is asked for again.",
        "When it became pending, at first or by a redelivery.",
    ),
    "COLUMN deliveries.merged_into": (
        "The delivery that tells this one too.",
        "The delivery that this one was merged into.",
    ),
    "COLUMN deliveries.progress": (
        "How many of its requests were taken, when it needs several.",
        "Which of its requests were accepted, when it needs several.",
    ),
    "COLUMN tallies.period": (
        "Where its five minutes begin.",
        "The start of the five minutes.",
    ),
    "COLUMN tallies.bucket": (
        "Of the duration; see store/health.py.",
        "The bucket of the duration; see relay/domain/health.py.",
    ),
    "TABLE tallies": (
        "How attempts ended, counted: what a channel's health is told from.",
        "Attempts counted by outcome and duration, for the health of channels.",
    ),
}
"""The comment before and after, by what it is on."""


def upgrade() -> None:
    kind = sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'group'"))
    kind.comment = "group, digest or refresh."
    op.add_column("deliveries", kind)
    op.execute("UPDATE deliveries SET kind = 'digest' WHERE receipt_id IS NULL")
    op.execute("UPDATE deliveries SET kind = 'refresh' WHERE rank = 100 AND receipt_id IS NOT NULL")
    op.create_check_constraint("deliveries_kind", "deliveries", "kind IN ('group', 'digest', 'refresh')")
    op.create_check_constraint("deliveries_kind_receipt", "deliveries", "(kind = 'digest') = (receipt_id IS NULL)")
    # The channel's pending digest is looked up at every claim.
    op.create_index(
        "deliveries_waiting_digest",
        "deliveries_waiting",
        ["channel_id", "id"],
        postgresql_where=sa.text("state = 'pending' AND kind = 'digest'"),
    )
    # A new table rather than a renamed one, whose constraints would keep the old names.
    op.create_table(
        "edited_messages",
        sa.Column("channel_id", sa.Text, sa.ForeignKey("lanes.channel_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("group_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "destination_hash",
            sa.LargeBinary,
            nullable=False,
            comment="A hash of where on the platform the message is.",
        ),
        sa.Column(
            "message_refs",
            postgresql.JSONB,
            nullable=False,
            comment="The platform's references, one for each part.",
        ),
        sa.Column(
            "alert_ids",
            postgresql.ARRAY(sa.BigInteger),
            nullable=False,
            comment="The alerts that the message shows.",
        ),
        sa.Column(
            "omitted",
            sa.Integer,
            nullable=False,
            comment="Alerts that the message showed once, and no longer shows.",
        ),
        sa.Column("all_resolved", sa.Boolean, nullable=False, comment="Whether none of the alerts fires."),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        comment="The messages of groups that are still edited.",
    )
    op.execute(
        """
        INSERT INTO edited_messages (
          channel_id, group_hash, destination_hash, message_refs, alert_ids, omitted, all_resolved, updated_at
        )
        SELECT channel_id, group_hash, place, posted, alert_ids, let_go, ended, updated_at FROM living_messages
        """
    )
    op.drop_table("living_messages")
    write_comments(before=False)


def downgrade() -> None:
    write_comments(before=True)
    op.create_table(
        "living_messages",
        sa.Column("channel_id", sa.Text, sa.ForeignKey("lanes.channel_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("group_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("place", sa.LargeBinary, nullable=False, comment="A hash of where on the platform they are."),
        sa.Column("posted", postgresql.JSONB, nullable=False, comment="The platform's references, one a part."),
        sa.Column("alert_ids", postgresql.ARRAY(sa.BigInteger), nullable=False, comment="Those it tells."),
        sa.Column("let_go", sa.Integer, nullable=False, comment="How many it told once, and tells no more."),
        sa.Column("ended", sa.Boolean, nullable=False, comment="None of them fires."),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        comment="The messages that groups are told in, for as long as they are edited.",
    )
    op.execute(
        """
        INSERT INTO living_messages (channel_id, group_hash, place, posted, alert_ids, let_go, ended, updated_at)
        SELECT channel_id, group_hash, destination_hash, message_refs, alert_ids, omitted, all_resolved, updated_at
        FROM edited_messages
        """
    )
    op.drop_table("edited_messages")
    op.drop_index("deliveries_waiting_digest")
    op.drop_constraint("deliveries_kind_receipt", "deliveries")
    op.drop_constraint("deliveries_kind", "deliveries")
    op.drop_column("deliveries", "kind")


def write_comments(*, before: bool) -> None:
    """Write the old or the new comments."""
    for target, (old, new) in COMMENTS.items():
        text = (old if before else new).replace("'", "''")
        op.execute(f"COMMENT ON {target} IS '{text}'")
