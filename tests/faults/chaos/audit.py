"""A witness inside the database, which shares nothing with the product's own statements."""

from typing import Any
from uuid import UUID

import psycopg

_WITNESS = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.violations (
    at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id uuid, what text
);
CREATE TABLE chaos.published (job_id uuid, transaction xid8, PRIMARY KEY (job_id, transaction));
CREATE TABLE chaos.shared (job_id uuid, worker text, PRIMARY KEY (job_id, worker));

CREATE FUNCTION chaos.watch_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    IF old.state IN ('succeeded', 'failed', 'cancelled') THEN
        wrong := 'a job that had ended was changed';
    ELSIF new.attempt <> old.attempt THEN
        IF new.attempt <> old.attempt + 1 THEN
            wrong := format('attempt %s came after %s', new.attempt, old.attempt);
        ELSIF old.state = 'running' AND old.lease_expires_at > clock_timestamp() THEN
            wrong := format('%s took the living lease of %s', new.locked_by, old.locked_by);
        END IF;
    ELSIF new.locked_by IS DISTINCT FROM old.locked_by THEN
        IF new.locked_by IS NOT NULL OR new.lease_expires_at > clock_timestamp() THEN
            wrong := format('%s followed %s without a claim', new.locked_by, old.locked_by);
        END IF;
    ELSIF old.state = 'queued' AND new.state NOT IN ('queued', 'cancelled') THEN
        wrong := format('queued became %s without a claim', new.state);
    END IF;
    IF wrong IS NOT NULL THEN
        INSERT INTO chaos.violations (job_id, what) VALUES (new.job_id, wrong);
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER chaos_watch BEFORE UPDATE ON backtest_jobs
    FOR EACH ROW EXECUTE FUNCTION chaos.watch_job();

CREATE FUNCTION chaos.watch_shard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    IF old.state = 'done' THEN
        wrong := 'a shard that was done was changed';
    ELSIF new.attempt <> old.attempt AND old.state = 'running'
        AND old.lease_expires_at > clock_timestamp() AND new.locked_by <> old.locked_by
    THEN
        wrong := format('%s took the living shard of %s', new.locked_by, old.locked_by);
    ELSIF new.state = 'done' AND new.locked_by <> old.locked_by THEN
        wrong := format('%s ended the shard of %s', new.locked_by, old.locked_by);
    END IF;
    IF wrong IS NOT NULL THEN
        INSERT INTO chaos.violations (job_id, what) VALUES (new.job_id, wrong);
    END IF;
    IF new.state = 'done' THEN
        INSERT INTO chaos.shared VALUES (new.job_id, new.locked_by) ON CONFLICT DO NOTHING;
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER chaos_watch BEFORE UPDATE ON backtest_job_shards
    FOR EACH ROW EXECUTE FUNCTION chaos.watch_shard();

CREATE FUNCTION chaos.watch_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.published
    SELECT DISTINCT job_id, pg_current_xact_id() FROM added WHERE report_table_md IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER chaos_watch AFTER INSERT ON backtest_job_top_variants
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION chaos.watch_rows();
"""


def install(conn: psycopg.Connection[Any]) -> None:
    """Have the database itself notice two owners, changes after the end, and publications."""
    conn.execute(_WITNESS)


def violations(conn: psycopg.Connection[Any]) -> list[str]:
    """What the witness saw and should not have seen."""
    rows = conn.execute("SELECT job_id, what FROM chaos.violations ORDER BY at")
    return [f"{job_id}: {what}" for job_id, what in rows]


def publications(conn: psycopg.Connection[Any]) -> dict[UUID, int]:
    """In how many transactions the reports of each job were published."""
    rows = conn.execute("SELECT job_id, count(*) FROM chaos.published GROUP BY job_id")
    return dict(rows.fetchall())


def shared(conn: psycopg.Connection[Any]) -> dict[int, int]:
    """How many jobs were shared by so many workers that each have ended a part of them."""
    rows = conn.execute(
        "SELECT workers, count(*) FROM"
        " (SELECT count(*) AS workers FROM chaos.shared GROUP BY job_id) AS job"
        " GROUP BY workers ORDER BY workers"
    )
    return dict(rows.fetchall())
