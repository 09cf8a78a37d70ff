"""Programs of two releases on one database while it is upgraded.

`first_release/` to `fourth_release/` hold the statements of those releases as they were, complete
with the parts they share; they are never edited.
"""

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic.util import CommandError
from sqlalchemy.exc import ProgrammingError

import migrations
from storage import dispatch, jobs, leases, result_texts, results, schema
from storage.records import Claimed, Due, Stage, State
from tests.storage.making import (
    COVERAGE,
    OUTCOMES,
    SHORTLIST,
    SUCCESSOR,
    claim,
    current,
    event_names,
    expire,
    new_database,
    reclaimed,
    save_shortlist,
    save_snapshot,
    stored_rows,
    submitted,
    succeed,
    variants,
    wait_for_a_blocked_session,
)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OLD_OWNER = "old-1-0000000a"


class OldProgram:
    """Runs statements of the first release, by their names."""

    FOLDER = "first_release"
    CLAIM: Mapping[str, Any] = {"locked_by": OLD_OWNER}
    SUBMISSION: Mapping[str, Any] = {}

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._sql: dict[str, str] = {}
        for file in sorted((HERE / self.FOLDER).glob("*.sql")):
            pieces = re.split(r"^-- name: (\w+)[ \t]*$", file.read_text("utf-8"), flags=re.M)
            self._sql |= dict(zip(pieces[1::2], pieces[2::2], strict=True))

    def __call__(self, name: str, /, **values: Any) -> list[Any]:
        cursor = self._conn.execute(self._sql[name].strip().removesuffix(";"), values)
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    def schema_fits(self) -> bool:
        """What every program of the first release asked before it did anything."""
        row = self._conn.execute("SELECT version_num FROM alembic_version").fetchone()
        return row == ("0001",)

    def submits(self) -> UUID:
        hashes = ("request_hash", "engine_params_hash", "backtest_runtime_config_hash")
        row = self(
            "insert_job",
            **dict.fromkeys(hashes, "h"),
            **dict.fromkeys(("idempotency_key", "spec_hash", "spec_payload_json")),
            user_id=uuid4(),
            mode="template",
            priority=0,
            request_json="{}",
            **self.SUBMISSION,
        )[0]
        job_id: UUID = row[0]
        return job_id

    def claims(self, job_id: UUID) -> dict[str, Any]:
        values = {"lease_seconds": 60, "max_crashes": 3, "engine_version": "old"}
        assert self("claim", job_id=job_id, **self.CLAIM, **values)
        row = self._conn.execute(
            "SELECT attempt FROM backtest_jobs WHERE job_id = %s", [job_id]
        ).fetchone()
        assert row is not None
        return {"job_id": job_id, "locked_by": OLD_OWNER, "attempt": row[0]}


class SecondProgram(OldProgram):
    """Runs statements of the second release."""

    FOLDER = "second_release"
    CLAIM: Mapping[str, Any] = {"actor": OLD_OWNER, "request_version": 1}


class ThirdProgram(OldProgram):
    """Runs statements of the third release."""

    FOLDER = "third_release"
    CLAIM: Mapping[str, Any] = {"actor": OLD_OWNER, "request_version": 2}
    SUBMISSION: Mapping[str, Any] = {"coverage_json": None, "client": "cli"}


class ProgramBefore(ThirdProgram):
    """Runs statements of the fourth release, which is the one before this."""

    FOLDER = "fourth_release"
    SUBMISSION: Mapping[str, Any] = {
        **ThirdProgram.SUBMISSION,
        **dict.fromkeys(("name", "name_folded", "note", "submission_hash")),
    }


def make_first_release(dsn: str) -> None:
    migrations.upgrade(dsn, "0001")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "DROP TABLE backtest_jobs_schema_version;"
            "CREATE TABLE alembic_version"
            " (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);"
            "INSERT INTO alembic_version VALUES ('0001')"
        )


@pytest.fixture
def first_release(postgres_server: str) -> Iterator[str]:
    """A database as the first release left it."""
    with new_database(postgres_server) as dsn:
        make_first_release(dsn)
        yield dsn


@pytest.fixture
def upgraded(first_release: str) -> Iterator[psycopg.Connection]:
    """The same after the upgrade."""
    migrations.upgrade(first_release)
    with psycopg.connect(first_release, autocommit=True) as conn:
        yield conn


# --- which programs may run


def revisions(conn: psycopg.Connection, installed: str, oldest: str) -> None:
    conn.execute("UPDATE backtest_jobs_schema_version SET version_num = %s", [installed])
    conn.execute("UPDATE backtest_jobs_schema_compat SET oldest_program_revision = %s", [oldest])


@pytest.mark.parametrize(
    ("installed", "oldest"), [("0008", "0001"), ("0008", "0008"), ("0009", "0008")]
)
def test_a_program_runs_on_its_own_revision_and_on_newer_ones_that_allow_it(
    upgraded: psycopg.Connection, installed: str, oldest: str
) -> None:
    revisions(upgraded, installed, oldest)
    schema.check(upgraded)


@pytest.mark.parametrize(
    ("installed", "oldest", "advice"),
    [
        ("0007", "0001", "is at revision 0007, .* needs revision 0008: run `backtest migrate`"),
        ("0009", "0009", "from revision 0009 on, .* of revision 0008: install the newer release"),
    ],
)
def test_a_program_refuses_an_older_revision_and_a_newer_one_that_excludes_it(
    upgraded: psycopg.Connection, installed: str, oldest: str, advice: str
) -> None:
    revisions(upgraded, installed, oldest)
    with pytest.raises(schema.SchemaUnusable, match=advice):
        schema.check(upgraded)


def test_a_program_refuses_the_schema_of_the_first_release(first_release: str) -> None:
    with (
        psycopg.connect(first_release) as conn,
        pytest.raises(schema.SchemaUnusable, match=r"revision 0001, .*run `backtest migrate`"),
    ):
        schema.check(conn)


@pytest.mark.parametrize(("to", "found"), [("0001", "at revision 0001"), ("base", "no schema yet")])
def test_a_program_refuses_a_schema_that_was_taken_back(
    upgraded: psycopg.Connection, to: str, found: str
) -> None:
    migrations.downgrade(upgraded.info.dsn, to)
    with pytest.raises(schema.SchemaUnusable, match=f"{found}.*run `backtest migrate`"):
        schema.check(upgraded)


# --- the version table


def test_the_old_version_table_is_adopted_and_stays_for_old_programs(
    upgraded: psycopg.Connection,
) -> None:
    schema.check(upgraded)
    assert OldProgram(upgraded).schema_fits()
    rows = upgraded.execute("SELECT version_num FROM backtest_jobs_schema_version").fetchall()
    assert rows == [(schema.REVISION,)]


@pytest.mark.parametrize("revisions", [["9f3c2a77d001"], ["0001"], ["0001", "0002"]])
def test_the_version_table_of_a_stranger_is_left_alone(
    postgres_server: str, revisions: list[str]
) -> None:
    with new_database(postgres_server) as dsn, psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        for revision in revisions:
            conn.execute("INSERT INTO alembic_version VALUES (%s)", [revision])
        with pytest.raises(schema.SchemaUnusable, match="no schema yet"):
            schema.check(conn)
        migrations.upgrade(dsn)
        schema.check(conn)
        kept = conn.execute("SELECT version_num FROM alembic_version ORDER BY 1").fetchall()
        assert kept == [(revision,) for revision in revisions]
        migrations.downgrade(dsn, "base")
        migrations.upgrade(dsn)
        schema.check(conn)


def test_the_tables_of_a_stranger_are_not_adopted(postgres_server: str) -> None:
    with new_database(postgres_server) as dsn, psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        conn.execute("INSERT INTO alembic_version VALUES ('9f3c2a77d001')")
        conn.execute("CREATE TABLE backtest_jobs (somebody text, idempotency_key text)")
        with pytest.raises(ProgrammingError, match="already exists"):
            migrations.upgrade(dsn)
        row = conn.execute("SELECT to_regclass('backtest_jobs_schema_version')").fetchone()
        assert row == (None,)


def test_simultaneous_upgrades_of_a_first_release_take_turns(first_release: str) -> None:
    script = [sys.executable, "-c", "import migrations, sys; migrations.upgrade(sys.argv[1])"]

    def upgrade(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*script, first_release],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with ThreadPoolExecutor(3) as threads:
        outcomes = list(threads.map(upgrade, range(3)))
    assert [outcome.returncode for outcome in outcomes] == [0] * 3, outcomes
    with psycopg.connect(first_release) as conn:
        schema.check(conn)


# --- rows of before, and programs of before


def test_a_job_of_the_first_release_goes_on_after_the_upgrade(first_release: str) -> None:
    with psycopg.connect(first_release, autocommit=True) as conn:
        old = OldProgram(conn)
        job_id = old.submits()
        lease = old.claims(job_id)
        old("insert_top", job_id=job_id, rows=rows_of_before())
        migrations.upgrade(first_release)
        assert stored_rows(conn, job_id) == [
            replace(row, twins=1) for row in variants(2, reports=True)
        ]
        assert old("succeed", **lease) == [("succeeded",)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("k", "k"),
        ("k" * 255, "k" * 255),
        ("k" * 2000, hashlib.md5(b"k" * 2000).hexdigest()),
        ("", None),
    ],
    ids=["short", "longest", "too long", "empty"],
)
def test_a_job_with_a_key_that_is_not_accepted_any_more_goes_on(
    first_release: str, before: str, after: str | None
) -> None:
    with psycopg.connect(first_release, autocommit=True) as conn:
        old = OldProgram(conn)
        job_id = old.submits()
        conn.execute("UPDATE backtest_jobs SET idempotency_key = %s", [before])
        lease = old.claims(job_id)
        migrations.upgrade(first_release)
        assert current(conn, job_id).idempotency_key == after
        assert old("heartbeat", **lease, lease_seconds=60) == [(False,)]


def rows_of_before() -> str:
    rows = json.loads(result_texts.rows(variants(2, reports=True), reports=True))
    for row in rows:
        del row["trades_omitted"], row["twins"]
    return json.dumps(rows)


def test_old_programs_live_a_whole_life_of_a_job_on_the_next_schema(
    upgraded: psycopg.Connection,
) -> None:
    old = OldProgram(upgraded)
    assert old.schema_fits()
    oldest = upgraded.execute("SELECT oldest_program_revision FROM backtest_jobs_schema_compat")
    assert oldest.fetchone() == ("0001",)
    job_id = old.submits()
    assert old("mark_due", limit=10, redispatch_seconds=5) == [(job_id, 1)]
    assert old("unmark", job_ids=[job_id], dispatch_counts=[1]) == [(1,)]
    lease = old.claims(job_id)
    assert old("heartbeat", **lease, lease_seconds=60) == [(False,)]
    assert old("start_stage", **lease, stage="stage_a", total=9) == [(False,)]
    assert old("progress", **lease, stage="stage_a", processed=3, total=9) == [(False,)]
    shortlist = {
        "indexes": "[2, 1]",
        "stage_a_variants_total": 9,
        "risk_total": 1,
        "preselect_used": 2,
        "engine_version": "old",
        "candles_hash": "c",
    }
    assert old("save_shortlist", **lease, **shortlist) == [(1,)]
    assert old("release", **lease)
    lease = old.claims(job_id)
    assert old("resumed_from_shortlist", **lease, written_by_attempt=1) == [(1,)]
    for _ in range(2):
        assert old("lock_owned", **lease) == [(False,)]
        old("delete_top", job_id=job_id)
        assert old("insert_top", job_id=job_id, rows=rows_of_before()) == [(2,)]
    assert old("gauges") == [(0, 1, 0.0, 0)]
    assert old("sweep", max_crashes=3, batch=10) == []
    assert old("succeed", **lease) == [("succeeded",)]
    assert old("own_end", **lease) == [("succeeded",)]
    assert len(old("top", job_id=job_id, limit=10)) == 2
    upgraded.execute("UPDATE backtest_jobs SET finished_at = now() - interval '9 days'")
    assert old("delete_finished", days=7, batch=10) == [(1,)]


@pytest.mark.parametrize("program", [OldProgram, SecondProgram, ThirdProgram, ProgramBefore])
def test_every_statement_of_an_earlier_release_is_accepted_by_the_next_schema(
    upgraded: psycopg.Connection, program: type[OldProgram]
) -> None:
    values: dict[str, Any] = {
        "user_id": uuid4(),
        "before_job_id": uuid4(),
        "locked_by": "o",
        "attempt": 1,
        "lease_seconds": 60,
        "max_crashes": 3,
        "engine_version": "e",
        "limit": 1,
        "batch": 1,
        "redispatch_seconds": 5,
        "days": 7,
        "state": "queued",
        "stage": "stage_a",
        "processed": 1,
        "total": 1,
        "written_by_attempt": 1,
        "code": "c",
        "message": "m",
        "details": "{}",
        "rows": "[]",
        "indexes": "[]",
        "stage_a_variants_total": 1,
        "risk_total": 1,
        "preselect_used": 1,
        "candles_hash": "c",
        "job_ids": [uuid4()],
        "dispatch_counts": [1],
        "actor": "a",
        "idempotency_key": "k",
        "mode": "template",
        "priority": 0,
        "request_json": "{}",
        **dict.fromkeys(("request_hash", "engine_params_hash"), "h"),
        "backtest_runtime_config_hash": "h",
        "spec_hash": None,
        "spec_payload_json": None,
        "before_created_at": "infinity",
        "request_version": 1,
        "waiting": [uuid4()],
        "coverage_json": None,
        "coverage": "{}",
        "outcomes": "{}",
        "twins": "[]",
        "client": "cli",
        **dict.fromkeys(("name", "name_folded", "note", "submission_hash")),
        **dict.fromkeys(("renames", "notes", "report", "trades", "equity"), True),
        "variant_key": "k",
        "after": 0,
        "first": uuid4(),
        "last": uuid4(),
    }
    old = program(upgraded)
    values["job_id"] = old.submits()
    assert len(old._sql) > 25
    for name in old._sql:
        old(name, **values)


def test_a_program_of_the_second_release_lives_a_whole_life_of_a_job(
    upgraded: psycopg.Connection,
) -> None:
    old = SecondProgram(upgraded)
    job_id = old.submits()
    lease = old.claims(job_id) | {"lease_seconds": 60}
    assert old("start_stage", **lease, stage="stage_a", total=1) == [(False,)]
    assert old("save_shortlist", **lease, **OLD_SHORTLIST) == [(1,)]
    assert old("save_shortlist", **lease, **OLD_SHORTLIST) == [(1,)]
    assert old("renew", **lease) == [(False,)]
    old("delete_top", job_id=job_id)
    rows = json.loads(result_texts.rows(variants(2, reports=True), reports=True))
    for row in rows:
        del row["twins"]
    assert old("insert_top", job_id=job_id, rows=json.dumps(rows)) == [(2,)]
    end = {"state": "succeeded", "actor": OLD_OWNER, "code": None, "message": None}
    assert old("end", **lease, **end, details=None) == [("succeeded",)]
    assert [row.twins for row in stored_rows(upgraded, job_id)] == [1, 1]
    assert current(upgraded, job_id).outcomes_json is None


@pytest.mark.parametrize("program", [ThirdProgram, ProgramBefore])
def test_a_program_of_the_two_releases_before_lives_a_whole_life_of_a_job(
    upgraded: psycopg.Connection, program: type[OldProgram]
) -> None:
    old = program(upgraded)
    with psycopg.connect(upgraded.info.dsn, autocommit=True) as listening:
        listening.execute(f"LISTEN {schema.EVENTS_CHANNEL}")
        job_id = old.submits()
        (notice,) = listening.notifies(timeout=20, stop_after=1)
        assert notice.payload == str(job_id)
    lease = old.claims(job_id) | {"lease_seconds": 60}
    assert old("start_stage", **lease, stage="stage_a", total=1) == [(False,)]
    assert old("save_coverage", **lease, coverage="{}") == [(1,)]
    assert old("save_outcomes", **lease, outcomes=json.dumps(OUTCOMES)) == [(1,)]
    old("forget_twins", job_id=job_id)
    assert old("save_shortlist", **lease, **OLD_SHORTLIST, twins="[1, 2]") == [(1,)]
    assert old("renew", **lease) == [(False,)]
    assert old("progress", **lease, stage="stage_b", processed=1, total=2) == [(False,)]
    old("delete_top", job_id=job_id)
    rows = result_texts.rows(variants(2, reports=True), reports=True)
    assert old("insert_top", job_id=job_id, rows=rows) == [(2,)]
    end = {"state": "succeeded", "actor": OLD_OWNER, "code": None, "message": None}
    assert old("end", **lease, **end, details=None) == [("succeeded",)]
    assert stored_rows(upgraded, job_id) == variants(2, reports=True)
    job = current(upgraded, job_id)
    assert (job.name, job.note, job.submission_hash, job.traceparent) == (None, None, None, None)
    if program is ThirdProgram:  # the fourth has other lists
        assert len(old("list_jobs", user_id=job.user_id, limit=9, **OF_THE_FIRST_PAGE)) == 1


OF_THE_FIRST_PAGE = {"before_created_at": "infinity", "before_job_id": UUID(int=2**128 - 1)}

OLD_SHORTLIST = {
    "indexes": "[9, 8]",
    "stage_a_variants_total": 9,
    "risk_total": 1,
    "preselect_used": 2,
    "engine_version": "old",
    "candles_hash": "c",
}


@pytest.mark.parametrize("program", [OldProgram, SecondProgram])
def test_a_program_that_knows_no_twins_leaves_none_of_another_search_behind(
    upgraded: psycopg.Connection, program: type[OldProgram]
) -> None:
    old = program(upgraded)
    job_id = old.submits()
    lease = reclaimed(upgraded, job_id)
    assert results.save_coverage(upgraded, lease, COVERAGE)
    assert save_shortlist(upgraded, lease)
    assert leases.release(upgraded, lease)
    lease_of_before = old.claims(job_id) | {"lease_seconds": 60}
    assert results.outcomes(job_id).of(upgraded) == OUTCOMES

    assert old("save_shortlist", **lease_of_before, **OLD_SHORTLIST) == [(1,)]

    stored = results.shortlist(upgraded, job_id)
    assert stored is not None
    assert (stored.shortlist.indexes, stored.shortlist.twins) == ([9, 8], None)
    assert not stored.usable_with(engine_version="old", candles_hash="c")
    assert results.outcomes(job_id).of(upgraded) is None

    assert old("release", **lease_of_before)
    lease = reclaimed(upgraded, job_id)
    assert save_shortlist(upgraded, lease)
    stored = results.shortlist(upgraded, job_id)
    assert stored is not None
    assert (stored.shortlist, results.outcomes(job_id).of(upgraded)) == (SHORTLIST, OUTCOMES)


def test_jobs_move_between_programs_of_both_releases(upgraded: psycopg.Connection) -> None:
    old = OldProgram(upgraded)
    job_id = old.submits()
    assert dispatch.mark_due(upgraded, limit=10, redispatch_seconds=5) == [Due(job_id, 1)]
    stale = old.claims(job_id)
    assert claim(upgraded, job_id) is None
    expire(upgraded, job_id)
    lease = reclaimed(upgraded, job_id)
    assert old("heartbeat", **stale, lease_seconds=60) == []
    leases.start_stage(upgraded, lease, Stage.STAGE_A)
    assert save_shortlist(upgraded, lease)
    assert save_snapshot(upgraded, lease, variants(2))
    assert len(old("top", job_id=job_id, limit=10)) == 2
    assert leases.release(upgraded, lease)
    again = old.claims(job_id)
    assert again["attempt"] == 3
    assert old("release", **again)
    lease = reclaimed(upgraded, job_id, locked_by=SUCCESSOR)
    assert succeed(upgraded, lease, variants(2, reports=True)) is State.SUCCEEDED
    assert event_names(upgraded, job_id) == [
        *("queued", "claimed", "reclaimed", "stage_started", "lease_released"),
        *("reclaimed", "lease_released", "reclaimed", "succeeded"),
    ]
    job = current(upgraded, job_id)
    assert (job.crash_count, job.attempt) == (1, 4)


def test_an_upgrade_does_not_hold_the_programs_up_behind_a_long_transaction(
    first_release: str,
) -> None:
    with psycopg.connect(first_release) as reader, ThreadPoolExecutor(1) as threads:
        lease = OldProgram(reader).claims(OldProgram(reader).submits())
        reader.commit()
        reader.execute("SELECT FROM backtest_jobs")
        upgrading = threads.submit(migrations.upgrade, first_release)
        with psycopg.connect(first_release, autocommit=True) as conn:
            wait_for_a_blocked_session(conn)
            assert OldProgram(conn)("heartbeat", **lease, lease_seconds=60) == [(False,)]
            error = upgrading.exception(timeout=60)
            assert isinstance(error, CommandError)
            assert "in use by a transaction" in str(error)
            row = conn.execute("SELECT to_regclass('backtest_jobs_schema_version')").fetchone()
            assert row == (None,)
        reader.rollback()
        migrations.upgrade(first_release)


def test_an_upgrade_does_not_disturb_a_job_that_an_old_program_runs(first_release: str) -> None:
    with psycopg.connect(first_release, autocommit=True) as conn:
        old = OldProgram(conn)
        lease = old.claims(old.submits())
        beats: list[list[Any]] = []
        done = threading.Event()

        def beat() -> None:
            with psycopg.connect(first_release, autocommit=True) as own:
                mine = OldProgram(own)
                while not done.is_set():
                    beats.append(mine("heartbeat", **lease, lease_seconds=60))

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            migrations.upgrade(first_release)
        finally:
            done.set()
            thread.join()
        assert all(answer == [(False,)] for answer in beats)
        assert len(beats) > 1
        taken = claim(conn, submitted(conn).job_id)
        assert isinstance(taken, Claimed)
        assert jobs.get(conn, lease["job_id"]) is not None
