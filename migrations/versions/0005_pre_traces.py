"""pre: the trace that a submission belongs to."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As W3C's Trace Context writes it. Programs of the release before leave it null.
    op.execute("""
ALTER TABLE backtest_jobs
    ADD COLUMN traceparent text,
    ADD CONSTRAINT backtest_jobs_traceparent
        CHECK (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$')
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE backtest_jobs DROP COLUMN traceparent")
