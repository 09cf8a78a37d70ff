"""A stack of programs, and a fork server of the test process itself."""

from collections.abc import Iterator

import pytest

from configs.environment import CandlesFolder
from engine import synthetic
from storage.candles import Bars, open_store
from tasks.process import ForkServer
from tests.faults.conftest import START_MS
from tests.faults.harness import Stack, running
from tests.storage.making import new_database


@pytest.fixture(scope="session")
def stack(
    postgres_server: str,
    migrated_template: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tasks")
    candles = folder / "candles"
    candles.mkdir()
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running(Stack(dsn, redis_url, candles, folder)) as stack,
    ):
        stack.flush_redis()
        yield stack


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    server.start()
    server.wait()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def candles(tmp_path_factory: pytest.TempPathFactory) -> CandlesFolder:
    folder = tmp_path_factory.mktemp("candles")
    with open_store(CandlesFolder(folder)) as store:
        minutes = Bars.of(synthetic.minutes(seed=7, start_ms=START_MS, count=20 * 1440))
        store.append(1, "BTCUSDT", [minutes])
    return CandlesFolder(folder)
