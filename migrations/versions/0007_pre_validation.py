"""pre: what a variant made on bars that it was not chosen on, and what was asked of its search."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns_of_rows()
    add_stage()
    create_answers()


def downgrade() -> None:
    op.execute("DROP TABLE backtest_job_surfaces, backtest_job_validation")
    op.execute("""
UPDATE backtest_jobs SET stage = 'stage_b' WHERE stage = 'validation';
ALTER TABLE backtest_jobs
    DROP CONSTRAINT backtest_jobs_stage,
    ADD CONSTRAINT backtest_jobs_stage CHECK (stage IN ('stage_a', 'stage_b', 'finalizing'))
    """)
    op.execute("""
ALTER TABLE backtest_job_top_variants
    DROP COLUMN test_metrics_json,
    DROP COLUMN test_trades_json,
    DROP COLUMN test_equity_json,
    DROP COLUMN beside_json,
    ADD CONSTRAINT backtest_job_top_variants_trades_omitted
        CHECK (NOT trades_omitted OR (trades_json IS NULL AND equity_json IS NULL))
    """)


def add_columns_of_rows() -> None:
    # Empty in the rows of jobs that keep no bars aside, and of programs of the release before:
    # those claim no request that does.
    op.execute("""
ALTER TABLE backtest_job_top_variants
    ADD COLUMN test_metrics_json jsonb,
    ADD COLUMN test_trades_json jsonb,
    ADD COLUMN test_equity_json jsonb,
    ADD COLUMN beside_json jsonb,
    ADD CONSTRAINT backtest_job_top_variants_test_metrics_json
        CHECK (jsonb_typeof(test_metrics_json) = 'object'),
    ADD CONSTRAINT backtest_job_top_variants_test_trades_json
        CHECK (jsonb_typeof(test_trades_json) = 'array'),
    ADD CONSTRAINT backtest_job_top_variants_test_equity_json
        CHECK (jsonb_typeof(test_equity_json) = 'array'),
    ADD CONSTRAINT backtest_job_top_variants_beside_json
        CHECK (jsonb_typeof(beside_json) = 'object'),
    DROP CONSTRAINT backtest_job_top_variants_trades_omitted,
    ADD CONSTRAINT backtest_job_top_variants_trades_omitted CHECK (
        NOT trades_omitted OR
        coalesce(trades_json, equity_json, test_trades_json, test_equity_json) IS NULL
    )
    """)


def add_stage() -> None:
    # Programs of the release before have no word for it: they claim no job that comes there.
    op.execute("""
ALTER TABLE backtest_jobs
    DROP CONSTRAINT backtest_jobs_stage,
    ADD CONSTRAINT backtest_jobs_stage
        CHECK (stage IN ('stage_a', 'stage_b', 'validation', 'finalizing'))
    """)


def create_answers() -> None:
    op.execute("""
CREATE TABLE backtest_job_validation (
    job_id        uuid PRIMARY KEY REFERENCES backtest_jobs ON DELETE CASCADE,
    figures_json  jsonb NOT NULL,
    pictures_json jsonb NOT NULL,

    CONSTRAINT backtest_job_validation_figures_json CHECK (jsonb_typeof(figures_json) = 'object'),
    CONSTRAINT backtest_job_validation_pictures_json CHECK (jsonb_typeof(pictures_json) = 'object')
)
    """)
    op.execute("""
CREATE TABLE backtest_job_surfaces (
    job_id       uuid NOT NULL REFERENCES backtest_jobs ON DELETE CASCADE,
    number       int NOT NULL,
    axis_x       text NOT NULL,
    axis_y       text,
    surface_json jsonb NOT NULL,

    PRIMARY KEY (job_id, number),
    CONSTRAINT backtest_job_surfaces_number CHECK (number >= 1),
    CONSTRAINT backtest_job_surfaces_surface_json CHECK (jsonb_typeof(surface_json) = 'object')
)
    """)
