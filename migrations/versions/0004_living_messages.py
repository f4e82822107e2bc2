"""Living messages: where a channel was told a group, so that it can be edited."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
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


def downgrade() -> None:
    op.drop_table("living_messages")
