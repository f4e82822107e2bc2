"""Create the table of custom channel templates."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
LOSES = ("custom channel templates",)
"""What a downgrade loses."""

moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "channel_templates",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "body", postgresql.JSONB, nullable=False, comment="All fields but the id; they contain no secrets."
        ),
        sa.Column("created_at", moment, nullable=False, server_default=sa.text("now()")),
        sa.Column("updated_at", moment, nullable=False, server_default=sa.text("now()")),
        comment="Templates of users; the built-in ones are in the code.",
    )


def downgrade() -> None:
    op.drop_table("channel_templates")
