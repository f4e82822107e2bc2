"""What is told by which other delivery: to be looked up in the index, however many were merged into one.

After a storm, one delivery may stand in `merged_into` of all rows that ANALYZE sees. Postgres then takes every
delivery for one of so many and reads the whole history for each: a digest of 100,000 groups was never told.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # https://www.postgresql.org/docs/current/sql-altertable.html: -1 says that hardly a value stands twice.
    op.execute("ALTER TABLE deliveries_finished ALTER merged_into SET (n_distinct = -1)")
    op.execute("ALTER TABLE deliveries ALTER merged_into SET (n_distinct_inherited = -1)")
    op.execute("ANALYZE deliveries")


def downgrade() -> None:
    op.execute("ALTER TABLE deliveries_finished ALTER merged_into RESET (n_distinct)")
    op.execute("ALTER TABLE deliveries ALTER merged_into RESET (n_distinct_inherited)")
