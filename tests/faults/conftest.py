"""One stack for all fault tests, and the result that no fault may change."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import migrations
from cli import embedded
from configs.environment import CandlesFolder
from engine import synthetic
from storage.candles import Bars, open_store
from storage.records import Stage, State
from tests.faults.harness import Stack, running
from tests.network import PostgresProxy, postgres_proxy
from tests.own_postgres import OwnPostgres, own_postgres

MINUTES = 150 * 1440
START_MS = 1_704_067_200_000  # 2024-01-01


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/faults" in item.nodeid:
            item.add_marker(pytest.mark.faults)


def sweep(
    *, windows: int = 4, top_k: int = 20, tsl: int = 24, preselect: int = 2000
) -> dict[str, Any]:
    """A request whose stage B lasts long enough to be hit; ranked by a costly metric."""
    return {
        "time_range": {"start": "2024-01-10T00:00:00Z", "end": "2024-05-20T00:00:00Z"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": "15m",
            "indicator_grids": [
                {
                    "indicator_id": "ma.sma",
                    "params": {"window": _range(5, 4 + windows)},
                },
                {
                    "indicator_id": "momentum.rsi",
                    "params": {"window": _range(3, 62)},
                    "signals": {
                        "long_threshold": _range(55, 79, 2),
                        "short_threshold": {"mode": "explicit", "values": [30, 40]},
                    },
                },
            ],
            "risk_grid": {"sl": _range(1, 6), "tsl": _range(1, tsl)},
        },
        "preselect": preselect,
        "top_k": top_k,
        "ranking": {"primary_metric": "return_over_max_drawdown"},
    }


def sweep_through(stage: Stage) -> dict[str, Any]:
    """A request whose job is in a stage long enough to be hit there, and not for long elsewhere."""
    match stage:
        case Stage.STAGE_A:
            return sweep(windows=16, tsl=1, preselect=100)
        case Stage.STAGE_B:
            return sweep()
        case Stage.VALIDATION:
            return validated_sweep()
        case Stage.FINALIZING:
            return sweep(windows=2, tsl=1, preselect=300, top_k=300)


def validated_sweep() -> dict[str, Any]:
    """A request with bars kept aside: its job can be hit in every stage that there is."""
    return sweep(preselect=300, top_k=60) | {"validation": {"train_pct": 80, "draws": 1}}


def small_sweep() -> dict[str, Any]:
    """A request that takes a fraction of a second."""
    return sweep(windows=1, top_k=5, tsl=1, preselect=100)


@pytest.fixture(scope="package")
def lasting_stack(
    postgres_server: str,
    migrated_template: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """A database and candles for all fault tests; masters are started by the tests, and stay."""
    name = f"faults_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(migrated_template)
            )
        )
    folder = tmp_path_factory.mktemp("faults")
    candles = folder / "candles"
    candles.mkdir()
    with open_store(CandlesFolder(candles)) as store:
        store.append(
            1, "BTCUSDT", [Bars.of(synthetic.minutes(seed=7, start_ms=START_MS, count=MINUTES))]
        )
    dsn = make_conninfo(postgres_server, dbname=name)
    with running(Stack(dsn, redis_url, candles, folder)) as stack:
        stack.flush_redis()
        yield stack


@pytest.fixture(scope="module")
def stack(lasting_stack: Stack) -> Iterator[Stack]:
    """That stack with a scheduler, which ends with the file: it asks Postgres 15 times a second."""
    with lasting_stack.scheduled():
        yield lasting_stack


@pytest.fixture
def own_server() -> Iterator[OwnPostgres]:
    """A Postgres server for one test, which may do to it what it likes."""
    with own_postgres() as server:
        migrations.upgrade(server.dsn)
        yield server


@pytest.fixture
def own_stack(own_server: OwnPostgres, stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A stack on that server, with a Redis and a scheduler of its own."""
    with (
        embedded.redis_server(tmp_path / "redis") as redis_url,
        running(Stack(own_server.dsn, redis_url, stack.candles, tmp_path)) as own,
    ):
        own.scheduler()
        yield own


@pytest.fixture
def network(stack: Stack) -> Iterator[PostgresProxy]:
    """A breakable way to the stack's database, for programs that are started with its `dsn`."""
    with postgres_proxy(stack.dsn) as network:
        yield network


@pytest.fixture(scope="package")
def undisturbed(lasting_stack: Stack) -> list[tuple[str, ...]]:
    """The stored rows of a job that nothing happened to, and what is stored of its search."""
    rows = _stored(lasting_stack, sweep())
    assert len(rows) == 20 + 1
    return rows


@pytest.fixture(scope="package")
def undisturbed_through(
    lasting_stack: Stack, undisturbed: list[tuple[str, ...]]
) -> dict[Stage, list[tuple[str, ...]]]:
    """The same of jobs that can be hit in a stage."""
    others = {
        stage: _stored(lasting_stack, sweep_through(stage))
        for stage in Stage
        if stage is not Stage.STAGE_B
    }
    assert len(others[Stage.VALIDATION]) == 60 + 1 + 6  # a surface for each pair of its axes
    assert len(others[Stage.FINALIZING]) == 300 + 1
    return {Stage.STAGE_B: undisturbed} | others


def _stored(stack: Stack, document: dict[str, Any]) -> list[tuple[str, ...]]:
    stack.workers(1)
    with stack.scheduled():
        job = stack.ends(stack.submit(document))
    assert job.state is State.SUCCEEDED, job.last_error_json
    return stack.stored_bytes(job.job_id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def _range(start: int, stop: int, step: int = 1) -> dict[str, Any]:
    return {"mode": "range", "start": start, "stop_incl": stop, "step": step}
