"""Silences, acknowledgements, and deliveries that these suppress."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

moment = sa.DateTime(timezone=True)
now = sa.text("now()")
STATES = ("pending", "sending", "delivered", "merged", "dead")
KINDS = ("group", "digest", "refresh")


def upgrade() -> None:
    silences()
    acknowledgements()
    deliveries()
    op.add_column(
        "receipts",
        sa.Column("config_version", sa.BigInteger, comment="The version of the configuration that routed it."),
    )
    # The default is also that of rows of an earlier release, which are not looked at again.
    op.add_column(
        "alerts",
        sa.Column(
            "routed",
            sa.Boolean,
            nullable=False,
            server_default=sa.text("true"),
            comment="Whether it matched a channel in any webhook.",
        ),
    )
    op.create_index("alerts_stale", "alerts", ["id"], postgresql_where=sa.text("status = 'stale'"))
    op.create_index("alerts_unrouted", "alerts", ["id"], postgresql_where=sa.text("NOT routed"))


def silences() -> None:
    op.create_table(
        "silences",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("body", postgresql.JSONB, nullable=False, comment="All fields but the id."),
        sa.Column("tenant_id", sa.Text, comment="NULL for one of no tenant."),
        sa.Column("starts_at", moment, nullable=False),
        sa.Column("ends_at", moment, comment="NULL for a series without an end."),
        sa.Column("created_at", moment, nullable=False, server_default=now),
        sa.Column("updated_at", moment, nullable=False, server_default=now),
        sa.Column("matched_at", moment, comment="When it last matched a firing alert, as far as that matters."),
        sa.Column("reminded_for", moment, comment="The end that its reminder announced."),
    )
    op.create_index("silences_ends_at", "silences", ["ends_at"])
    op.create_index("silences_tenant", "silences", ["tenant_id", "id"])
    # Not of the last two columns, which no routing depends on.
    op.execute(
        """
        CREATE TRIGGER silences_changed
        BEFORE INSERT OR DELETE OR UPDATE OF body, tenant_id, starts_at, ends_at ON silences
        FOR EACH STATEMENT EXECUTE FUNCTION relay_config_changed()
        """
    )


def acknowledgements() -> None:
    op.create_table(
        "acknowledgements",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("alert_id", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False, comment="The identity of who acknowledged the alert."),
        sa.Column("author_name", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_at", moment, nullable=False, server_default=now),
        sa.Column("until", moment, comment="NULL: until the alert ends."),
        sa.Column("ended_at", moment, comment="When it was withdrawn or replaced; NULL while it holds."),
        sa.Column("ended_by", sa.Text, comment="The identity of who withdrew or replaced it."),
        sa.Column("ended_by_name", sa.Text),
        comment="Who takes care of an alert; its repeats are suppressed.",
    )
    op.create_index(
        "acknowledgements_alert",
        "acknowledgements",
        ["alert_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("acknowledgements_history", "acknowledgements", ["alert_id", "id"])
    op.create_index("acknowledgements_ended_at", "acknowledgements", ["ended_at"])


def deliveries() -> None:
    for column in (
        sa.Column(
            "alert_ids",
            postgresql.ARRAY(sa.BigInteger),
            comment="Its alerts, where these are not those of positions.",
        ),
        sa.Column(
            "withheld",
            postgresql.ARRAY(sa.BigInteger),
            nullable=False,
            server_default=sa.text("'{}'"),
            comment="Alerts that were suppressed: the message is without these.",
        ),
        sa.Column(
            "suppressed_by", postgresql.JSONB, comment="What suppressed it, each with the ids of its alerts."
        ),
        sa.Column("config_version", sa.BigInteger, comment="The version of the configuration that suppressed it."),
    ):
        op.add_column("deliveries", column)
    replace_check("deliveries_state", "state", (*STATES, "suppressed"))
    replace_check("deliveries_kind", "kind", (*KINDS, "release"))
    op.execute("CREATE TABLE deliveries_suppressed PARTITION OF deliveries FOR VALUES IN ('suppressed')")
    op.create_index("deliveries_suppressed_channel", "deliveries_suppressed", ["channel_id", "id"])
    op.create_index(
        "deliveries_explicit",
        "deliveries",
        ["channel_id", "group_hash"],
        postgresql_where=sa.text("alert_ids IS NOT NULL"),
    )
    op.create_table(
        "held_deliveries",
        sa.Column("suppressor", sa.Text, primary_key=True),
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("group_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
        comment="What suppresses deliveries whose alerts are to be sent when that ends.",
    )
    op.create_index("held_deliveries_group", "held_deliveries", ["channel_id", "group_hash"])
    op.create_index("held_deliveries_delivery", "held_deliveries", ["delivery_id"])


def replace_check(name: str, column: str, values: tuple[str, ...]) -> None:
    op.drop_constraint(name, "deliveries")
    op.create_check_constraint(name, "deliveries", f"{column} IN ({', '.join(map(repr, values))})")


def downgrade() -> None:
    """What is suppressed becomes dead, and what was released is sent as its webhook."""
    op.execute("UPDATE deliveries SET kind = 'group' WHERE kind = 'release'")
    op.execute(
        "UPDATE deliveries SET state = 'dead', last_reason = 'other', last_error = 'suppressed' "
        "WHERE state = 'suppressed'"
    )
    op.drop_table("held_deliveries")
    op.drop_index("deliveries_explicit", "deliveries")
    op.execute("DROP TABLE deliveries_suppressed")
    replace_check("deliveries_kind", "kind", KINDS)
    replace_check("deliveries_state", "state", STATES)
    for column in ("config_version", "suppressed_by", "withheld", "alert_ids"):
        op.drop_column("deliveries", column)
    op.drop_column("receipts", "config_version")
    op.drop_column("alerts", "routed")
    op.drop_index("alerts_stale", "alerts")
    op.drop_table("acknowledgements")
    op.drop_table("silences")
