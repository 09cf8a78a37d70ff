"""pre: a stage of a job planned as shards, which all workers may share."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Programs of the release before plan nothing. Where one of them goes on with a job, it computes
    # the stage by itself, and the plan that it does not see is deleted when the job has ended.
    create_plans()
    create_shards()
    create_transition_trigger()
    create_triggers_that_keep_a_plan_as_it_is()
    create_triggers_that_keep_a_plan_whole()


def downgrade() -> None:
    op.execute("DROP TABLE backtest_job_shards, backtest_job_plans")
    op.execute("DROP FUNCTION backtest_job_shards_check_transition()")
    op.execute("DROP FUNCTION backtest_job_plans_stay()")
    op.execute("DROP FUNCTION backtest_job_plans_check_shards()")


def create_plans() -> None:
    # The second key is there to be referenced: a shard cannot say it is of another plan.
    op.execute("""
CREATE TABLE backtest_job_plans (
    job_id          uuid NOT NULL REFERENCES backtest_jobs ON DELETE CASCADE,
    stage           text NOT NULL,
    plan_id         uuid NOT NULL,
    engine_identity text NOT NULL,
    candles_hash    text NOT NULL,
    shards          int NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (job_id, stage),
    CONSTRAINT backtest_job_plans_plan UNIQUE (job_id, stage, plan_id),

    CONSTRAINT backtest_job_plans_stage CHECK (stage IN ('stage_a', 'stage_b', 'validation')),
    CONSTRAINT backtest_job_plans_shards CHECK (shards >= 1)
)
    """)


def create_shards() -> None:
    # Half of every page stays free, as in the table of jobs: a running shard is rewritten every
    # second, and no index names a column that is written then.
    op.execute("""
CREATE TABLE backtest_job_shards (
    job_id           uuid NOT NULL,
    stage            text NOT NULL,
    shard            int NOT NULL,
    plan_id          uuid NOT NULL,
    part             jsonb NOT NULL,

    state            text NOT NULL DEFAULT 'open',
    locked_by        text,
    attempt          int NOT NULL DEFAULT 0,
    crash_count      int NOT NULL DEFAULT 0,
    lease_expires_at timestamptz,
    heartbeat_at     timestamptz,

    processed_units  bigint NOT NULL DEFAULT 0,
    total_units      bigint NOT NULL,
    result           bytea,
    error            jsonb,
    updated_at       timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (job_id, stage, shard),
    CONSTRAINT backtest_job_shards_plan FOREIGN KEY (job_id, stage, plan_id)
        REFERENCES backtest_job_plans (job_id, stage, plan_id) ON DELETE CASCADE,

    CONSTRAINT backtest_job_shards_state
        CHECK (state IN ('open', 'running', 'done', 'failed')),
    CONSTRAINT backtest_job_shards_shard CHECK (shard >= 0),
    CONSTRAINT backtest_job_shards_part CHECK (jsonb_typeof(part) = 'object'),
    CONSTRAINT backtest_job_shards_attempt CHECK (attempt >= 0),
    CONSTRAINT backtest_job_shards_crash_count CHECK (crash_count >= 0),
    CONSTRAINT backtest_job_shards_total_units CHECK (total_units >= 0),

    -- Who had a shard last stays to be read, as with jobs; one that was given back is nobody's.
    CONSTRAINT backtest_job_shards_locked_by
        CHECK ((state = 'open') = (locked_by IS NULL)),
    CONSTRAINT backtest_job_shards_lease_while_running
        CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
    CONSTRAINT backtest_job_shards_result_when_done
        CHECK ((state = 'done') = (result IS NOT NULL)),
    CONSTRAINT backtest_job_shards_error_when_failed
        CHECK ((state = 'failed') = (error IS NOT NULL)),
    CONSTRAINT backtest_job_shards_error
        CHECK (jsonb_typeof(error) = 'object' AND error ?& ARRAY['code', 'message', 'details']),
    CONSTRAINT backtest_job_shards_processed_units CHECK (
        CASE state
            WHEN 'running' THEN processed_units BETWEEN 0 AND total_units
            WHEN 'done' THEN processed_units = total_units
            ELSE processed_units = 0
        END
    )
) WITH (fillfactor = 50)
    """)
    # A result comes compressed: trying to compress it again would cost time for nothing.
    op.execute("ALTER TABLE backtest_job_shards ALTER COLUMN result SET STORAGE EXTERNAL")


def create_transition_trigger() -> None:
    # A claim of a shard whose owner is gone is none: it leaves it running.
    op.execute("""
CREATE FUNCTION backtest_job_shards_check_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) IN (
        ('open', 'running'), ('running', 'open'), ('running', 'done'), ('running', 'failed'),
        ('failed', 'running')
    ) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        MESSAGE = 'a shard cannot go from ' || OLD.state || ' to ' || NEW.state,
        DETAIL = 'job_id ' || OLD.job_id || ', ' || OLD.stage || ', shard ' || OLD.shard,
        ERRCODE = 'check_violation',
        CONSTRAINT = 'backtest_job_shards_transition';
END
$$
    """)
    op.execute("""
CREATE TRIGGER backtest_job_shards_transition
    BEFORE UPDATE OF state ON backtest_job_shards
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION backtest_job_shards_check_transition()
    """)


def create_triggers_that_keep_a_plan_as_it_is() -> None:
    # No statement names these columns, so none pays for the second trigger.
    op.execute("""
CREATE FUNCTION backtest_job_plans_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = 'a plan is never changed',
        DETAIL = 'job_id ' || OLD.job_id || ', ' || OLD.stage,
        HINT = 'Delete it, and plan anew.',
        ERRCODE = 'check_violation',
        CONSTRAINT = 'backtest_job_plans_stay';
END
$$
    """)
    op.execute("""
CREATE TRIGGER backtest_job_plans_stay
    BEFORE UPDATE ON backtest_job_plans
    FOR EACH ROW EXECUTE FUNCTION backtest_job_plans_stay()
    """)
    op.execute("""
CREATE TRIGGER backtest_job_shards_stay
    BEFORE UPDATE OF job_id, stage, shard, plan_id, part, total_units ON backtest_job_shards
    FOR EACH ROW EXECUTE FUNCTION backtest_job_plans_stay()
    """)


def create_triggers_that_keep_a_plan_whole() -> None:
    # A plan and its shards come by one statement, and go by the deletion of the plan.
    op.execute("""
CREATE FUNCTION backtest_job_plans_check_shards() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    torn record;
BEGIN
    SELECT plan.job_id, plan.stage, plan.shards, found.number INTO torn
    FROM (SELECT DISTINCT job_id, stage FROM changed) AS touched
    JOIN backtest_job_plans AS plan USING (job_id, stage)
    CROSS JOIN LATERAL (
        SELECT count(*) AS number, max(shard) AS last
        FROM backtest_job_shards AS shard
        WHERE shard.job_id = plan.job_id AND shard.stage = plan.stage
    ) AS found
    WHERE found.number <> plan.shards OR found.last <> plan.shards - 1
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            MESSAGE = 'a plan has the shards 0 to ' || torn.shards - 1 || ', all of them',
            DETAIL = 'job_id ' || torn.job_id || ', ' || torn.stage || ': ' || torn.number
                || ' shards',
            ERRCODE = 'check_violation',
            CONSTRAINT = 'backtest_job_plans_whole';
    END IF;
    RETURN NULL;
END
$$
    """)
    for trigger, event, table in (
        ("backtest_job_plans_whole", "INSERT", "backtest_job_plans"),
        ("backtest_job_shards_added", "INSERT", "backtest_job_shards"),
        ("backtest_job_shards_removed", "DELETE", "backtest_job_shards"),
    ):
        rows = "NEW" if event == "INSERT" else "OLD"
        op.execute(f"""
CREATE TRIGGER {trigger}
    AFTER {event} ON {table}
    REFERENCING {rows} TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION backtest_job_plans_check_shards()
        """)
