"""Typing commands, and jobs that have already been computed."""

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
from storage.records import Claimed, Lease
from tests.making_jobs import (
    DAY_MS,
    EQUITY,
    REQUEST,
    START_MS,
    TABLE,
    TRADES,
    changed,
    finish,
    store_candles,
)
from tests.storage.making import claim

__all__ = [
    "DAY_MS",
    "EQUITY",
    "REQUEST",
    "START_MS",
    "TABLE",
    "TRADES",
    "changed",
    "finish",
    "store_candles",
]

OURS = (
    "ROEHUB_",
    "CH_",
    "CLICKHOUSE_",
    "STRATEGY_PG_DSN",
    "POSTGRES_DSN",
    "REDIS_URL",
    "BACKTEST_",
)


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
    return store_candles(tmp_path_factory.mktemp("store") / "candles")


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
