"""Create the tables of configuration, alerts, receipts, lanes, deliveries and attempts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
LOSES = ("all data: channels, API keys, alerts, webhooks and deliveries",)
"""What a downgrade loses."""

moment = sa.DateTime(timezone=True)
now = sa.text("now()")
zero = sa.text("0")


def upgrade() -> None:
    channels()
    api_keys()
    change_notifications()
    alerts()
    receipts()
    lanes()
    deliveries()
    attempts()


def channels() -> None:
    op.create_table(
        "config_version",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="config_version_one_row"),
        comment="One row; a trigger increments the version at every change of the configuration.",
    )
    op.execute("INSERT INTO config_version (id, version) VALUES (1, 1)")
    op.create_table(
        "channels",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("channel_type", sa.Text, nullable=False),
        sa.Column("config", JSONB, nullable=False, comment="The settings, without id, type and secret fields."),
        sa.Column(
            "sealed",
            sa.LargeBinary,
            nullable=False,
            comment="The secret fields, encrypted and bound to the id.",
        ),
        sa.Column(
            "enabled",
            sa.Boolean,
            sa.Computed("(config ->> 'enabled')::boolean", persisted=True),
            nullable=False,
        ),
        sa.Column("created_at", moment, nullable=False, server_default=now),
        sa.Column("updated_at", moment, nullable=False, server_default=now),
    )


def api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column(
            "hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the key, which has 256 random bits."
        ),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("created_at", moment, nullable=False, server_default=now),
        sa.Column("revoked_at", moment),
        sa.UniqueConstraint("hash", name="api_keys_hash_key"),
    )


def change_notifications() -> None:
    # BEFORE, so that the version's row is locked before any other: ingest locks it first too, and the same
    # order on both sides can't deadlock.
    op.execute(
        """
        CREATE FUNCTION relay_config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
          current bigint;
        BEGIN
          UPDATE config_version SET version = version + 1 RETURNING version INTO current;
          PERFORM pg_notify('relay_config', current::text);
          RETURN NULL;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER channels_changed BEFORE INSERT OR UPDATE OR DELETE ON channels
        FOR EACH STATEMENT EXECUTE FUNCTION relay_config_changed()
        """
    )


def alerts() -> None:
    # No foreign keys on the hot path: each would cost a lookup for each row, and retention deletes rows in bulk.
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant_id", sa.Text, nullable=False, comment="Empty when the alert has no tenant."),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("starts_at", moment, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("alertname", sa.Text, nullable=False),
        sa.Column("severity", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("annotations", JSONB, nullable=False),
        sa.Column("ends_at", moment),
        sa.Column("generator_url", sa.Text, nullable=False),
        sa.Column("first_received_at", moment, nullable=False),
        sa.Column("last_received_at", moment, nullable=False),
        sa.Column("resolved_received_at", moment),
        sa.Column(
            "group_hashes", sa.ARRAY(sa.BigInteger), nullable=False, comment="The groups that contained the alert."
        ),
        sa.UniqueConstraint("tenant_id", "fingerprint", "starts_at", name="alerts_occurrence_key"),
        sa.CheckConstraint("status IN ('firing', 'resolved')", name="alerts_status"),
    )


def receipts() -> None:
    op.create_table(
        "group_states",
        sa.Column("state_hash", sa.LargeBinary, primary_key=True),
        sa.Column("accepted_at", moment, nullable=False),
        comment="When a state of a group was last accepted; the same soon after is a duplicate.",
    )
    op.create_index("group_states_accepted_at", "group_states", ["accepted_at"])
    op.create_table(
        "receipts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("state_hash", sa.LargeBinary, nullable=False),
        sa.Column(
            "group_hash",
            sa.BigInteger,
            nullable=False,
            comment="A hash of the group_key, which may be too long to index.",
        ),
        sa.Column("group_key", sa.Text, nullable=False),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("received_at", moment, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="The body of the webhook."),
        sa.Column(
            "alert_ids", sa.ARRAY(sa.BigInteger), nullable=False, comment="In the order of the body's alerts."
        ),
    )
    op.create_index("receipts_group", "receipts", ["group_hash", "received_at"])


def lanes() -> None:
    op.create_table(
        "lanes",
        sa.Column("channel_id", sa.Text, sa.ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
        sa.Column(
            "enqueued",
            sa.BigInteger,
            nullable=False,
            server_default=zero,
            comment="Incremented by every commit that queues a delivery.",
        ),
        sa.Column("next_due", moment, comment="When a delivery is due; NULL when none is pending."),
        sa.Column("owner", sa.Text, comment="The worker that holds the lease."),
        sa.Column("lease_until", moment),
        sa.Column(
            "epoch", sa.BigInteger, nullable=False, server_default=zero, comment="Incremented with every lease."
        ),
        postgresql_with={"fillfactor": "50"},
    )


def deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("receipt_id", sa.BigInteger, nullable=False),
        sa.Column(
            "channel_id", sa.Text, nullable=False, comment="No foreign key: the history outlives the channel."
        ),
        sa.Column("group_hash", sa.BigInteger, nullable=False),
        sa.Column("positions", sa.ARRAY(sa.Integer), comment="Positions of the alerts in the body; NULL for all."),
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


def attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("duration", sa.Double, nullable=False, comment="Seconds."),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("status_code", sa.Integer),
        sa.Column("detail", sa.Text),
    )


def downgrade() -> None:
    for table in (
        "attempts",
        "deliveries",
        "lanes",
        "receipts",
        "group_states",
        "alerts",
        "api_keys",
        "channels",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION relay_config_changed()")
    op.drop_table("config_version")
