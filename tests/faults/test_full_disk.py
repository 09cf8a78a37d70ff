"""The disk of Postgres is full for a while: nothing is lost, nobody is to blame."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import migrations
from cli import embedded
from storage.records import EventName, Stage, State
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack, running, wait_for
from tests.own_postgres import OwnPostgres, own_postgres

Rows = list[tuple[str, ...]]
DISK = "200m"


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system of the test's own."""
    with tempfile.TemporaryDirectory(prefix="disk-", dir="/tmp") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", folder],
            check=False,
            capture_output=True,
            text=True,
        )
        if mounted.returncode != 0:
            pytest.skip(f"no right to mount a small disk: {mounted.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No room on the disk."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (2**20, 2**12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        yield
    finally:
        ballast.unlink()


@pytest.fixture
def server(disk: Path) -> Iterator[OwnPostgres]:
    with own_postgres(disk=disk) as server:
        migrations.upgrade(server.dsn)
        yield server


def test_jobs_survive_a_full_disk_of_postgres(
    server: OwnPostgres, disk: Path, stack: Stack, undisturbed: Rows, tmp_path: Path
) -> None:
    with (
        embedded.redis_server(tmp_path / "redis") as redis_url,
        running(Stack(server.dsn, redis_url, stack.candles, tmp_path)) as own,
    ):
        own.scheduler()
        (worker,) = own.workers(1)
        job_id = own.submit(sweep())
        own.reaches(job_id, Stage.STAGE_B)

        with filled(disk):
            # Snapshots need room: Postgres refuses them, or stops where its log has none.
            wait_for(
                lambda: "No space left" in worker.text() or not server.running(),
                "Postgres to run out of disk",
                60,
            )

        if not server.running():
            server.stop("immediate")
            server.start()
        own.reconnect()
        ended = own.ends(job_id, 120)
        assert ended.state is State.SUCCEEDED, ended.last_error_json
        assert own.events(job_id).count(EventName.SUCCEEDED) == 1
        assert own.stored_bytes(job_id) == undisturbed
        assert own.ends(own.submit(small_sweep())).state is State.SUCCEEDED
        assert worker.alive()
