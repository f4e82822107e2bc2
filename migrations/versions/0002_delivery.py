"""Add limits, circuit breakers and health to lanes, and partition deliveries by state."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
LOSES = (
    "limits, circuit breakers and health of channels",
    "digests, and which deliveries were merged",
    "attempts, as statistics of channels",
)
"""What a downgrade loses."""

moment = sa.DateTime(timezone=True)
zero = sa.text("0")

KEPT = """
    id, receipt_id, channel_id, group_hash, positions, state, attempt, created_at, next_attempt_at, delivered_at,
    last_reason, last_error
"""


def upgrade() -> None:
    op.add_column("channels", sa.Column("disabled_reason", sa.Text, comment="Why the relay disabled the channel."))
    lanes()
    op.create_table(
        "tallies",
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("period", moment, primary_key=True, comment="The start of the five minutes."),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column(
            "bucket",
            sa.SmallInteger,
            primary_key=True,
            comment="The bucket of the duration; see relay/domain/health.py.",
        ),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        comment="Attempts counted by outcome and duration, for the health of channels.",
        postgresql_with={"fillfactor": "70"},
    )
    op.execute("ALTER TABLE deliveries RENAME TO deliveries_before")
    op.execute("ALTER TABLE deliveries_before RENAME CONSTRAINT deliveries_pkey TO deliveries_before_pkey")
    op.execute("ALTER TABLE deliveries_before ALTER id DROP IDENTITY")
    op.execute("CREATE SEQUENCE deliveries_id_seq")
    deliveries()
    partitions()
    op.execute(
        f"""
        INSERT INTO deliveries ({KEPT}, rank, waiting_since)
        SELECT {KEPT}, 0, created_at FROM deliveries_before ORDER BY id
        """
    )
    op.execute("SELECT setval('deliveries_id_seq', (SELECT coalesce(max(id), 0) + 1 FROM deliveries), false)")
    op.drop_table("deliveries_before")
    indexes()


def lanes() -> None:
    # Times, not remaining seconds, so that every replica reads the same from a row.
    for column in (
        sa.Column("tokens", sa.Double, comment="Tokens in the bucket at tokens_at; NULL when it is full."),
        sa.Column("tokens_at", moment),
        sa.Column(
            "held_until",
            moment,
            comment="Nothing is sent before: the platform or the circuit breaker holds it back.",
        ),
        sa.Column("failures", sa.Integer, nullable=False, server_default=zero, comment="Consecutive failures."),
        sa.Column("opened_at", moment, comment="When the circuit breaker opened; NULL when it is closed."),
        sa.Column(
            "probes",
            sa.Integer,
            nullable=False,
            server_default=zero,
            comment="Attempts since the circuit breaker opened.",
        ),
        sa.Column("digested_at", moment, comment="When the last digest was claimed."),
        sa.Column("last_success_at", moment),
        sa.Column("last_failure_at", moment),
        sa.Column("last_reason", sa.Text),
        sa.Column("last_error", sa.Text),
    ):
        op.add_column("lanes", column)
    op.execute("ALTER TABLE lanes SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500)")


def deliveries() -> None:
    # Partitioned by state: a finished delivery moves out of the partition that claims read, which stays as small
    # as what is pending. Ids come from a sequence, because only Postgres 17 has identity columns on partitions.
    op.create_table(
        "deliveries",
        sa.Column(
            "id",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            server_default=sa.text("nextval('deliveries_id_seq'::regclass)"),
        ),
        sa.Column("receipt_id", sa.BigInteger, comment="NULL for a digest."),
        sa.Column(
            "channel_id", sa.Text, nullable=False, comment="No foreign key: the history outlives the channel."
        ),
        sa.Column("group_hash", sa.BigInteger, nullable=False, comment="0 for a digest."),
        sa.Column(
            "positions",
            sa.ARRAY(sa.Integer),
            comment="Positions of the alerts in the body; NULL for all.",
        ),
        sa.Column(
            "rank",
            sa.SmallInteger,
            nullable=False,
            comment="Its place in the queue: 0 is critical, 100 is for refreshes.",
        ),
        sa.Column("state", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=zero),
        sa.Column("created_at", moment, nullable=False),
        sa.Column(
            "waiting_since", moment, nullable=False, comment="When it became pending, at first or by a redelivery."
        ),
        sa.Column("next_attempt_at", moment),
        sa.Column("delivered_at", moment),
        sa.Column("redelivered_at", moment),
        sa.Column("merged_into", sa.BigInteger, comment="The delivery that this one was merged into."),
        sa.Column("fallback_of", sa.BigInteger, comment="The delivery in whose place this one is sent."),
        sa.Column("progress", sa.Text, comment="Which of its requests were accepted, when it needs several."),
        sa.Column("last_reason", sa.Text),
        sa.Column("last_error", sa.Text),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'delivered', 'merged', 'dead')", name="deliveries_state"
        ),
        postgresql_partition_by="LIST (state)",
    )


def partitions() -> None:
    op.execute(
        """
        CREATE TABLE deliveries_waiting PARTITION OF deliveries FOR VALUES IN ('pending', 'sending')
        WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
          autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000)
        """
    )
    op.execute(
        """
        CREATE TABLE deliveries_finished PARTITION OF deliveries FOR VALUES IN ('delivered', 'merged', 'dead')
        """
    )


def indexes() -> None:
    op.create_index("deliveries_receipt", "deliveries", ["receipt_id"])
    pending = sa.text("state = 'pending'")
    ready = ["channel_id", "rank", "id"]
    op.create_index("deliveries_waiting_ready", "deliveries_waiting", ready, postgresql_where=pending)
    ordered = ["channel_id", "group_hash", "rank", "id"]
    op.create_index("deliveries_waiting_order", "deliveries_waiting", ordered, postgresql_where=pending)
    sending = sa.text("state = 'sending'")
    under_way = ["channel_id", "group_hash"]
    op.create_index("deliveries_waiting_sending", "deliveries_waiting", under_way, postgresql_where=sending)
    op.create_index("deliveries_finished_channel", "deliveries_finished", ["channel_id", "id"])
    merged = sa.text("merged_into IS NOT NULL")
    op.create_index("deliveries_finished_merged", "deliveries_finished", ["merged_into"], postgresql_where=merged)
    dead = sa.text("state = 'dead'")
    op.create_index("deliveries_finished_dead", "deliveries_finished", ["id"], postgresql_where=dead)


def downgrade() -> None:
    op.execute("ALTER TABLE deliveries RENAME TO deliveries_after")
    op.execute("ALTER TABLE deliveries_after RENAME CONSTRAINT deliveries_pkey TO deliveries_after_pkey")
    op.execute("ALTER SEQUENCE deliveries_id_seq RENAME TO deliveries_id_seq_after")
    op.execute("DROP INDEX deliveries_receipt")
    deliveries_before()
    op.execute(
        f"""
        INSERT INTO deliveries ({KEPT}) OVERRIDING SYSTEM VALUE
        SELECT {KEPT} FROM deliveries_after WHERE receipt_id IS NOT NULL ORDER BY id
        """
    )
    op.execute(
        """
        SELECT setval(pg_get_serial_sequence('deliveries', 'id'), coalesce(max(id), 0) + 1, false) FROM deliveries
        """
    )
    op.drop_table("deliveries_after")
    op.execute("DROP SEQUENCE deliveries_id_seq_after")
    op.drop_table("tallies")
    op.execute("ALTER TABLE lanes RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
    for name in (
        *("tokens", "tokens_at", "held_until", "failures", "opened_at", "probes", "digested_at"),
        *("last_success_at", "last_failure_at", "last_reason", "last_error"),
    ):
        op.drop_column("lanes", name)
    op.drop_column("channels", "disabled_reason")


def deliveries_before() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("receipt_id", sa.BigInteger, nullable=False),
        sa.Column(
            "channel_id", sa.Text, nullable=False, comment="No foreign key: the history outlives the channel."
        ),
        sa.Column("group_hash", sa.BigInteger, nullable=False),
        sa.Column(
            "positions",
            sa.ARRAY(sa.Integer),
            comment="Positions of the alerts in the body; NULL for all.",
        ),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=zero),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("next_attempt_at", moment),
        sa.Column("delivered_at", moment),
        sa.Column("last_reason", sa.Text),
        sa.Column("last_error", sa.Text),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'delivered', 'merged', 'dead')", name="deliveries_state"
        ),
        postgresql_with={"fillfactor": "70"},
    )
    due = sa.text("state = 'pending'")
    op.create_index("deliveries_due", "deliveries", ["channel_id", "next_attempt_at", "id"], postgresql_where=due)
    waiting = sa.text("state IN ('pending', 'sending')")
    op.create_index("deliveries_order", "deliveries", ["channel_id", "group_hash", "id"], postgresql_where=waiting)
    op.create_index("deliveries_channel", "deliveries", ["channel_id", "id"])
    op.create_index("deliveries_receipt", "deliveries", ["receipt_id"])
    dead = sa.text("state = 'dead'")
    op.create_index("deliveries_dead", "deliveries", ["id"], postgresql_where=dead)
