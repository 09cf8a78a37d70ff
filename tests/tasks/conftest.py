"""A stack of programs, and a fork server of the test process itself."""

import threading
from collections.abc import Iterator

import pytest

from configs import settings
from configs.environment import CandlesFolder
from engine import synthetic
from engine.request import Limits
from storage.candles import Bars, open_store
from tasks.metrics import Metrics
from tasks.process import ForkServer
from tasks.worker import Worker
from tests.faults.conftest import START_MS
from tests.faults.harness import Stack, running
from tests.network import PostgresProxy, postgres_proxy
from tests.storage.making import new_database
from tests.tasks.answering import session_to
from tests.tasks.sharing import Witness, computed_alone


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    server.start()
    server.wait()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def candles(tmp_path_factory: pytest.TempPathFactory) -> CandlesFolder:
    folder = tmp_path_factory.mktemp("candles")
    with open_store(CandlesFolder(folder)) as store:
        minutes = Bars.of(synthetic.minutes(seed=7, start_ms=START_MS, count=20 * 1440))
        store.append(1, "BTCUSDT", [minutes])
    return CandlesFolder(folder)


@pytest.fixture
def worker(stack: Stack, fork_server: ForkServer, candles: CandlesFolder) -> Iterator[Worker]:
    loaded = settings.load(stack.config, {"ROEHUB_ENV": "test"})
    worker = Worker(
        jobs=loaded.backtest.jobs,
        limits=Limits(**loaded.request_limits()),
        candle_source=candles,
        new_session=lambda: session_to(stack.dsn),
        session=session_to(stack.dsn),
        fork_server=fork_server,
        metrics=Metrics(),
        stopping=threading.Event(),
        put_back=lambda _job_id: None,
    )
    yield worker
    worker.session.close()


@pytest.fixture
def network(stack: Stack) -> Iterator[PostgresProxy]:
    """A breakable way to the stack's database."""
    with postgres_proxy(stack.dsn) as network:
        yield network


@pytest.fixture(scope="module")
def witness(stack: Stack) -> Iterator[Witness]:
    """What is seen of shards by somebody who only looks."""
    witness = Witness(stack.connection)
    yield witness
    witness.close()


@pytest.fixture
def alone(stack: Stack, worker: Worker) -> list[tuple[str, ...]]:
    """What is stored of a shared job when one worker computes it without shards."""
    return computed_alone(stack, worker)
