"""Jobs, their shortlist, their top variants and their events."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_jobs()
    create_job_indexes()
    create_transition_trigger()
    create_shortlist()
    create_top_variants()
    create_events()


def downgrade() -> None:
    op.execute("DROP TABLE backtest_job_events")
    op.execute("DROP TABLE backtest_job_top_variants")
    op.execute("DROP TABLE backtest_job_stage_a_shortlist")
    op.execute("DROP TABLE backtest_jobs")
    op.execute("DROP FUNCTION backtest_jobs_check_transition()")


def create_jobs() -> None:
    # Half of every page stays free: a running job is rewritten every second, and as long as the
    # new version fits into the same page and no index names a changed column, no index is touched.
    op.execute("""
CREATE TABLE backtest_jobs (
    job_id                       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id                      uuid NOT NULL,
    mode                         text NOT NULL,
    priority                     smallint NOT NULL DEFAULT 0,
    idempotency_key              text,

    state                        text NOT NULL DEFAULT 'queued',
    created_at                   timestamptz NOT NULL DEFAULT now(),
    updated_at                   timestamptz NOT NULL DEFAULT now(),
    started_at                   timestamptz,
    finished_at                  timestamptz,
    cancel_requested_at          timestamptz,

    request_json                 jsonb NOT NULL,
    request_hash                 text NOT NULL,
    engine_params_hash           text NOT NULL,
    backtest_runtime_config_hash text NOT NULL,
    engine_version               text,
    spec_hash                    text,
    spec_payload_json            jsonb,

    stage                        text,
    processed_units              bigint NOT NULL DEFAULT 0,
    total_units                  bigint NOT NULL DEFAULT 0,
    progress_updated_at          timestamptz,

    locked_by                    text,
    locked_at                    timestamptz,
    lease_expires_at             timestamptz,
    heartbeat_at                 timestamptz,
    attempt                      int NOT NULL DEFAULT 0,
    crash_count                  int NOT NULL DEFAULT 0,

    next_dispatch_at             timestamptz DEFAULT now(),
    dispatch_count               int NOT NULL DEFAULT 0,

    last_error                   text,
    last_error_json              jsonb,

    CONSTRAINT backtest_jobs_mode
        CHECK (mode IN ('saved', 'template')),
    CONSTRAINT backtest_jobs_state
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT backtest_jobs_stage
        CHECK (stage IN ('stage_a', 'stage_b', 'finalizing')),

    CONSTRAINT backtest_jobs_lease_while_running
        CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
    -- A lease without an owner is one that was released: it had run out when it was written.
    CONSTRAINT backtest_jobs_owner_until_release
        CHECK (state <> 'running' OR locked_by IS NOT NULL OR lease_expires_at <= updated_at),
    CONSTRAINT backtest_jobs_finished_when_terminal
        CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT backtest_jobs_spec_when_saved
        CHECK ((mode = 'saved') = (spec_hash IS NOT NULL)
               AND (mode = 'saved') = (spec_payload_json IS NOT NULL)),
    -- A queued job without a time for its next wake-up would wait for ever.
    CONSTRAINT backtest_jobs_wake_up_while_queued
        CHECK (state <> 'queued' OR next_dispatch_at IS NOT NULL),

    CONSTRAINT backtest_jobs_processed_units CHECK (processed_units >= 0),
    CONSTRAINT backtest_jobs_total_units CHECK (total_units >= 0),
    CONSTRAINT backtest_jobs_attempt CHECK (attempt >= 0),
    CONSTRAINT backtest_jobs_crash_count CHECK (crash_count >= 0),
    CONSTRAINT backtest_jobs_dispatch_count CHECK (dispatch_count >= 0),

    CONSTRAINT backtest_jobs_request_json
        CHECK (jsonb_typeof(request_json) = 'object'),
    CONSTRAINT backtest_jobs_spec_payload_json
        CHECK (jsonb_typeof(spec_payload_json) = 'object'),
    CONSTRAINT backtest_jobs_last_error_json
        CHECK (jsonb_typeof(last_error_json) = 'object'
               AND last_error_json ?& ARRAY['code', 'message', 'details'])
) WITH (fillfactor = 50)
    """)


def create_job_indexes() -> None:
    # No index names, in key or predicate, a column that heartbeats or progress change.
    op.execute("""
CREATE INDEX backtest_jobs_list
    ON backtest_jobs (user_id, created_at DESC, job_id DESC)
    """)
    op.execute("""
CREATE INDEX backtest_jobs_list_by_state
    ON backtest_jobs (user_id, state, created_at DESC, job_id DESC)
    """)
    op.execute("""
CREATE INDEX backtest_jobs_wake_up
    ON backtest_jobs (priority DESC, created_at, job_id)
    WHERE state IN ('queued', 'running')
    """)
    op.execute("""
CREATE INDEX backtest_jobs_active_of_user
    ON backtest_jobs (user_id)
    WHERE state IN ('queued', 'running')
    """)
    op.execute("""
CREATE INDEX backtest_jobs_retention
    ON backtest_jobs (finished_at)
    WHERE finished_at IS NOT NULL
    """)
    op.execute("""
CREATE UNIQUE INDEX backtest_jobs_idempotency
    ON backtest_jobs (user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL
    """)


def create_transition_trigger() -> None:
    # Updates within a state never reach the function. (No percent sign here or in any revision:
    # alembic doubles it when it prints the SQL offline.)
    op.execute("""
CREATE FUNCTION backtest_jobs_check_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) IN (
        ('queued', 'running'), ('queued', 'cancelled'),
        ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled')
    ) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        MESSAGE = 'a job cannot go from ' || OLD.state || ' to ' || NEW.state,
        DETAIL = 'job_id ' || OLD.job_id,
        ERRCODE = 'check_violation',
        CONSTRAINT = 'backtest_jobs_transition';
END
$$
    """)
    op.execute("""
CREATE TRIGGER backtest_jobs_transition
    BEFORE UPDATE OF state ON backtest_jobs
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION backtest_jobs_check_transition()
    """)


def create_shortlist() -> None:
    op.execute("""
CREATE TABLE backtest_job_stage_a_shortlist (
    job_id                 uuid PRIMARY KEY REFERENCES backtest_jobs ON DELETE CASCADE,
    stage_a_indexes_json   jsonb NOT NULL,
    stage_a_variants_total bigint NOT NULL,
    risk_total             bigint NOT NULL,
    preselect_used         bigint NOT NULL,
    attempt                int NOT NULL,
    engine_version         text NOT NULL,
    candles_hash           text NOT NULL,
    updated_at             timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT backtest_job_stage_a_shortlist_stage_a_indexes_json
        CHECK (jsonb_typeof(stage_a_indexes_json) = 'array'),
    CONSTRAINT backtest_job_stage_a_shortlist_stage_a_variants_total
        CHECK (stage_a_variants_total >= 0),
    CONSTRAINT backtest_job_stage_a_shortlist_risk_total CHECK (risk_total >= 0),
    CONSTRAINT backtest_job_stage_a_shortlist_preselect_used CHECK (preselect_used >= 0),
    CONSTRAINT backtest_job_stage_a_shortlist_attempt CHECK (attempt >= 0)
)
    """)


def create_top_variants() -> None:
    op.execute("""
CREATE TABLE backtest_job_top_variants (
    job_id                uuid NOT NULL REFERENCES backtest_jobs ON DELETE CASCADE,
    rank                  int NOT NULL,
    variant_key           text NOT NULL,
    indicator_variant_key text NOT NULL,
    variant_index         bigint NOT NULL,
    total_return_pct      double precision NOT NULL,
    metrics_json          jsonb NOT NULL,
    payload_json          jsonb NOT NULL,
    report_table_md       text,
    trades_json           jsonb,
    equity_json           jsonb,
    updated_at            timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (job_id, rank),
    CONSTRAINT backtest_job_top_variants_variant UNIQUE (job_id, variant_key),

    CONSTRAINT backtest_job_top_variants_rank CHECK (rank >= 1),
    CONSTRAINT backtest_job_top_variants_variant_index CHECK (variant_index >= 0),
    CONSTRAINT backtest_job_top_variants_metrics_json
        CHECK (jsonb_typeof(metrics_json) = 'object'),
    CONSTRAINT backtest_job_top_variants_payload_json
        CHECK (jsonb_typeof(payload_json) = 'object'),
    CONSTRAINT backtest_job_top_variants_trades_json
        CHECK (jsonb_typeof(trades_json) = 'array'),
    CONSTRAINT backtest_job_top_variants_equity_json
        CHECK (jsonb_typeof(equity_json) = 'array')
)
    """)


def create_events() -> None:
    op.execute("""
CREATE TABLE backtest_job_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id   uuid NOT NULL REFERENCES backtest_jobs ON DELETE CASCADE,
    at       timestamptz NOT NULL DEFAULT now(),
    event    text NOT NULL,
    attempt  int NOT NULL,
    actor    text NOT NULL,
    details  jsonb NOT NULL DEFAULT '{}',

    CONSTRAINT backtest_job_events_event CHECK (event IN (
        'queued', 'claimed', 'stage_started', 'reclaimed', 'resumed_from_shortlist',
        'lease_released', 'cancel_requested', 'succeeded', 'failed', 'cancelled'
    )),
    CONSTRAINT backtest_job_events_attempt CHECK (attempt >= 0),
    CONSTRAINT backtest_job_events_details CHECK (jsonb_typeof(details) = 'object')
)
    """)
    op.execute("""
CREATE INDEX backtest_job_events_of_job
    ON backtest_job_events (job_id, event_id)
    """)
