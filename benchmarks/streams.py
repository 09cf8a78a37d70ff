"""`python -m benchmarks.streams`: what viewers of one running job cost a process of the API.

A real Postgres, a real uvicorn process, a job whose progress is written four times a second, and
viewers that read everything. Viewers, API and database share the machine.
"""

import argparse
import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import psycopg

import migrations
from api import tokens
from benchmarks.http_load import request
from cli import embedded
from engine.request import VERSION
from storage import jobs, leases
from storage.records import Claimed, Claimer, Client, Lease, NewJob, Stage

ROOT = Path(__file__).parents[1]
TOTAL = 10**6
HEADER = f"{'viewers':>8}{'looks/s':>9}{'events/s':>10}{'CPU':>8}{'us/event':>10}{'MiB':>8}"


def main() -> int:
    """Print one line for each number of viewers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--viewers", type=int, nargs="+", default=[0, 1, 100, 1000])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each number")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        embedded.postgres(Path(folder) / "postgres") as dsn,
    ):
        migrations.upgrade(dsn)
        user, secret = uuid4(), secrets.token_hex(32)
        token = tokens.sign(secret, tokens.lasting(user, days=1))
        with psycopg.connect(dsn, autocommit=True) as conn:
            lease = _running_job(conn, user)
        ended = threading.Event()
        worker = threading.Thread(target=_work, args=(dsn, lease, ended))
        worker.start()
        try:
            with _serving(Path(folder), dsn, secret) as (port, process):
                print(HEADER)
                for viewers in options.viewers:
                    path = f"/backtests/jobs/{lease.job_id}/stream"
                    wanted = request("GET", path, token=token)
                    asyncio.run(_measure(port, wanted, viewers, options.seconds, process, dsn))
        finally:
            ended.set()
            worker.join()
    return 0


def _running_job(conn: psycopg.Connection, user: UUID) -> Lease:
    new_job = NewJob(user, "template", {"version": VERSION}, "r", "e", "c")
    job = jobs.create(conn, new_job, max_active=1, client=Client.API).job
    claimer = Claimer("benchmark-1-00000000", 3600, 3, "engine", VERSION)
    claimed = leases.try_claim(conn, job.job_id, claimer)
    assert isinstance(claimed, Claimed)
    leases.start_stage(conn, claimed.lease, Stage.STAGE_A, TOTAL)
    return claimed.lease


def _work(dsn: str, lease: Lease, ended: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for done in range(TOTAL):
            if ended.wait(0.25):
                return
            leases.progress(conn, lease, Stage.STAGE_A, done, TOTAL)


@contextmanager
def _serving(folder: Path, dsn: str, secret: str) -> Iterator[tuple[int, psutil.Process]]:
    config, candles = folder / "backtest.yaml", folder / "candles"
    config.write_text("version: 1\nbacktest: {api: {streams_per_user: 100000}}\n", "utf-8")
    candles.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "--factory", "api.app:create_app"]
    environ = {
        "ROEHUB_ENV": "test",
        "ROEHUB_BACKTEST_CONFIG": str(config),
        "ROEHUB_CANDLES_DIR": str(candles),
        tokens.SECRET: secret,
        "STRATEGY_PG_DSN": dsn,
    }
    server = subprocess.Popen(
        [*command, "--port", str(port), "--no-access-log", "--log-level", "warning"],
        env=dict(os.environ) | environ,
        cwd=ROOT,
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("the API has ended") from None
                time.sleep(0.1)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(30)


async def _measure(
    port: int, wanted: bytes, viewers: int, seconds: float, process: psutil.Process, dsn: str
) -> None:
    received = 0

    async def read(reader: asyncio.StreamReader) -> None:
        nonlocal received
        while text := await reader.read(1 << 16):
            received += text.count(b"event: progress")

    streams = []
    for _ in range(viewers):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(wanted)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        streams.append((asyncio.create_task(read(reader)), writer))
    await asyncio.sleep(3)
    looks = asyncio.create_task(asyncio.to_thread(_looks, dsn, seconds))
    before, cpu, began = received, process.cpu_times(), time.monotonic()
    await asyncio.sleep(seconds)
    after, elapsed = process.cpu_times(), time.monotonic() - began
    used = after.user + after.system - cpu.user - cpu.system
    events = received - before
    each = f"{1e6 * used / events:10.0f}" if events else f"{'':10}"
    memory = process.memory_info().rss / 2**20
    print(
        f"{viewers:8}{await looks / seconds:9.2f}{events / elapsed:10.1f}{used / elapsed:8.1%}"
        f"{each}{memory:8.1f}",
        flush=True,
    )
    for task, writer in streams:
        writer.close()
        task.cancel()
    await asyncio.sleep(2)


def _looks(dsn: str, seconds: float) -> int:
    """Count the transactions of the API's looks, each of which leaves its time on the session."""
    seen: set[object] = set()
    with psycopg.connect(dsn, autocommit=True) as conn:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            seen |= {
                at
                for (at,) in conn.execute(
                    "SELECT state_change FROM pg_stat_activity WHERE state = 'idle'"
                    " AND application_name = 'backtest-api-live'"
                )
            }
            time.sleep(0.02)
    return max(0, len(seen) - 1)


if __name__ == "__main__":
    sys.exit(main())
