"""Jobs that are shared in the tests' own process, and what is seen of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from storage.records import Stage, State
from tasks import compute, serving
from tasks.messages import Assignment
from tasks.metrics import Metrics
from tasks.worker import Worker
from tests.faults.conftest import sweep
from tests.faults.harness import Stack
from tests.tasks.answering import run, session_to
from tests.tasks.test_child_faults import Forks

SHORT = 0.005
"""Seconds of a shard: of the sweep below both stages have a dozen or more."""


def shared_sweep(**changes: Any) -> dict[str, Any]:
    """Return a request whose stages take a part of a second each.

    Much of its shortlist has twins, and a place in the final list.
    """
    document = sweep(windows=6, top_k=60, tsl=60, preselect=60) | changes
    strength = document["template"]["indicator_grids"][1]
    strength["signals"]["short_threshold"]["values"] = [30, 40, 40.0001]
    return document


def shared_in(stage: Stage) -> dict[str, Any]:
    """Return a request whose job is shared in a stage, among others.

    Of a validation each draw is: no levels are chosen, and its best is that of its parts.
    """
    if stage is not Stage.VALIDATION:
        return shared_sweep()
    document = shared_sweep(
        top_k=5, validation={"train_pct": 80, "draws": 3, "splits": 10, "walk_forward": None}
    )
    document["template"]["risk_grid"] = {}
    return document


def sharing(worker: Worker, shard_seconds: float = SHORT, **changes: Any) -> Worker:
    """Return a worker that shares stages which are longer than this."""
    jobs = worker.jobs.model_copy(update={"shard_seconds": shard_seconds} | changes)
    return replace(worker, jobs=jobs)


Rows = list[tuple[str, ...]]
_ALONE: dict[tuple[str, bool], Rows] = {}  # by database, and whether it is validated


def computed_alone(stack: Stack, worker: Worker, stage: Stage = Stage.STAGE_A) -> Rows:
    """Return what is stored of a job that is shared in a stage when nobody shares it."""
    key = stack.dsn, stage is Stage.VALIDATION
    if key not in _ALONE:
        job = run(stack, sharing(worker, 1e9), shared_in(stage))
        assert job.state is State.SUCCEEDED, job.last_error_json
        _ALONE[key] = stack.stored_bytes(job.job_id)
    return _ALONE[key]


@contextmanager
def another(stack: Stack, worker: Worker, **changes: Any) -> Iterator[Worker]:
    """Have one more worker beside this one."""
    session = session_to(stack.dsn)
    values = {"session": session, "metrics": Metrics(), "declined": worker.declined.copy()}
    yield replace(worker, **values | changes)
    session.close()


class Slow:
    """Children that wait before each part of a stage until they may go on."""

    def __init__(self, folder: Path, stage: Stage = Stage.STAGE_A) -> None:
        self.gate = folder / "gate"
        self._stage = stage

    def target(self, pipe: Any, assignment: Assignment) -> None:
        ordered, gate, stage = serving.run, self.gate, self._stage

        def run(*args: Any) -> Any:
            while args[1] is stage and not gate.exists():
                time.sleep(0.005)
            return ordered(*args)

        serving.run = run
        compute.main(pipe, assignment)

    def open(self) -> None:
        self.gate.touch()


def with_children(worker: Worker, *targets: Any) -> Worker:
    return replace(worker, fork_server=Forks(list(targets)))  # type: ignore[arg-type]


class Witness:
    """A trigger that notes each result of a shard: who had it, and in which attempt."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        conn.execute(
            "CREATE TABLE shard_ends (job_id uuid, stage text, shard int, owner text, state text);"
            "CREATE FUNCTION note_shard_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO shard_ends"
            " VALUES (new.job_id, new.stage, new.shard, new.locked_by, new.state);"
            " RETURN NULL; END $$;"
            "CREATE TRIGGER note_shard_end AFTER UPDATE OF state ON backtest_job_shards"
            " FOR EACH ROW WHEN (new.state IN ('done', 'failed')) EXECUTE FUNCTION note_shard_end()"
        )

    def close(self) -> None:
        self._conn.execute("DROP FUNCTION note_shard_end CASCADE; DROP TABLE shard_ends")

    def ends(self, job_id: UUID, stage: str, state: str = "done") -> list[tuple[int, str]]:
        """Which shards came to this end, in the order of time, and by whom."""
        rows = self._conn.execute(
            "SELECT shard, owner FROM shard_ends WHERE job_id = %s AND stage = %s AND state = %s"
            " ORDER BY ctid",
            (job_id, stage, state),
        )
        return rows.fetchall()

    def owners(self, job_id: UUID) -> set[str]:
        """Who has computed shards of a job."""
        return {owner for stage in Stage for _, owner in self.ends(job_id, stage)}

    def none_twice(self, job_id: UUID, stage: Stage | None = None) -> bool:
        """Whether each shard was computed once, and there were several: in this stage, or both."""
        done = {each: [shard for shard, _ in self.ends(job_id, each)] for each in Stage}
        several = [stage] if stage else [Stage.STAGE_A, Stage.STAGE_B]
        return all(sorted(shards) == list(range(len(shards))) for shards in done.values()) and all(
            len(done[each]) > 1 for each in several
        )
