"""`python -m benchmarks.claim_to_stage_a`: where the time of a tiny job goes, step by step.

Real Postgres and Redis, and for each candle source and checkout a real worker that computes jobs of
24 variants, in turns. `--against DIR…` adds other checkouts, each with candles that it stored
itself. Every time is a median of the jobs, in milliseconds since the claim was sent; the ratio is
the median over the rounds. The source `http` is ClickHouse's engine behind a small HTTP server.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

import psycopg

import configs
import migrations
from benchmarks import marks
from cli import embedded
from configs import settings
from engine.request import Limits, complete, engine_params_hash, read_defaults, request_hash
from storage import jobs
from storage.records import Client, NewJob
from tasks import wake_up
from tests.storage.clickhouse_endpoint import PASSWORD, USER, Endpoint

HERE = Path(__file__).parents[1]
CONFIG = Path(configs.__file__).parent / "test" / "backtest.yaml"
ENDS = 1_735_689_600  # 2025-01-01
STORED_DAYS = 400
DATABASE = "market_data"

STORE = f"""
import sys
from configs.environment import candle_source
from engine import synthetic
from storage.candles import Bars, open_store
import os
minutes = synthetic.minutes(
    seed=7, start_ms={ENDS - STORED_DAYS * 86_400}_000, count={STORED_DAYS * 1440}
)
with open_store(candle_source(os.environ)) as store:
    store.append(1, "BTCUSDT", [Bars.of(minutes)])
"""

# What is printed: the step, its mark, and whether that mark's begin or end is meant.
STEPS = (
    ("claimed", "take", 1),
    ("fork asked for", "fork", 0),
    ("child runs", "main", 0),
    ("request parsed", "parse", 1),
    ("candle store opened", "start", 1),
    ("rows read", "rows", 1),
    ("bars rolled up", "bars", 1),
    ("timeline made", "timeline", 1),
    ("candles hashed", "content_hash", 1),
    ("stage A begun", "stage_a", 0),
    ("shortlist stored", "start_stage_b", 1),
    ("stage B begun", "stage_b", 0),
    ("reports begun", "reports", 0),
    ("succeeded", "succeed", 1),
)
STAGE_A = "stage A begun"


@dataclass
class Contestant:
    """A worker of one checkout on one candle source."""

    name: str
    checkout: Path
    environ: Mapping[str, str]
    namespace: str
    marks: Path

    @property
    def environment(self) -> dict[str, str]:
        """What its programs find in their environment."""
        ours = ("ROEHUB_", "CH_", "CLICKHOUSE_", "PROMETHEUS_")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        return inherited | {"PYTHONPATH": str(self.checkout), **self.environ}


def main() -> int:
    """Print a table of steps for each source and number of days."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.claim_to_stage_a", description=__doc__
    )
    parser.add_argument("--against", type=Path, nargs="+", default=[], help="other checkouts")
    parser.add_argument("--sources", nargs="+", default=["folder", "http"])
    parser.add_argument("--days", type=int, nargs="+", default=[30, 365])
    parser.add_argument("--timeframe", default="15m")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    checkouts = [path.resolve() for path in options.against] + [HERE]
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        dsn = stack.enter_context(embedded.postgres(folder / "postgres"))
        redis_url = stack.enter_context(embedded.redis_server(folder / "redis"))
        migrations.upgrade(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            for source in options.sources:
                with ExitStack() as workers:
                    contestants = []
                    for checkout in checkouts:
                        each = _contestant(
                            workers, checkout, source, folder, dsn=dsn, redis_url=redis_url
                        )
                        workers.enter_context(_working(each, folder))
                        contestants.append(each)
                    for days in options.days:
                        request = _request(days, options.timeframe)
                        rounds = [
                            _turn(conn, redis_url, contestants, request, number)
                            for number in range(-2, options.rounds)
                        ][2:]
                        _print(f"{source}, {days} days of minutes", contestants, rounds)
    return 0


def _contestant(
    stack: ExitStack, checkout: Path, source: str, folder: Path, *, dsn: str, redis_url: str
) -> Contestant:
    """Store candles as the checkout does it, and say how its worker finds everything."""
    own = folder / f"{source}-{checkout.name}"
    own.mkdir()
    programs = own / "programs"
    programs.mkdir()
    shutil.copy(marks.__file__, programs / "sitecustomize.py")
    environ = {
        "STRATEGY_PG_DSN": dsn,
        "REDIS_URL": redis_url,
        "REDIS_NAMESPACE": own.name,
        "ROEHUB_ENV": "test",
        "ROEHUB_METRICS_PORT": str(_free_port()),
        marks.FILE: str(own / "marks"),
    }
    if source == "folder":
        environ["ROEHUB_CANDLES_DIR"] = str(own / "candles")
        (own / "candles").mkdir()
    else:
        endpoint = Endpoint()
        stack.callback(endpoint.stop)
        environ |= {
            "CH_HOST": "127.0.0.1",
            "CH_PORT": str(endpoint.port),
            "CH_DATABASE": DATABASE,
            "CH_USER": USER,
            "CH_PASSWORD": PASSWORD,
        }
    contestant = Contestant(checkout.name, checkout, environ, own.name, own / "marks")
    subprocess.run(
        [sys.executable, "-P", "-c", STORE], check=True, cwd=own, env=contestant.environment
    )
    environ["PYTHONPATH"] = f"{programs}{os.pathsep}{checkout}"
    return contestant


@contextmanager
def _working(contestant: Contestant, folder: Path) -> Iterator[None]:
    log = folder / f"{contestant.namespace}.log"
    command = ["-P", "-m", "dramatiq", "tasks.backtest", "--processes", "1", "--threads", "1"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, *command],
            cwd=log.parent,
            env=contestant.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while b"event=ready" not in log.read_bytes():
            if worker.poll() is not None:
                raise SystemExit(f"the worker of {contestant.name} ended:\n{log.read_text()}")
            time.sleep(0.1)
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def _request(days: int, timeframe: str) -> dict[str, object]:
    def text(seconds: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

    return {
        "time_range": {"start": text(ENDS - days * 86_400), "end": text(ENDS)},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": timeframe,
            "indicator_grids": [
                {
                    "indicator_id": "ma.sma",
                    "params": {"window": {"mode": "range", "start": 5, "stop_incl": 28, "step": 1}},
                }
            ],
        },
        "top_k": 5,
    }


def _turn(
    conn: psycopg.Connection,
    redis_url: str,
    contestants: Sequence[Contestant],
    request: dict[str, object],
    number: int,
) -> dict[str, dict[str, float]]:
    order = contestants if number % 2 == 0 else contestants[::-1]
    return {each.name: _job(conn, redis_url, each, request) for each in order}


def _job(
    conn: psycopg.Connection, redis_url: str, contestant: Contestant, request: dict[str, object]
) -> dict[str, float]:
    """Have a job computed; returns when each step was reached, in ms since the claim was sent."""
    loaded = settings.load(CONFIG, {"ROEHUB_ENV": "test"})
    limits = Limits(**loaded.request_limits())
    effective = complete(request, read_defaults(*loaded.request_defaults()), limits)
    new_job = NewJob(
        user_id=uuid4(),
        mode="template",
        request_json=effective,
        request_hash=request_hash(effective),
        engine_params_hash=engine_params_hash(effective),
        backtest_runtime_config_hash=loaded.runtime_config_hash,
    )
    contestant.marks.unlink(missing_ok=True)
    job_id = jobs.create(conn, new_job, max_active=1, client=Client.CLI).job.job_id
    broker = wake_up.make_broker(redis_url, contestant.namespace)
    wake_up.enqueue(broker, job_id)
    while True:
        job = jobs.get(conn, job_id)
        if job is not None and job.state.terminal:
            break
        time.sleep(0.01)
    if job.state != "succeeded":
        raise SystemExit(f"a job of {contestant.name} {job.state}: {json.dumps(job.last_error)}")
    while not (reached := _reached(contestant.marks)):
        time.sleep(0.001)
    return reached


def _reached(file: Path) -> dict[str, float]:
    """When each step was reached; nothing before the last one was."""
    found: dict[str, tuple[float, float]] = {}
    for line in file.read_text().splitlines():
        name, begin, end = line.split()
        first = found.get(name, (float(begin), 0.0))[0]
        found[name] = first, float(end)
    if "succeed" not in found:
        return {}
    sent = found["take"][0]
    return {step: 1000 * (found[mark][side] - sent) for step, mark, side in STEPS if mark in found}


def _print(
    title: str, contestants: Sequence[Contestant], rounds: Sequence[dict[str, dict[str, float]]]
) -> None:
    print(f"\n{title}: ms since the claim was sent, p50 of {len(rounds)} jobs")
    print(f"{'':<26}" + "".join(f"{each.name:>14}" for each in contestants))
    for step, _, _ in STEPS:
        times = [[turn[each.name].get(step) for turn in rounds] for each in contestants]
        cells = [
            "-" if None in of_one else f"{median(t for t in of_one if t is not None):.1f}"
            for of_one in times
        ]
        print(f"{step:<26}" + "".join(f"{cell:>14}" for cell in cells))
    first = contestants[0].name
    for each in contestants[1:]:
        ratio = median(turn[first][STAGE_A] / turn[each.name][STAGE_A] for turn in rounds)
        print(f"claim to stage A: {each.name} takes {first}'s time / {ratio:.2f}", flush=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
