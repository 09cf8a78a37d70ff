"""pre: which programs may run on the schema, undefined returns, trades left out, short keys.

A *pre* revision only adds: programs of the release before go on working while it is applied, and
until each is replaced. What they no longer need is removed by a *post* revision of a later release.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # One row: the key has one possible value.
    op.execute("""
CREATE TABLE backtest_jobs_schema_compat (
    only_row                boolean PRIMARY KEY DEFAULT true,
    oldest_program_revision text NOT NULL,

    CONSTRAINT backtest_jobs_schema_compat_only_row CHECK (only_row)
)
    """)
    # Programs of revision 0001 go on working.
    op.execute("INSERT INTO backtest_jobs_schema_compat (oldest_program_revision) VALUES ('0001')")
    op.execute("""
ALTER TABLE backtest_job_top_variants
    ALTER COLUMN total_return_pct DROP NOT NULL,
    ADD COLUMN trades_omitted boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT backtest_job_top_variants_trades_omitted
        CHECK (NOT trades_omitted OR (trades_json IS NULL AND equity_json IS NULL))
    """)
    # Keys of any length were accepted before. They are replaced, not excused: every later write of
    # a row checks it, also a beat of its owner. Whoever would retry under one of them is refused.
    op.execute("""
ALTER TABLE backtest_jobs
    ADD CONSTRAINT backtest_jobs_idempotency_key
        CHECK (char_length(idempotency_key) BETWEEN 1 AND 255) NOT VALID
    """)
    op.execute("""
UPDATE backtest_jobs
SET idempotency_key = CASE WHEN idempotency_key <> '' THEN md5(idempotency_key) END
WHERE char_length(idempotency_key) NOT BETWEEN 1 AND 255
    """)
    op.execute("ALTER TABLE backtest_jobs VALIDATE CONSTRAINT backtest_jobs_idempotency_key")


def downgrade() -> None:
    op.execute("ALTER TABLE backtest_jobs DROP CONSTRAINT backtest_jobs_idempotency_key")
    # The first release knows no undefined return and stored 0 for one.
    op.execute(
        "UPDATE backtest_job_top_variants SET total_return_pct = 0 WHERE total_return_pct IS NULL"
    )
    op.execute("""
ALTER TABLE backtest_job_top_variants
    DROP COLUMN trades_omitted,
    ALTER COLUMN total_return_pct SET NOT NULL
    """)
    op.execute("DROP TABLE backtest_jobs_schema_compat")
