"""Alerts become occurrences of series, and the last states of senders are stored.

Every alert keeps its row and its id. Of several open rows of one series, the one received last stays open.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
LOSES = (
    "occurrences, senders, sources and repeats of alerts; stale alerts become firing",
    "the states of groups: a repeated webhook is delivered again",
)
"""What a downgrade loses."""

moment = sa.DateTime(timezone=True)

# As relay/domain/identity.py computes it.
IDENTITY = r"""
substring(sha256(
  convert_to(a.fingerprint, 'UTF8') || coalesce((
    SELECT string_agg('\x00'::bytea || convert_to(key, 'UTF8') || '\x00'::bytea || convert_to(value, 'UTF8'), ''
      ORDER BY key COLLATE "C")
    FROM jsonb_each_text(a.labels)
  ), '')
) FROM 1 FOR 16)
"""

# One pass over the alerts computes all identities; the table is temporary.
IDENTIFY = f"""
CREATE TEMPORARY TABLE identified ON COMMIT DROP AS
SELECT a.id, a.tenant_id, {IDENTITY} AS identity FROM alerts a
"""

ADD_SERIES = """
INSERT INTO series (id, tenant_id, source, identity, labels, reports, version)
SELECT DISTINCT ON (i.tenant_id, i.identity) i.id, i.tenant_id, '', i.identity, a.labels, '[]', 1
FROM identified i JOIN alerts a USING (id) ORDER BY i.tenant_id, i.identity, i.id
"""

REFER_TO_SERIES = """
UPDATE alerts a SET series_id = s.id, end_reason = CASE WHEN a.status = 'resolved' THEN 'resolved' END,
  resolved_received_at = CASE WHEN a.status = 'resolved'
    THEN coalesce(a.resolved_received_at, a.last_received_at) END,
  resolved_group_hashes = CASE WHEN a.status = 'resolved' THEN a.group_hashes ELSE '{}' END
FROM identified i JOIN series s ON s.tenant_id = i.tenant_id AND s.identity = i.identity
WHERE a.id = i.id
"""

# A resolved report with another start was stored as an alert of its own, and the one that it ended fired forever.
END_RESOLVED = """
UPDATE alerts a SET status = 'resolved', end_reason = 'resolved', ends_at = e.ends_at,
  resolved_received_at = e.resolved_received_at, resolved_group_hashes = e.group_hashes
FROM (
  SELECT DISTINCT ON (f.id) f.id, r.ends_at, r.resolved_received_at, r.group_hashes
  FROM alerts f JOIN alerts r ON r.series_id = f.series_id AND r.status = 'resolved'
    AND r.ends_at >= f.starts_at AND r.resolved_received_at >= f.last_received_at
  WHERE f.status = 'firing' ORDER BY f.id, r.resolved_received_at
) AS e
WHERE a.id = e.id
"""

END_SUPERSEDED = """
UPDATE alerts a SET status = 'resolved', end_reason = 'superseded',
  ends_at = greatest(a.starts_at, a.last_received_at), resolved_received_at = a.last_received_at
FROM (
  SELECT id, row_number() OVER (PARTITION BY series_id ORDER BY last_received_at DESC, id DESC) AS place
  FROM alerts WHERE status = 'firing'
) AS o
WHERE a.id = o.id AND o.place > 1
"""

OPEN = """
UPDATE series s SET open_alert_id = a.id FROM alerts a WHERE a.series_id = s.id AND a.status = 'firing'
"""

ADD_LABELS = "UPDATE alerts a SET labels = s.labels FROM series s WHERE s.id = a.series_id"

# The old key would not hold two occurrences with one start, nor two label sets with one fingerprint.
SEPARATE_STARTS = """
UPDATE alerts a SET starts_at = a.starts_at + (o.place - 1) * interval '1 microsecond'
FROM (
  SELECT id, row_number() OVER (PARTITION BY tenant_id, fingerprint, starts_at ORDER BY id) AS place FROM alerts
) AS o
WHERE a.id = o.id AND o.place > 1
"""


def upgrade() -> None:
    add_tables()
    add_alert_columns()
    for statement in (IDENTIFY, ADD_SERIES, REFER_TO_SERIES, END_RESOLVED, END_SUPERSEDED, OPEN):
        op.execute(statement)
    op.alter_column("alerts", "series_id", nullable=False)
    op.drop_column("alerts", "labels")
    op.drop_constraint("alerts_occurrence_key", "alerts")
    op.drop_constraint("alerts_status", "alerts")
    op.create_check_constraint("alerts_status", "alerts", "status IN ('firing', 'stale', 'resolved')")
    op.create_check_constraint("alerts_end_reason", "alerts", "end_reason IN ('resolved', 'lost', 'superseded')")
    op.create_check_constraint("alerts_end", "alerts", "(status = 'resolved') = (end_reason IS NOT NULL)")
    op.create_index(
        "alerts_ended", "alerts", ["series_id", "starts_at"], postgresql_where=sa.text("end_reason IS NOT NULL")
    )
    op.create_index("alerts_open", "alerts", ["id"], postgresql_where=sa.text("status = 'firing'"))
    add_receipt_columns()
    op.add_column("deliveries", text_column("source", "Empty for a digest."))


def downgrade() -> None:
    op.drop_column("deliveries", "source")
    for name in ("late", "adopted", "sender_hash", "source"):
        op.drop_column("receipts", name)
    op.add_column("receipts", sa.Column("state_hash", sa.LargeBinary, nullable=False, server_default=""))
    op.alter_column("receipts", "state_hash", server_default=None)
    op.drop_index("alerts_open")
    op.drop_index("alerts_ended")
    for name in ("alerts_end", "alerts_end_reason", "alerts_status"):
        op.drop_constraint(name, "alerts")
    op.add_column("alerts", sa.Column("labels", postgresql.JSONB))
    op.execute(ADD_LABELS)
    op.alter_column("alerts", "labels", nullable=False)
    op.execute("UPDATE alerts SET status = 'firing' WHERE status = 'stale'")
    for _ in range(3):  # a moved start may meet another one
        op.execute(SEPARATE_STARTS)
    op.create_unique_constraint("alerts_occurrence_key", "alerts", ["tenant_id", "fingerprint", "starts_at"])
    op.create_check_constraint("alerts_status", "alerts", "status IN ('firing', 'resolved')")
    for name in ALERT_COLUMNS:
        op.drop_column("alerts", name)
    for name in ("repeats", "sources", "senders", "group_states", "series"):
        op.drop_table(name)
    op.alter_column("alerts", "starts_at", comment=None)
    op.execute("COMMENT ON TABLE alerts IS NULL")
    op.create_table(
        "group_states",
        sa.Column("state_hash", sa.LargeBinary, primary_key=True),
        sa.Column("accepted_at", moment, nullable=False),
        comment="When a state of a group was last accepted; the same soon after is a duplicate.",
    )
    op.create_index("group_states_accepted_at", "group_states", ["accepted_at"])


ALERT_COLUMNS = (
    *("series_id", "source", "end_reason", "resolved_by", "resolved_group_hashes", "receipt_id", "adopted"),
)


def text_column(name: str, comment: str | None = None) -> sa.Column[str]:
    """A column with text that is empty in existing rows."""
    return sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"), comment=comment)


def flag_column(name: str, comment: str) -> sa.Column[bool]:
    """A column that is false in existing rows."""
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.text("false"), comment=comment)


def add_alert_columns() -> None:
    """Add the columns of occurrences."""
    comment = "No foreign key, which each new alert would check."
    op.add_column("alerts", sa.Column("series_id", sa.BigInteger, comment=comment))
    op.add_column("alerts", text_column("source"))
    comment = "resolved, lost (no resolve was received) or superseded; NULL while open."
    op.add_column("alerts", sa.Column("end_reason", sa.Text, comment=comment))
    comment = "The sender whose report ended it."
    op.add_column("alerts", sa.Column("resolved_by", sa.BigInteger, comment=comment))
    hashes: sa.Column[list[int]] = sa.Column("resolved_group_hashes", sa.ARRAY(sa.BigInteger), nullable=False)
    hashes.server_default = sa.DefaultClause(sa.text("'{}'"))
    hashes.comment = "The groups that reported its end."
    op.add_column("alerts", hashes)
    comment = "The last accepted webhook that reported it as firing."
    op.add_column("alerts", sa.Column("receipt_id", sa.BigInteger, comment=comment))
    op.add_column(
        "alerts",
        flag_column("adopted", "Whether it was opened without a source, whose keys and messages it keeps."),
    )
    op.alter_column("alerts", "starts_at", comment="The earliest reported start.")
    op.execute("COMMENT ON TABLE alerts IS 'Occurrences: periods during which a series fires.'")


def add_receipt_columns() -> None:
    """Add who sent a webhook, and which of its alerts are late."""
    op.drop_column("receipts", "state_hash")
    op.add_column("receipts", text_column("source"))
    comment = "NULL when it was received before senders were stored."
    op.add_column("receipts", sa.Column("sender_hash", sa.BigInteger, comment=comment))
    op.add_column(
        "receipts",
        flag_column("adopted", "Whether the group keeps the hash and messages that it had without a source."),
    )
    late: sa.Column[list[int]] = sa.Column(
        "late", sa.ARRAY(sa.Integer), nullable=False, server_default=sa.text("'{}'")
    )
    late.comment = "Positions of late alerts, which are not delivered."
    op.add_column("receipts", late)


def add_tables() -> None:
    """Create the series and what is known of senders; the states of groups start empty."""
    op.create_table(
        "series",
        sa.Column(
            "id",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="The id of its first alert, or another one.",
        ),
        sa.Column("tenant_id", sa.Text, nullable=False, comment="Empty when the alerts have no tenant."),
        sa.Column("source", sa.Text, nullable=False, comment="Empty when the webhook names no source."),
        sa.Column(
            "identity",
            sa.LargeBinary,
            nullable=False,
            comment="A hash of the sender's fingerprint and all labels.",
        ),
        sa.Column("labels", postgresql.JSONB, nullable=False),
        sa.Column(
            "open_alert_id",
            sa.BigInteger,
            comment="The occurrence that has not ended; NULL when the series does not fire.",
        ),
        sa.Column("reports", postgresql.JSON, nullable=False, comment="The last report of each sender."),
        sa.Column("version", sa.BigInteger, nullable=False, comment="Incremented by every report."),
        sa.UniqueConstraint("identity", "tenant_id", "source", name="series_identity"),
        comment="A label set of one tenant and source. At most one occurrence is open.",
    )
    op.drop_table("group_states")
    op.create_table(
        "group_states",
        sa.Column("group_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False, comment="Incremented by every webhook of the group."),
        sa.Column("senders", postgresql.JSON, nullable=False, comment="The last state that each sender reported."),
        sa.Column("updated_at", moment, nullable=False),
        comment="The last states of groups, by which duplicates are recognized.",
    )
    op.create_index("group_states_updated_at", "group_states", ["updated_at"])
    add_sender_tables()


def add_sender_tables() -> None:
    """Create the tables of senders, sources and repeated reports."""
    op.create_table(
        "senders",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("external_url", sa.Text, nullable=False),
        sa.Column(
            "address",
            sa.Text,
            nullable=False,
            comment="The client's address, or the name that the webhook gives.",
        ),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("last_seen_at", moment, nullable=False, comment="Updated once a minute."),
        comment="The Alertmanager processes that send webhooks.",
    )
    op.create_table(
        "sources",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("stale_after", sa.Double, comment="Seconds; NULL for the setting RELAY_STALE_AFTER."),
        comment="Settings of sources.",
    )
    op.create_table(
        "repeats",
        sa.Column("receipt_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("sender_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("first_received_at", moment, nullable=False),
        sa.Column("last_received_at", moment, nullable=False),
        sa.CheckConstraint("kind IN ('duplicate', 'late')", name="repeats_kind"),
        comment="Duplicate and late reports, counted on the receipt that they repeat.",
    )
