"""Give deliveries a kind, rename living_messages to edited_messages, and rewrite comments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COMMENTS = {
    "COLUMN channels.config": "The settings, without id, type and secret fields.",
    "COLUMN channels.sealed": "The secret fields, encrypted and bound to the id.",
    "COLUMN channels.disabled_reason": "Why the relay disabled the channel.",
    "COLUMN channel_templates.body": "All fields but the id; they contain no secrets.",
    "TABLE channel_templates": "Templates of users; the built-in ones are in the code.",
    "COLUMN message_templates.version": "The current version.",
    "COLUMN message_templates.body": "The body of that version.",
    "COLUMN message_template_versions.body": "All fields but the id.",
    "TABLE message_template_versions": "All versions of each message template.",
    "COLUMN alerts.group_hashes": "The groups that contained the alert.",
    "TABLE config_version": "One row; a trigger increments the version at every change of the configuration.",
    "TABLE group_states": "When a state of a group was last accepted; the same soon after is a duplicate.",
    "COLUMN receipts.group_hash": "A hash of the group_key, which may be too long to index.",
    "COLUMN receipts.body": "The body of the webhook.",
    "COLUMN lanes.enqueued": "Incremented by every commit that queues a delivery.",
    "COLUMN lanes.next_due": "When a delivery is due; NULL when none is pending.",
    "COLUMN lanes.epoch": "Incremented with every lease.",
    "COLUMN lanes.tokens": "Tokens in the bucket at tokens_at; NULL when it is full.",
    "COLUMN lanes.held_until": "Nothing is sent before: the platform or the circuit breaker holds it back.",
    "COLUMN lanes.failures": "Consecutive failures.",
    "COLUMN lanes.opened_at": "When the circuit breaker opened; NULL when it is closed.",
    "COLUMN lanes.probes": "Attempts since the circuit breaker opened.",
    "COLUMN lanes.digested_at": "When the last digest was claimed.",
    "COLUMN deliveries.positions": "Positions of the alerts in the body; NULL for all.",
    "COLUMN deliveries.rank": "Its place in the queue: 0 is critical, 100 is for refreshes.",
    "COLUMN deliveries.waiting_since": "When it became pending, at first or by a redelivery.",
    "COLUMN deliveries.merged_into": "The delivery that this one was merged into.",
    "COLUMN deliveries.progress": "Which of its requests were accepted, when it needs several.",
    "COLUMN tallies.period": "The start of the five minutes.",
    "COLUMN tallies.bucket": "The bucket of the duration; see relay/domain/health.py.",
    "TABLE tallies": "Attempts counted by outcome and duration, for the health of channels.",
}
"""Comments that were rewritten after databases had been created with the earlier migrations."""


KIND_OF_OLD_RELEASE = """
    CREATE FUNCTION deliveries_kind() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.kind := CASE WHEN NEW.receipt_id IS NULL THEN 'digest' ELSE 'refresh' END;
      RETURN NEW;
    END $$
"""
"""Processes of the previous release insert digests and refreshes without a kind."""
TRIGGER = """
    CREATE TRIGGER deliveries_kind BEFORE INSERT ON deliveries FOR EACH ROW
    WHEN (NEW.kind = 'group' AND (NEW.receipt_id IS NULL OR NEW.rank = 100))
    EXECUTE FUNCTION deliveries_kind()
"""


def upgrade() -> None:
    delivery_kinds()
    edited_messages()
    # For processes of the previous release that continue on this schema until they are replaced. A later migration
    # can drop the function, the trigger and the view.
    op.execute(KIND_OF_OLD_RELEASE)
    op.execute(TRIGGER)
    op.execute(
        """
        CREATE VIEW living_messages AS
        SELECT channel_id, group_hash, destination_hash AS place, message_refs AS posted, alert_ids,
          omitted AS let_go, all_resolved AS ended, updated_at
        FROM edited_messages
        """
    )
    for target, comment in COMMENTS.items():
        quoted = comment.replace("'", "''")
        op.execute(f"COMMENT ON {target} IS '{quoted}'")


def delivery_kinds() -> None:
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


def edited_messages() -> None:
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


def downgrade() -> None:
    op.execute("DROP VIEW living_messages")
    op.execute("DROP TRIGGER deliveries_kind ON deliveries")
    op.execute("DROP FUNCTION deliveries_kind()")
    op.create_table(
        "living_messages",
        sa.Column("channel_id", sa.Text, sa.ForeignKey("lanes.channel_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("group_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "place", sa.LargeBinary, nullable=False, comment="A hash of where on the platform the message is."
        ),
        sa.Column(
            "posted", postgresql.JSONB, nullable=False, comment="The platform's references, one for each part."
        ),
        sa.Column(
            "alert_ids",
            postgresql.ARRAY(sa.BigInteger),
            nullable=False,
            comment="The alerts that the message shows.",
        ),
        sa.Column(
            "let_go",
            sa.Integer,
            nullable=False,
            comment="Alerts that the message showed once, and no longer shows.",
        ),
        sa.Column("ended", sa.Boolean, nullable=False, comment="Whether none of the alerts fires."),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        comment="The messages of groups that are still edited.",
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
