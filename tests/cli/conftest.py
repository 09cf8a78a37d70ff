"""Typing commands, and jobs that have already been computed."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from cli.__main__ import main
from storage.records import Claimed, Lease
from tests.api.running import Api, running
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
from tests.storage.making import claim, new_database

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


@pytest.fixture(scope="session")
def served(
    postgres_server: str,
    migrated_template: str,
    candles: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """One API for the session, on a database and candles of its own: starting one takes seconds."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(candles, folder / "candles")
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running(dsn, folder / "candles", folder / "api") as api,
    ):
        yield api


@pytest.fixture
def database(served: Api) -> str:
    """DSN of the database of the API, in which each test has a user of its own."""
    return served.dsn


@pytest.fixture
def service(
    backtest: Backtest,
    served: Api,
    candles: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Backtest:
    """Type `backtest ...` as a new user, with everything named in the environment.

    The candle store of the commands for operators is the test's own, not that of the API.
    """
    shutil.copytree(candles, tmp_path / "candles")
    monkeypatch.setenv("ROEHUB_ENV", "test")
    monkeypatch.setenv("STRATEGY_PG_DSN", served.dsn)
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(tmp_path / "candles"))
    monkeypatch.setenv("ROEHUB_API_URL", served.url)
    become(monkeypatch, served)
    return backtest


def become(monkeypatch: pytest.MonkeyPatch, served: Api, user: UUID | None = None) -> None:
    """Go on as another user, by default a new one."""
    monkeypatch.setenv("ROEHUB_API_TOKEN", served.token(user or uuid4()))


def written(folder: Path, document: Any) -> Path:
    path = folder / "request.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def submitted(service: Backtest, folder: Path, **changes: Any) -> str:
    """Submit the request with some values replaced; returns the job's id."""
    ended = service("submit", written(folder, changed(**changes)), "--json")
    assert ended.code == 0, ended.err
    return str(ended.json["job_id"])


def taken(connection: psycopg.Connection[Any], job_id: str) -> Lease:
    """Claim the job as a worker does."""
    claimed = claim(connection, UUID(job_id))
    assert isinstance(claimed, Claimed)
    return claimed.lease
