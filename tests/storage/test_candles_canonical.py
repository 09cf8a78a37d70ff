"""Which row of a minute counts, and in which order volumes are added, in both stores."""

import itertools
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.candles.server import ServerStore
from storage.candles.store import statement
from tests.storage.candle_reader import Reader
from tests.storage.candle_rows import MINUTE, START, Row, as_tuples, write
from tests.storage.candle_table import command, connect, insert, server_of
from tests.storage.clickhouse_endpoint import Endpoint

DAY = 1440 * MINUTE
FIELDS = ("open", "high", "low", "close", "volume")
Read = Callable[[list[Row], int], list[tuple[float, ...]]]

# Neighbours of 1e16 are 2 apart, so 1e16 + 1 is 1e16: the ones count only when they come first.
VOLUMES = (1e16, *[1.0] * 479)
IN_TIME_ORDER = 1e16

_database_number = itertools.count()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    process = Reader()
    yield process
    process.close()


@pytest.fixture(params=["folder", "server"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Read:
    """Put rows into a store in their order and read the bars of the first day."""

    def from_folder(rows: list[Row], timeframe_ms: int) -> list[tuple[float, ...]]:
        write(tmp_path, rows, files=2)
        reader: Reader = request.getfixturevalue("reader")
        return as_tuples(reader.bars(tmp_path, START, START + DAY, timeframe_ms))

    def from_server(rows: list[Row], timeframe_ms: int) -> list[tuple[float, ...]]:
        server = server_of(
            request.getfixturevalue("endpoint"), f"canonical {next(_database_number)}"
        )
        with ServerStore(server) as store:
            store.ensure_table()
            command(server, "SYSTEM STOP MERGES {table}")
            insert(server, rows)
            return as_tuples(store.bars(1, "BTCUSDT", START, START + DAY, timeframe_ms))

    return from_folder if request.param == "folder" else from_server


def row(minute: int, ingested_at: int = START, **values: float) -> Row:
    return Row(START + minute * MINUTE, 10.0, 10.0, 10.0, 10.0, 10.0, ingested_at)._replace(
        **values
    )


@pytest.mark.parametrize("larger_first", [True, False])
def test_rows_of_one_version_that_differ_in_one_field_give_the_larger(
    read: Read, larger_first: bool
) -> None:
    rows = []
    for minute, field in enumerate(FIELDS):
        pair = [row(minute, **{field: 11.0}), row(minute, **{field: 9.0})]
        rows += pair if larger_first else pair[::-1]

    bars = read(rows, MINUTE)

    assert [bar[1:] for bar in bars] == [
        tuple(11.0 if field == differing else 10.0 for field in FIELDS) for differing in FIELDS
    ]


def test_the_first_field_that_differs_decides_between_rows_of_one_version(read: Read) -> None:
    pairs = list(itertools.pairwise(FIELDS))
    winners = [row(minute, **{a: 11.0, b: 9.0}) for minute, (a, b) in enumerate(pairs)]
    losers = [row(minute, **{a: 9.0, b: 11.0}) for minute, (a, b) in enumerate(pairs)]

    bars = read([*winners, *losers], MINUTE)

    assert [bar[1:] for bar in bars] == [winner[1:6] for winner in winners]


def test_a_number_wins_over_no_number_of_one_version(read: Read) -> None:
    rows = [row(minute, **{field: float("nan")}) for minute, field in enumerate(FIELDS)]

    bars = read([*rows, *(row(minute) for minute in range(len(FIELDS)))], MINUTE)

    assert [bar[1:] for bar in bars] == [(10.0,) * 5] * len(FIELDS)


def test_a_newer_version_wins_over_a_larger_one(read: Read) -> None:
    rows = []
    for minute, field in enumerate(FIELDS):
        rows += [row(minute, START + 1), row(minute, START, **{field: 11.0})]

    bars = read(rows, MINUTE)

    assert [bar[1:] for bar in bars] == [(10.0,) * 5] * len(FIELDS)


@pytest.mark.parametrize("arranged", ["backwards", "shuffled"])
def test_volumes_of_rows_in_any_order_are_added_in_time_order(read: Read, arranged: str) -> None:
    rows = [row(minute, volume=volume) for minute, volume in enumerate(VOLUMES)]
    if arranged == "backwards":
        rows.reverse()
    else:
        random.Random(1).shuffle(rows)

    ((*_, volume),) = read(rows, DAY)

    assert volume == IN_TIME_ORDER


def test_the_statement_adds_volumes_in_time_order_however_its_rows_arrive(
    endpoint: Endpoint,
) -> None:
    # Today's engine hands them over in order, whatever the statement says; none promises to.
    text, replaced = re.subn(
        r"ORDER BY\s+ts_open, ingested_at DESC,.*?LIMIT 1 BY ts_open",
        "ORDER BY ts_open DESC",
        statement("roll_up"),
        flags=re.DOTALL,
    )
    assert replaced == 1
    server = server_of(endpoint, "backwards")
    with ServerStore(server) as store:
        store.ensure_table()
    insert(server, [row(minute, volume=volume) for minute, volume in enumerate(VOLUMES)])
    key = {"database": "backwards", "market_id": 1, "symbol": "BTCUSDT"}
    borders = {"from_ms": START, "to_ms": START + DAY, "timeframe_ms": DAY}
    client = connect(server)

    answer = client.query_arrow(text, key | borders)

    client.close()
    assert answer.column("volume").to_pylist() == [IN_TIME_ORDER]
