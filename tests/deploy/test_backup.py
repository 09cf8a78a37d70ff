"""The page on backup and restore, executed with jobs in flight."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from cli import embedded
from configs.environment import CandlesFolder
from engine import synthetic
from storage.candles import Bars, open_store
from storage.records import EventName, Stage, State
from tests.faults.conftest import MINUTES, START_MS, small_sweep, sweep_through
from tests.faults.harness import Stack, running
from tests.own_postgres import NEWEST, POSTGRES_VERSIONS
from tests.storage.making import new_database

IN_FLIGHT = (Stage.STAGE_A, Stage.STAGE_B)
PAGE = Path(__file__).resolve().parents[2] / "deploy" / "backup.md"
BACKUP, RESTORE = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def stack(
    postgres_server: str, migrated_template: str, redis_url: str, tmp_path: Path
) -> Iterator[Stack]:
    candles = tmp_path / "candles"
    candles.mkdir()
    with open_store(CandlesFolder(candles)) as store:
        made = synthetic.minutes(seed=7, start_ms=START_MS, count=MINUTES)
        store.append(1, "BTCUSDT", [Bars.of(made)])
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running(Stack(dsn, redis_url, candles, tmp_path)) as stack,
    ):
        stack.scheduler()
        yield stack


@contextmanager
def restored(stack: Stack, server: str, folder: Path) -> Iterator[Stack]:
    """The restored database beside the original, with a Redis of its own; nothing runs yet."""
    folder.mkdir()
    with new_database(server) as dsn, embedded.redis_server(folder / "redis") as redis_url:
        typed(RESTORE, stack.folder, RESTORED_DSN=dsn)
        with running(Stack(dsn, redis_url, stack.candles, folder)) as copy:
            yield copy


def typed(command: str, folder: Path, **variables: str) -> None:
    """Type a command of the page."""
    folders = (POSTGRES_VERSIONS[NEWEST], Path(sys.executable).parent, os.environ["PATH"])
    environ = os.environ | {"PATH": os.pathsep.join(map(str, folders)), **variables}
    ended = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_jobs_in_flight_end_in_a_restored_copy_with_the_same_rows(
    stack: Stack, postgres_server: str, tmp_path: Path
) -> None:
    stack.workers(2)
    ended = stack.submit(small_sweep())
    stack.ends(ended)
    in_flight = [stack.caught(sweep_through(stage), stage) for stage in IN_FLIGHT]
    in_stage_a, in_stage_b = (job.job_id for job, _ in in_flight)
    queued = [stack.submit(small_sweep()) for _ in range(2)]

    typed(BACKUP, stack.folder, POSTGRES_DSN=stack.dsn)

    for _, child in in_flight:
        child.resume()
    jobs = [ended, in_stage_b, in_stage_a, *queued]
    rows = [rows_at_the_end(stack, job) for job in jobs]
    stack.workers(0)
    with restored(stack, postgres_server, tmp_path / "restored") as copy:
        assert [copy.job(job).stage for job in jobs[1:3]] == [Stage.STAGE_B, Stage.STAGE_A]
        assert [copy.job(job).state for job in queued] == [State.QUEUED] * 2
        copy.scheduler()
        copy.workers(2)
        assert [rows_at_the_end(copy, job) for job in jobs] == rows
        assert [copy.job(job).attempt for job in jobs] == [1, 2, 2, 1, 1]
        assert EventName.RESUMED_FROM_SHORTLIST in copy.events(in_stage_b)


def rows_at_the_end(stack: Stack, job: UUID) -> list[tuple[str, ...]]:
    found = stack.ends(job, 150)
    assert found.state is State.SUCCEEDED, found.last_error_json
    stored = stack.stored_bytes(job)
    assert len(stored) > 1
    return stored
