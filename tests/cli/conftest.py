"""Typing commands, and jobs that have already been computed."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from cli.__main__ import main
from configs.environment import CandlesFolder
from engine import synthetic
from storage import leases, results
from storage.candles import Bars, open_store
from storage.records import Claimed, Lease, Shortlist, Stage, TopVariant
from tests.storage.making import claim, save_shortlist

OURS = (
    "ROEHUB_",
    "CH_",
    "CLICKHOUSE_",
    "STRATEGY_PG_DSN",
    "POSTGRES_DSN",
    "REDIS_URL",
    "BACKTEST_",
)

REQUEST: dict[str, Any] = {
    "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-03T00:00:00Z"},
    "template": {
        "instrument_id": {"market_id": 1, "symbol": "TESTUSDT"},
        "timeframe": "15m",
        "indicator_grids": [
            {
                "indicator_id": "ma.cross",
                "params": {
                    "ma": {"mode": "explicit", "values": ["sma"]},
                    "fast": {"mode": "range", "start": 5, "stop_incl": 8, "step": 1},
                    "slow": {"mode": "explicit", "values": [20, 40]},
                },
            }
        ],
        "risk_grid": {"sl": {"mode": "explicit", "values": [None, 2]}},
    },
    "preselect": 8,
    "top_k": 4,
    "top_trades_n": 1,
}

TABLE = "|Metric|Value|\n|---|---|\n|Total Return [%]|12.5|\n|Num. Trades|2|\n"
TRADES = [
    {
        "id": 1,
        "direction": "long",
        "entry_time": "2024-01-01T06:00:00Z",
        "exit_time": "2024-01-01T12:00:00Z",
        "entry_price": 100.5,
        "exit_price": 104.25,
        "quantity": 99.0,
        "entry_quote": 9949.5,
        "exit_quote": 10320.75,
        "entry_fee": 7.5,
        "exit_fee": 7.7,
        "gross_pnl": 371.25,
        "net_pnl": 356.05,
        "return_pct": 3.58,
        "exit_reason": "signal_exit",
    }
]
START_MS = 1_704_067_200_000
DAY_MS = 86_400_000
EQUITY = [
    [START_MS + hour * 3_600_000, 10_000.0 + 26 * hour - 400 * (hour == 20)] for hour in range(48)
]


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Backtest = Callable[..., Ended]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder and an environment that names nothing of ours."""
    import os

    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def backtest(bare: Path, capsys: pytest.CaptureFixture[str]) -> Backtest:
    """Type `backtest ...`; nothing is named in the environment."""

    def backtest(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return backtest


@pytest.fixture(scope="session")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the candles of the request and of five days before."""
    folder = tmp_path_factory.mktemp("store") / "candles"
    minutes = synthetic.minutes(seed=7, start_ms=START_MS - 5 * DAY_MS, count=7 * 1440)
    with open_store(CandlesFolder(folder)) as store:
        store.append(1, "TESTUSDT", [Bars.of(minutes)])
    return folder


@pytest.fixture
def service(
    backtest: Backtest,
    database: str,
    candles: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Backtest:
    """The same with a migrated database and a candle store named in the environment."""
    shutil.copytree(candles, tmp_path / "candles")
    monkeypatch.setenv("ROEHUB_ENV", "test")
    monkeypatch.setenv("STRATEGY_PG_DSN", database)
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(tmp_path / "candles"))
    return backtest


def changed(**changes: Any) -> dict[str, Any]:
    """The request with some values replaced, by their path joined with double underscores."""
    document = copy.deepcopy(REQUEST)
    for path, value in changes.items():
        *parents, name = path.split("__")
        target: Any = document
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        target[name] = value
    return document


def written(folder: Path, document: Any) -> Path:
    path = folder / "request.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def submitted(service: Backtest, folder: Path) -> str:
    """Submit the request; returns the job's id."""
    ended = service("submit", written(folder, REQUEST), "--json")
    assert ended.code == 0, ended.err
    return str(ended.json["job_id"])


def taken(connection: psycopg.Connection[Any], job_id: str) -> Lease:
    """Claim the job as a worker does."""
    claimed = claim(connection, UUID(job_id))
    assert isinstance(claimed, Claimed)
    return claimed.lease


def finish(connection: psycopg.Connection[Any], job_id: str) -> None:
    """End the job as a worker does, with four variants of which the best has its trades."""
    from engine.grid import Grid
    from engine.request import parse

    lease = claim(connection, UUID(job_id))
    assert isinstance(lease, Claimed)
    grid = Grid.of(parse(lease.job.request_json))
    leases.start_stage(connection, lease.lease, Stage.STAGE_B, 16)
    shortlist = Shortlist(range(8), [1] * 8, 8, 2, 8, "engine-1", "0" * 64)
    save_shortlist(connection, lease.lease, shortlist)
    rows = [
        TopVariant(
            rank=rank,
            variant_key=grid.variant_key(2 * rank),
            indicator_variant_key=grid.indicator_variant_key(2 * rank),
            variant_index=2 * rank,
            total_return_pct=12.5 / rank,
            metrics_json={"total_return_pct": 12.5 / rank, "num_trades": 2, "sharpe": None},
            payload_json=grid.variant(2 * rank),
            report_table_md=TABLE,
            trades_json=TRADES if rank == 1 else None,
            equity_json=EQUITY if rank == 1 else None,
        )
        for rank in range(1, 5)
    ]
    document = results.document(rows, reports=True)
    assert results.succeed(connection, lease.lease, document) == "succeeded"
