"""pre: coverage and outcomes of a search, twins of a variant, the client of what a user did."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Neither is written by a heartbeat or by progress; a large one lies outside the row, and an
    # update that leaves it alone does not copy it.
    op.execute("""
ALTER TABLE backtest_jobs
    ADD COLUMN coverage_json jsonb,
    ADD COLUMN outcomes_json jsonb,
    ADD CONSTRAINT backtest_jobs_coverage_json
        CHECK (jsonb_typeof(coverage_json) = 'object'),
    ADD CONSTRAINT backtest_jobs_outcomes_json
        CHECK (jsonb_typeof(outcomes_json) = 'object')
    """)
    op.execute("""
ALTER TABLE backtest_job_stage_a_shortlist
    ADD COLUMN twins_json jsonb,
    ADD CONSTRAINT backtest_job_stage_a_shortlist_twins_json CHECK (
        CASE WHEN jsonb_typeof(twins_json) = 'array'
                  AND jsonb_typeof(stage_a_indexes_json) = 'array'
             THEN jsonb_array_length(twins_json) = jsonb_array_length(stage_a_indexes_json)
             ELSE twins_json IS NULL
        END
    )
    """)
    op.execute("""
ALTER TABLE backtest_job_top_variants
    ADD COLUMN twins bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT backtest_job_top_variants_twins CHECK (twins >= 1)
    """)
    op.execute("""
ALTER TABLE backtest_job_events
    ADD CONSTRAINT backtest_job_events_client CHECK (
        actor <> 'user' OR coalesce(details ->> 'client' IN ('cli', 'page', 'api'), false)
    )
    """)
    create_trigger_for_programs_that_know_no_twins()


def create_trigger_for_programs_that_know_no_twins() -> None:
    # A program of the release before may compute stage A again, and then replaces the indexes
    # alone. The twins and statistics of the search before would stand beside what it found, as if
    # they were its own. Programs of this release clear the twins before they write new ones, so an
    # update that leaves them as they were is not theirs. A post revision drops this.
    op.execute("""
CREATE FUNCTION backtest_job_shortlist_forget_twins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE backtest_jobs SET outcomes_json = NULL WHERE job_id = NEW.job_id;
    NEW.twins_json := NULL;
    RETURN NEW;
END
$$
    """)
    op.execute("""
CREATE TRIGGER backtest_job_shortlist_forget_twins
    BEFORE UPDATE ON backtest_job_stage_a_shortlist
    FOR EACH ROW
    WHEN (OLD.twins_json IS NOT NULL AND NEW.twins_json IS NOT DISTINCT FROM OLD.twins_json)
    EXECUTE FUNCTION backtest_job_shortlist_forget_twins()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER backtest_job_shortlist_forget_twins ON backtest_job_stage_a_shortlist")
    op.execute("DROP FUNCTION backtest_job_shortlist_forget_twins()")
    op.execute("ALTER TABLE backtest_job_events DROP CONSTRAINT backtest_job_events_client")
    op.execute("ALTER TABLE backtest_job_top_variants DROP COLUMN twins")
    op.execute("ALTER TABLE backtest_job_stage_a_shortlist DROP COLUMN twins_json")
    op.execute("ALTER TABLE backtest_jobs DROP COLUMN coverage_json, DROP COLUMN outcomes_json")
