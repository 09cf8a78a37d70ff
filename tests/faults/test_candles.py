"""The candle source goes away while a job reads: tried again, and never half of the candles."""

from collections.abc import Iterator

import pytest

from configs.environment import ClickHouseServer
from engine import synthetic
from storage.candles import Bars, open_store
from storage.records import EventName, FailureCode, State
from tests.faults.conftest import MINUTES, START_MS, small_sweep, sweep
from tests.faults.harness import Program, Stack
from tests.storage.candle_table import server_of
from tests.storage.clickhouse_endpoint import Endpoint

AWAY_MID_READ = ["disconnect", "cut"]


def test_a_folder_that_is_away_for_a_moment_is_asked_again(
    stack: Stack, undisturbed: list[tuple[str, ...]]
) -> None:
    (worker,) = stack.workers(1)
    away = stack.candles.with_name("away")
    stack.candles.rename(away)
    try:
        job_id = stack.submit(sweep())
        worker.logged(f"event=candle_source_unavailable job_id={job_id}")
    finally:
        away.rename(stack.candles)
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1), ended.last_error_json
    assert stack.stored_bytes(job_id) == undisturbed


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(endpoint: Endpoint) -> ClickHouseServer:
    """The candles of the stack, on a server."""
    server = server_of(endpoint, "candles")
    with open_store(server) as store:
        store.append(
            1, "BTCUSDT", [Bars.of(synthetic.minutes(seed=7, start_ms=START_MS, count=MINUTES))]
        )
    return server


@pytest.fixture(scope="module")
def worker(stack: Stack, server: ClickHouseServer) -> Iterator[Program]:
    """From here on the only worker; it reads from the server."""
    environ = {
        "ROEHUB_CANDLES_DIR": "",
        "CH_HOST": server.host,
        "CH_PORT": str(server.port),
        "CH_DATABASE": server.database,
        "CH_USER": server.user,
        "CH_PASSWORD": server.password,
    }
    with stack.only(environ) as worker:
        yield worker


@pytest.mark.parametrize("how", AWAY_MID_READ)
def test_a_source_that_breaks_off_in_the_middle_of_an_answer_is_asked_again(
    stack: Stack,
    undisturbed: list[tuple[str, ...]],
    worker: Program,
    endpoint: Endpoint,
    how: str,
) -> None:
    with endpoint.failing(how):
        job_id = stack.submit(sweep())
        worker.logged(f"event=candle_source_unavailable job_id={job_id}")
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1), ended.last_error_json
    assert stack.stored_bytes(job_id) == undisturbed


def test_a_source_that_always_breaks_off_fails_the_job_and_shows_nothing(
    stack: Stack, worker: Program, endpoint: Endpoint
) -> None:
    with endpoint.failing("cut"):
        job_id = stack.submit(small_sweep())
        ended = stack.ends(job_id)
    assert ended.state is State.FAILED
    assert ended.last_error_json is not None
    assert ended.last_error_json["code"] == FailureCode.CANDLE_SOURCE_UNAVAILABLE
    assert stack.rows(job_id) == []
    assert EventName.STAGE_STARTED not in stack.events(job_id)
    assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED
