"""The candle store on a ClickHouse server, over HTTP."""

import itertools
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.environment import ClickHouseServer
from engine import synthetic
from engine.timeframes import TIMEFRAMES
from storage.candles import Bars, CandleSourceUnavailable, open_store
from storage.candles.server import ServerStore
from tests.storage.candle_rows import MINUTE, START, as_tuples, random_rows, roll_up
from tests.storage.candle_table import command, connect, insert, server_of
from tests.storage.clickhouse_endpoint import PASSWORD, USER, Endpoint

ROOT = Path(__file__).resolve().parents[2]
DAY = 1440 * MINUTE
_database_number = itertools.count()


@pytest.fixture
def server(endpoint: Endpoint) -> ClickHouseServer:
    """A database of the test's own, which does not exist yet."""
    return server_of(endpoint, f"market-data {next(_database_number)}")


@pytest.fixture
def store(server: ClickHouseServer) -> Iterator[ServerStore]:
    with ServerStore(server, answer_seconds=20) as opened:
        yield opened


@pytest.fixture
def filled(store: ServerStore) -> ServerStore:
    store.append(1, "BTCUSDT", [Bars.of(synthetic.minutes(seed=5, start_ms=START, count=3_000))])
    return store


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not happen within 20 seconds"
        time.sleep(0.02)


def one_price(price: float) -> Bars:
    values = np.full(2, price)
    return Bars(START + np.arange(2) * MINUTE, values, values, values, values, values)


def rows_in(server: ClickHouseServer) -> list[float]:
    client = connect(server)
    closes = client.query_arrow(f"SELECT close FROM `{server.database}`.canonical_candles_1m")
    client.close()
    return list(closes.column("close").to_pylist())


def read(store: ServerStore) -> Bars:
    return store.bars(1, "BTCUSDT", START, START + 3_000 * MINUTE, 15 * MINUTE)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_bars_equal_the_slow_roll_up_before_any_merge(
    server: ClickHouseServer, store: ServerStore, timeframe: str
) -> None:
    rows = random_rows(11, 2_000)
    store.ensure_table()
    command(server, "SYSTEM STOP MERGES {table}")
    insert(server, rows)
    step = TIMEFRAMES[timeframe]

    bars = store.bars(1, "BTCUSDT", START, START + 2_000 * MINUTE, step)

    assert as_tuples(bars) == roll_up(rows, START, START + 2_000 * MINUTE, step)


def test_a_merge_does_not_change_the_bars(server: ClickHouseServer, store: ServerStore) -> None:
    rows = random_rows(12, 2_000, ties=False)
    store.ensure_table()
    insert(server, rows)
    before = as_tuples(read(store))

    command(server, "OPTIMIZE TABLE {table} FINAL")

    assert as_tuples(read(store)) == before == roll_up(rows, START, START + DAY * 3, 15 * MINUTE)


def test_a_merge_leaves_one_row_of_each_minute(
    server: ClickHouseServer, store: ServerStore
) -> None:
    for price in (1.0, 2.0):
        store.append(1, "BTCUSDT", [one_price(price)])

    command(server, "OPTIMIZE TABLE {table} FINAL")

    assert rows_in(server) == [2.0, 2.0]


def test_appended_minutes_are_read_back_exactly(store: ServerStore) -> None:
    minutes = Bars.of(synthetic.minutes(seed=5, start_ms=START, count=3_000))

    assert store.append(1, "BTCUSDT", [minutes]) == len(minutes.ts_open)

    bars = store.bars(1, "BTCUSDT", START, START + 3_000 * MINUTE, MINUTE)
    for field in fields(Bars):
        np.testing.assert_array_equal(getattr(bars, field.name), getattr(minutes, field.name))


def test_appending_the_same_minutes_again_inserts_nothing(
    endpoint: Endpoint, filled: ServerStore
) -> None:
    before = sum("INSERT" in query for query in endpoint.queries())

    assert (
        filled.append(
            1, "BTCUSDT", [Bars.of(synthetic.minutes(seed=5, start_ms=START, count=3_000))]
        )
        == 0
    )
    assert sum("INSERT" in query for query in endpoint.queries()) == before


def test_instruments_are_listed_with_their_extent(filled: ServerStore) -> None:
    (instrument,) = filled.instruments()

    assert (instrument.market_id, instrument.symbol) == (1, "BTCUSDT")
    assert instrument.minutes == len(Bars.of(synthetic.minutes(seed=5, count=3_000)).ts_open)
    assert instrument.first.isoformat() == "2024-02-01T00:00:00+00:00"


def test_an_unknown_instrument_has_no_bars(filled: ServerStore) -> None:
    assert len(filled.bars(1, "ETHUSDT", START, START + DAY, MINUTE)) == 0


def test_a_year_of_bars_is_one_query(endpoint: Endpoint, filled: ServerStore) -> None:
    before = len(endpoint.queries())

    filled.bars(1, "BTCUSDT", START, START + 366 * DAY, 15 * MINUTE)

    assert len(endpoint.queries()) == before + 1


def test_a_new_store_asks_for_bars_at_once(
    endpoint: Endpoint, filled: ServerStore, server: ClickHouseServer
) -> None:
    before = len(endpoint.queries())

    with ServerStore(server) as store:
        store.start(1, "BTCUSDT")
        read(store)

    assert len(endpoint.queries()) == before + 1


READS_FOR_EVER = """
import sys
from configs.environment import ClickHouseServer
from storage.candles.server import ServerStore
from tests.storage.clickhouse_endpoint import PASSWORD, USER
server = ClickHouseServer("127.0.0.1", int(sys.argv[1]), sys.argv[2], USER, PASSWORD, False, True)
ServerStore(server).bars(1, "BTCUSDT", 0, 10**12, 60_000)
"""


def test_a_query_is_cancelled_when_the_process_that_asked_is_killed(
    endpoint: Endpoint, filled: ServerStore, server: ClickHouseServer
) -> None:
    before = len(endpoint.queries())
    with endpoint.failing("silence"):
        child = subprocess.Popen(
            [sys.executable, "-c", READS_FOR_EVER, str(server.port), server.database], cwd=ROOT
        )
        wait_for(lambda: len(endpoint.queries()) > before)
        asked = endpoint.queries()[-1]

        child.kill()

        child.wait()
        wait_for(lambda: asked in endpoint.cancelled())


def test_a_user_who_may_not_change_settings_reads_all_the_same(
    endpoint: Endpoint, filled: ServerStore, server: ClickHouseServer
) -> None:
    whole = as_tuples(read(filled))

    with endpoint.failing("readonly"), ServerStore(server) as store:
        before = len(endpoint.queries())
        assert as_tuples(read(store)) == whole
        assert as_tuples(read(store)) == whole
        # Refused once, and not tried again.
        assert len(endpoint.queries()) == before + 3


def test_a_query_follows_no_redirection(endpoint: Endpoint, filled: ServerStore) -> None:
    before = len(endpoint.queries())
    elsewhere = {"Location": f"http://127.0.0.1:{endpoint.port}/elsewhere"}

    with (
        endpoint.failing("status", status=302, headers=elsewhere),
        pytest.raises(CandleSourceUnavailable, match="HTTP status 302"),
    ):
        read(filled)

    assert len(endpoint.queries()) == before + 1


def test_names_that_come_as_bytes_are_texts(filled: ServerStore, server: ClickHouseServer) -> None:
    # As servers before 24 send them.
    command(server, "SET output_format_arrow_string_as_string = 0")
    try:
        assert filled.names() == [(1, "BTCUSDT")]
        assert [instrument.symbol for instrument in filled.instruments()] == ["BTCUSDT"]
    finally:
        command(server, "SET output_format_arrow_string_as_string = 1")


def test_nothing_is_asked_before_the_store_is_used() -> None:
    nobody = ClickHouseServer("127.0.0.1", 1, "market_data", USER, PASSWORD, False, True)

    open_store(nobody).close()


def test_refused_credentials_are_permanent_and_never_shown(
    filled: ServerStore, server: ClickHouseServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stranger = ServerStore(replace(server, password="not the password"))

    with pytest.raises(CandleSourceUnavailable, match="refused user 'reader'") as caught:
        read(stranger)

    assert caught.value.permanent
    cause: BaseException | None = caught.value
    while cause is not None:
        assert "not the password" not in str(cause)
        cause = cause.__cause__
    assert "not the password" not in caplog.text


def test_a_missing_database_is_permanent(server: ClickHouseServer) -> None:
    with pytest.raises(CandleSourceUnavailable, match="CH_DATABASE") as caught:
        read(ServerStore(replace(server, database="nowhere")))

    assert caught.value.permanent


def test_missing_rights_are_permanent(endpoint: Endpoint, filled: ServerStore) -> None:
    with (
        endpoint.failing("error", status=500, code=497, name="ACCESS_DENIED"),
        pytest.raises(CandleSourceUnavailable, match="grant") as caught,
    ):
        read(filled)

    assert caught.value.permanent


def test_a_server_that_nobody_runs_is_tried_again(server: ClickHouseServer) -> None:
    with pytest.raises(CandleSourceUnavailable, match="cannot be reached") as caught:
        read(ServerStore(replace(server, port=1)))

    assert not caught.value.permanent


def test_tls_towards_a_plain_port_is_permanent(server: ClickHouseServer) -> None:
    with pytest.raises(CandleSourceUnavailable, match="CH_SECURE") as caught:
        read(ServerStore(replace(server, secure=True)))

    assert caught.value.permanent


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"how": "status", "status": 503}, "HTTP status 503"),
        ({"how": "status", "status": 502}, "HTTP status 502"),
        (
            {"how": "error", "status": 500, "code": 241, "name": "MEMORY_LIMIT_EXCEEDED"},
            "code 241",
        ),
        ({"how": "garbage"}, "unreadable"),
        ({"how": "nothing"}, "unreadable"),
        ({"how": "disconnect"}, "broke the connection off"),
        ({"how": "cut"}, "incomplete"),
    ],
)
def test_a_fault_while_reading_is_temporary_and_never_a_wrong_result(
    endpoint: Endpoint, filled: ServerStore, fault: dict[str, Any], message: str
) -> None:
    whole = as_tuples(read(filled))
    before = len(endpoint.queries())

    with (
        endpoint.failing(**fault, only="arrayFold"),
        pytest.raises(CandleSourceUnavailable, match=message) as caught,
    ):
        read(filled)

    assert not caught.value.permanent
    # Who asks decides whether to ask again.
    assert len(endpoint.queries()) == before + 1
    assert as_tuples(read(filled)) == whole


@pytest.mark.parametrize("how", ["garbage", "nothing", "disconnect", "cut"])
def test_a_fault_while_connecting_is_temporary(
    endpoint: Endpoint, server: ClickHouseServer, how: str
) -> None:
    with endpoint.failing(how), pytest.raises(CandleSourceUnavailable) as caught:
        read(ServerStore(server))

    assert not caught.value.permanent


def test_a_silent_server_is_given_up(
    endpoint: Endpoint, filled: ServerStore, server: ClickHouseServer
) -> None:
    impatient = ServerStore(server, answer_seconds=1)
    read(impatient)

    with (
        endpoint.failing("silence", only="arrayFold"),
        pytest.raises(CandleSourceUnavailable, match="does not answer in time") as caught,
    ):
        read(impatient)

    assert not caught.value.permanent


def test_an_insert_that_fails_can_be_repeated(endpoint: Endpoint, store: ServerStore) -> None:
    minutes = Bars.of(synthetic.minutes(seed=5, start_ms=START, count=200, gaps=False))
    store.ensure_table()
    with (
        endpoint.failing("status", status=500, only="INSERT"),
        pytest.raises(CandleSourceUnavailable),
    ):
        store.append(1, "BTCUSDT", [minutes])

    assert store.append(1, "BTCUSDT", [minutes]) == 200
