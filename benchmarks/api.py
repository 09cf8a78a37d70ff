"""`python -m benchmarks.api`: what calls of the HTTP API take, beside a route that does nothing.

A real Postgres with a million jobs of one user, real uvicorn processes, clients that ask again as
soon as they are answered. The floor is a route of the same framework, in the same run. Clients,
API and database share the machine.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt

import migrations
from api.cursor import written
from api.routes.jobs import ID_NAME
from benchmarks import many_jobs
from benchmarks.http_load import Load, request, run
from cli import embedded
from configs.environment import CandlesFolder
from engine import synthetic
from engine.grid import Grid
from engine.metric_names import METRICS
from engine.request import parse
from storage.candles import Bars, open_store

DAY_MS, START_MS = 86_400_000, 1_704_067_200_000
HEADER = f"{'':<22}{'answers/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'x floor':>9}"
REQUEST: dict[str, Any] = {
    "time_range": {"start": "2024-01-01", "end": "2024-02-01"},
    "template": {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": "15m",
        "indicator_grids": [
            {"indicator_id": "ma.sma", "params": {"window": [10, 20, 50]}},
            {"indicator_id": "momentum.rsi", "params": {"window": [7, 14]}},
        ],
        "risk_grid": {"sl": [None, 1, 2]},
    },
    "preselect": 6,
    "top_k": 4,
    "top_trades_n": 1,
}


def main() -> int:
    """Print one table for each number of API processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs of one user")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each call")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="of the API")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        embedded.postgres(Path(folder) / "postgres") as dsn,
    ):
        user, environ = _prepare(Path(folder), dsn, options.jobs)
        print(f"{options.jobs:,} jobs of one user, {options.clients} clients")
        for processes in options.processes:
            print(f"\nprocesses of the API: {processes}\n{HEADER}")
            _measure(environ, dsn, user, processes, options)
    return 0


def _prepare(folder: Path, dsn: str, jobs: int) -> tuple[UUID, dict[str, str]]:
    migrations.upgrade(dsn)
    candles, config = folder / "candles", folder / "backtest.yaml"
    candles.mkdir()
    with open_store(CandlesFolder(candles)) as store:
        minutes = synthetic.minutes(seed=7, start_ms=START_MS - 30 * DAY_MS, count=70 * 1440)
        store.append(1, "BTCUSDT", [Bars.of(minutes)])
    config.write_text(
        f"version: 1\nbacktest: {{jobs: {{max_active_jobs_per_user: {10**9}}}}}\n", "utf-8"
    )
    environ = dict(os.environ) | {
        "ROEHUB_ENV": "test",
        "ROEHUB_BACKTEST_CONFIG": str(config),
        "ROEHUB_JWT_SECRET": secrets.token_hex(32),
        "ROEHUB_CANDLES_DIR": str(candles),
        "STRATEGY_PG_DSN": dsn,
    }
    user = uuid4()
    with _serving("api.app:create_app", "--factory", environ=environ, processes=1) as port:
        submitted = _post(port, _token(environ, uuid4()), REQUEST)
    effective = submitted["request"]
    row = {
        "metrics_json": dict.fromkeys(METRICS, 12.345678901234567),
        "payload_json": Grid.of(parse(effective)).variant(3),
    }
    many_jobs.load(dsn, user, effective, row, jobs=jobs)
    return user, environ


def _measure(
    environ: dict[str, str], dsn: str, user: UUID, processes: int, options: argparse.Namespace
) -> None:
    token = _token(environ, user)
    ids = many_jobs.jobs_with_rows(dsn, user, 500)
    body = json.dumps(REQUEST).encode()
    others = [_token(environ, uuid4()) for _ in range(options.clients)]  # each submits as itself
    submits = [request("POST", "/backtests/jobs", token=own, body=body) for own in others]

    def reads(path: str) -> list[bytes]:
        return [request("GET", path.format(job_id), token=token) for job_id in ids]

    # More than a process remembers.
    unmet_tops = [
        call
        for limit in range(45, 56)
        for call in reads(f"/backtests/jobs/{{}}/top?include=none&limit={limit}")
    ]
    unmet = [
        request("GET", f"/backtests/jobs?cursor={written(place, ID_NAME)}", token=token)
        for place in many_jobs.places(dsn, user, 20_000)
    ]
    calls: dict[str, tuple[Sequence[bytes], int]] = {
        "list": (reads("/backtests/jobs"), options.clients),
        "list, pages never met": (unmet, options.clients),
        "list, one state": (reads("/backtests/jobs?state=failed"), options.clients),
        "list, search": (reads("/backtests/jobs?q=sweep 9".replace(" ", "%20")), options.clients),
        "status": (reads("/backtests/jobs/{}"), options.clients),
        "top": (reads("/backtests/jobs/{}/top?include=none"), options.clients),
        "top, lists never met": (unmet_tops, options.clients),
        "estimate": (
            [request("POST", "/backtests/estimate", token=token, body=body)],
            options.clients,
        ),
        "submit": (submits, options.clients),
        "submit, one client": (submits[:1], 1),
    }
    with _serving("benchmarks.hello:hello", environ=environ, processes=processes) as port:
        floor = run(port, [request("GET", "/")], clients=options.clients, seconds=options.seconds)
    _print("a route that does nothing", floor, floor)
    with _serving("api.app:create_app", "--factory", environ=environ, processes=processes) as port:
        for name, (requests, clients) in calls.items():
            run(port, requests, clients=clients, seconds=0.5)
            _print(name, run(port, requests, clients=clients, seconds=options.seconds), floor)


def _print(name: str, load: Load, floor: Load) -> None:
    if load.refused:
        print(f"{name:<22} {load.refused} refused: {load.first_refusal[-300:]!r}")
        return
    p50, p99 = load.quantile(0.5), load.quantile(0.99)
    print(
        f"{name:<22}{load.per_second:>10,.0f}{1e3 * p50:>9.2f}{1e3 * p99:>9.2f}"
        f"{p50 / floor.quantile(0.5):>9.2f}",
        flush=True,
    )


@contextmanager
def _serving(app: str, *options: str, environ: dict[str, str], processes: int) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", app, *options, "--port", str(port)]
    command += ["--workers", str(processes), "--no-access-log", "--log-level", "warning"]
    server = subprocess.Popen(command, env=environ, cwd=Path(__file__).parents[1])
    try:
        _wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"the server on port {port} does not answer")


def _token(environ: dict[str, str], user: UUID) -> str:
    claims = {"sub": str(user), "exp": int(time.time()) + 86_400}
    return jwt.encode(claims, environ["ROEHUB_JWT_SECRET"], algorithm="HS256")


def _post(port: int, token: str, document: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(
        f"http://127.0.0.1:{port}/backtests/jobs",
        json=document,
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    answer.raise_for_status()
    status: dict[str, Any] = answer.json()
    return status


if __name__ == "__main__":
    sys.exit(main())
