"""Create the tables of message templates and their versions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
LOSES = ("message templates with all their versions",)
"""What a downgrade loses."""

moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "message_templates",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False, comment="The current version."),
        sa.Column("body", postgresql.JSONB, nullable=False, comment="The body of that version."),
        sa.Column("updated_at", moment, nullable=False, server_default=sa.text("now()")),
    )
    op.create_table(
        "message_template_versions",
        sa.Column(
            "template_id", sa.Text, sa.ForeignKey("message_templates.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", postgresql.JSONB, nullable=False, comment="All fields but the id."),
        sa.Column("created_at", moment, nullable=False, server_default=sa.text("now()")),
        comment="All versions of each message template.",
    )


def downgrade() -> None:
    op.drop_table("message_template_versions")
    op.drop_table("message_templates")
