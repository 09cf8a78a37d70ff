"""pre: names and notes of jobs, submissions told apart, saved strategies, news of events."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_job_columns()
    create_job_indexes()
    create_event_trigger()
    create_strategies()


def add_job_columns() -> None:
    # `name_folded` is the name as a search compares it. Programs fold it, for what lower() does
    # depends on the locale of the database, and in C it knows ASCII alone. Programs of the release
    # before leave all of these null.
    op.execute("""
ALTER TABLE backtest_jobs
    ADD COLUMN name text,
    ADD COLUMN name_folded text,
    ADD COLUMN note text,
    ADD COLUMN submission_hash text,
    ADD CONSTRAINT backtest_jobs_name
        CHECK (char_length(name) BETWEEN 1 AND 120),
    ADD CONSTRAINT backtest_jobs_name_folded
        CHECK ((name IS NULL) = (name_folded IS NULL)),
    ADD CONSTRAINT backtest_jobs_note
        CHECK (char_length(note) <= 4000),
    ADD CONSTRAINT backtest_jobs_submission_hash
        CHECK (submission_hash ~ '^[0-9a-f]{64}$')
    """)


def create_job_indexes() -> None:
    # The symbol is read where it is stored: a column of its own would have to be filled in for all
    # jobs there are, and for those of programs that do not know it. It has at most 64 characters;
    # the cut keeps whatever an old request holds within what an index can hold.
    #
    # IF NOT EXISTS: these three can be made beforehand and CONCURRENTLY (runbook, section 10).
    op.execute("""
CREATE INDEX IF NOT EXISTS backtest_jobs_list_by_symbol
    ON backtest_jobs (
        user_id,
        left(request_json #>> '{template,instrument_id,symbol}', 64),
        created_at DESC,
        job_id DESC
    )
    """)
    op.execute("""
CREATE INDEX IF NOT EXISTS backtest_jobs_list_by_symbol_and_state
    ON backtest_jobs (
        user_id,
        left(request_json #>> '{template,instrument_id,symbol}', 64),
        state,
        created_at DESC,
        job_id DESC
    )
    """)
    op.execute("""
CREATE INDEX IF NOT EXISTS backtest_jobs_alike
    ON backtest_jobs (user_id, request_hash, created_at DESC)
    WHERE state = 'succeeded'
    """)
    # Compared byte by byte, so that names with a common beginning are a range of it.
    op.execute("""
CREATE INDEX backtest_jobs_by_name
    ON backtest_jobs (user_id, name_folded text_pattern_ops, job_id)
    WHERE name_folded IS NOT NULL
    """)


def create_event_trigger() -> None:
    # Whatever program appends an event, those who watch the job hear of it at the commit.
    op.execute("""
CREATE FUNCTION backtest_job_events_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('backtest_job_events', NEW.job_id::text);
    RETURN NULL;
END
$$
    """)
    op.execute("""
CREATE TRIGGER backtest_job_events_notify
    AFTER INSERT ON backtest_job_events
    FOR EACH ROW EXECUTE FUNCTION backtest_job_events_notify()
    """)


def create_strategies() -> None:
    # The source is where the template came from, not something it needs: it goes on to say so when
    # retention has deleted that job, and no deletion waits for a strategy. So it is no foreign key.
    op.execute("""
CREATE TABLE backtest_strategies (
    strategy_id        uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id            uuid NOT NULL,
    name               text NOT NULL,
    note               text,
    template_json      jsonb NOT NULL,
    source_job_id      uuid,
    source_variant_key text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT backtest_strategies_one_of_a_name UNIQUE (user_id, name),
    CONSTRAINT backtest_strategies_name
        CHECK (char_length(name) BETWEEN 1 AND 120),
    CONSTRAINT backtest_strategies_note
        CHECK (char_length(note) <= 4000),
    CONSTRAINT backtest_strategies_template_json
        CHECK (jsonb_typeof(template_json) = 'object'),
    CONSTRAINT backtest_strategies_source
        CHECK ((source_job_id IS NULL) = (source_variant_key IS NULL))
)
    """)
    op.execute("""
CREATE INDEX backtest_strategies_list
    ON backtest_strategies (user_id, created_at DESC, strategy_id DESC)
    """)


def downgrade() -> None:
    op.execute("DROP TABLE backtest_strategies")
    op.execute("DROP TRIGGER backtest_job_events_notify ON backtest_job_events")
    op.execute("DROP FUNCTION backtest_job_events_notify()")
    op.execute("DROP INDEX backtest_jobs_list_by_symbol_and_state")
    op.execute("DROP INDEX backtest_jobs_list_by_symbol")
    op.execute("DROP INDEX backtest_jobs_alike")
    # The index of names goes with its column.
    op.execute("""
ALTER TABLE backtest_jobs
    DROP COLUMN name,
    DROP COLUMN name_folded,
    DROP COLUMN note,
    DROP COLUMN submission_hash
    """)
