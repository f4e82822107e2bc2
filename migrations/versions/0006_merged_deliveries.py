"""Look up merged deliveries in their index, however many were merged into one delivery.

After a storm, all rows that ANALYZE reads may have the same `merged_into`. Postgres then expects as many rows for
every delivery, and reads the whole history for each: a digest of 100,000 groups was never sent.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # https://www.postgresql.org/docs/current/sql-altertable.html: -1 means that nearly every value is distinct.
    op.execute("ALTER TABLE deliveries_finished ALTER merged_into SET (n_distinct = -1)")
    op.execute("ALTER TABLE deliveries ALTER merged_into SET (n_distinct_inherited = -1)")
    op.execute("ANALYZE deliveries")


def downgrade() -> None:
    op.execute("ALTER TABLE deliveries_finished ALTER merged_into RESET (n_distinct)")
    op.execute("ALTER TABLE deliveries ALTER merged_into RESET (n_distinct_inherited)")
