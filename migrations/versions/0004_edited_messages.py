"""Create the table of messages that are edited."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
LOSES = ("references to messages on platforms: they are no longer edited, and new ones are posted",)
"""What a downgrade loses."""


def upgrade() -> None:
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


def downgrade() -> None:
    op.drop_table("living_messages")
