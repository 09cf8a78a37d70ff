"""Looking at stored bars, judging them, and taking some away again, in both stores."""

import hashlib
import itertools
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.candles import Bars, CandleStore, ImportedFile, Known
from storage.candles.folder import FolderStore
from storage.candles.server import ServerStore
from tests.storage.candle_reader import Reader
from tests.storage.candle_rows import MINUTE, START, Row, as_tuples, table
from tests.storage.candle_table import insert, server_of
from tests.storage.clickhouse_endpoint import Endpoint

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
FILE = ImportedFile("hours.csv", "ab" * 32, rows=100)
_database_number = itertools.count()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    process = Reader()
    yield process
    process.close()


@pytest.fixture
def stores(endpoint: Endpoint, tmp_path: Path) -> Iterator[list[CandleStore]]:
    """One of each kind."""
    server = server_of(endpoint, f"look {next(_database_number)}")
    with FolderStore(tmp_path / "folder") as folder, ServerStore(server) as table_store:
        yield [folder, table_store]


@pytest.fixture(params=["folder", "server"])
def store(request: pytest.FixtureRequest, stores: list[CandleStore]) -> CandleStore:
    return stores[request.param == "server"]


def bars_of(count: int, step: int = MINUTE, first: int = 0) -> Bars:
    number = np.arange(first, first + count)
    price = 100.0 + number % 50
    volume = number / 7
    return Bars(START + number * step, price, price + 2, price - 2, price + 1, volume)


def within(bars: Bars, from_ms: int, to_ms: int) -> list[tuple[float, ...]]:
    return [bar for bar in as_tuples(bars) if from_ms <= bar[0] < to_ms]


def everything(store: CandleStore, symbol: str = "AAPL") -> list[tuple[float, ...]]:
    return [bar for piece in store.pieces(1, symbol) for bar in as_tuples(piece)]


# ----------------------------------------------------------------------------- looking


@pytest.mark.parametrize(("step", "phase"), [(MINUTE, 0), (HOUR, HOUR // 2), (DAY, 22 * HOUR)])
def test_all_bars_and_their_times_are_read_as_they_are_stored(
    store: CandleStore, step: int, phase: int
) -> None:
    bars = bars_of(1_000, step)
    bars.ts_open[:] += phase
    store.append(1, "AAPL", [bars], known=Known(timeframe_ms=step, phase_ms=phase))
    assert store.verify(1, "AAPL").flawed == 0

    assert store.opens(1, "AAPL").tolist() == bars.ts_open.tolist()
    assert everything(store) == as_tuples(bars)
    assert store.opens(1, "MSFT").tolist() == everything(store, "MSFT") == []


def test_the_names_of_a_folder_are_read_without_an_engine(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.append(1, "BTC/USDT:USDT", [bars_of(3)])
    store.append(12, "a.b", [bars_of(3, HOUR)], known=Known(timeframe_ms=HOUR))
    store.append(1, "AAPL", [bars_of(3)])
    store.append(1, "GONE", [bars_of(3)])
    store.delete(1, "GONE")

    assert store.names() == [(1, "AAPL"), (1, "BTC/USDT:USDT"), (12, "a.b")]
    assert store._engine is None


def test_files_of_somebody_else_have_their_names_in_the_list(
    reader: Reader, tmp_path: Path
) -> None:
    FolderStore(tmp_path).append(1, "AAPL", [bars_of(3)])
    pq.write_table(table([Row(START, 1, 1, 1, 1, 1, START)], 7, "ELSE"), tmp_path / "x.parquet")

    assert reader.call(tmp_path, "names") == [(1, "AAPL"), (7, "ELSE")]


# ----------------------------------------------------------------------------- taking away


@pytest.mark.parametrize("step", [MINUTE, HOUR])
def test_a_range_goes_and_all_other_bars_stay_as_they_were(store: CandleStore, step: int) -> None:
    bars = bars_of(40_000, step)
    known = Known(timeframe_ms=step, sessions=True, has_volume=False, original="aapl")
    store.append(1, "AAPL", [bars], known=known, files=[FILE])
    corrected = bars_of(100, step, first=500)
    corrected.high[:] += 1
    store.append(1, "AAPL", [corrected], known=known)
    store.append(1, "MSFT", [bars], known=known)
    before = everything(store)
    begin, end = START + 550 * step, START + 20_000 * step

    store.delete_between(1, "AAPL", begin, end)

    assert everything(store) == [bar for bar in before if not begin <= bar[0] < end]
    assert store.known(1, "AAPL") == known
    assert len(everything(store, "MSFT")) == 40_000


def test_a_file_whose_bars_went_can_be_imported_again(store: CandleStore) -> None:
    known = Known(timeframe_ms=HOUR)
    store.append(1, "AAPL", [bars_of(50, HOUR)], known=known, files=[FILE])

    store.delete_between(1, "AAPL", START + 5 * HOUR, START + 9 * HOUR)

    assert store.files(1, "AAPL") == {}
    assert store.append(1, "AAPL", [bars_of(50, HOUR)], known=known, files=[FILE]) == 4
    assert everything(store) == as_tuples(bars_of(50, HOUR))
    assert list(store.files(1, "AAPL")) == [FILE.sha256]


def test_a_range_without_bars_changes_no_bar(store: CandleStore) -> None:
    store.append(1, "AAPL", [bars_of(50)])

    store.delete_between(1, "AAPL", START - DAY, START)
    store.delete_between(1, "AAPL", START + 50 * MINUTE, START + DAY)

    assert everything(store) == as_tuples(bars_of(50))


@pytest.mark.parametrize("step", ["rename", "unlink"])
def test_a_deletion_that_dies_has_lost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = FolderStore(tmp_path)
    store.append(1, "AAPL", [bars_of(50)], known=Known(), files=[FILE])

    does = getattr(Path, step)

    def dies(path: Path, *more: Any, **named: Any) -> Any:
        if path.suffix == ".parquet" or (path.name == "import.tmp" and step == "rename"):
            raise KeyboardInterrupt
        return does(path, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, dies)
        with pytest.raises(KeyboardInterrupt):
            store.delete_between(1, "AAPL", START, START + 10 * MINUTE)

    assert everything(store) == as_tuples(bars_of(50))
    store.delete_between(1, "AAPL", START, START + 10 * MINUTE)
    assert len(everything(store)) == 40


# ----------------------------------------------------------------------------- judging


def test_the_same_bars_have_the_same_sum_in_both_stores_whatever_the_pieces(
    stores: list[CandleStore],
) -> None:
    """Two years of hours are read in windows."""
    hours = bars_of(20_000, HOUR)
    known, found = Known(timeframe_ms=HOUR), set()
    for store in stores:
        store.append(1, "AAPL", [hours], known=known)
        for count in (7_000, 20_000):
            store.append(1, "PARTS", [bars_of(count, HOUR)], known=known)
        for symbol in ("AAPL", "PARTS"):
            verified = store.verify(1, symbol)
            found.add((verified.sha256, verified.bars, verified.flawed))

    written = b"".join(struct.pack("<q5d", *bar) for bar in as_tuples(hours))
    assert found == {(hashlib.sha256(written).hexdigest(), 20_000, 0)}


WRONG: list[tuple[str, Callable[[Row], Row], str]] = [
    ("nan", lambda row: row._replace(close=math.nan), "close is nan, which is no price"),
    ("infinite", lambda row: row._replace(high=math.inf), "high is inf, which is no price"),
    ("zero", lambda row: row._replace(open=0.0, low=0.0), "open is 0, which is no price"),
    ("volume", lambda row: row._replace(volume=-3.5), "volume is -3.5, which is no volume"),
    ("high", lambda row: row._replace(high=99.25), "high 99.25 is below open 100"),
    ("low", lambda row: row._replace(low=100.5), "low 100.5 is above open 100"),
    ("time", lambda row: row._replace(ts_open=row.ts_open + 7_000), "no whole bar"),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in WRONG], ids=lambda _: "")
@pytest.mark.parametrize("kind", ["folder", "server"])
def test_a_bar_that_cannot_be_right_is_told_with_its_values(
    stores: list[CandleStore],
    kind: str,
    tmp_path: Path,
    change: Callable[[Row], Row],
    said: str,
) -> None:
    rows = [Row(START + n * MINUTE, 100, 102, 98, 101, 5, START + DAY) for n in range(20)]
    rows[12] = change(rows[12])
    store = stores[kind == "server"]
    store.append(1, "AAPL", [])
    if isinstance(store, ServerStore):
        insert(store._server, rows, symbol="AAPL")
        place, number = store.place, None
    else:
        path = tmp_path / "folder" / "1" / "AAPL" / f"{START:013d}.parquet"
        write_as_import(path, rows)
        place, number = f"1/AAPL/{path.name}", 13

    found = store.verify(1, "AAPL")

    assert found.flawed == 1
    (flaw,) = found.flaws
    assert (flaw.place, flaw.row, flaw.ts_ms) == (place, number, rows[12].ts_open)
    assert said in flaw.what


def write_as_import(path: Path, rows: list[Row]) -> None:
    from storage.candles.minutes import SCHEMA

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(rows, 1, "AAPL").cast(SCHEMA), path, write_page_checksum=True)


def test_rows_out_of_order_are_told(tmp_path: Path) -> None:
    rows = [Row(START + n * MINUTE, 100, 102, 98, 101, 5, START) for n in (0, 1, 4, 3, 3, 5)]
    write_as_import(tmp_path / "1" / "AAPL" / f"{START:013d}.parquet", rows)

    found = FolderStore(tmp_path).verify(1, "AAPL")

    assert [(flaw.row, flaw.ts_ms) for flaw in found.flaws] == [
        (4, START + 3 * MINUTE),
        (5, START + 3 * MINUTE),
    ]
    assert "behind the bar of 2024-02-01 00:04" in found.flaws[0].what


def test_a_wrong_bar_that_was_replaced_is_no_flaw(store: CandleStore) -> None:
    bars = bars_of(50)
    bars.high[7] = 1.0
    bars.high[20] = 1.0
    store.append(1, "AAPL", [bars])
    assert store.verify(1, "AAPL").flawed == 2

    store.append(1, "AAPL", [bars_of(10)])

    found = store.verify(1, "AAPL")
    assert [flaw.ts_ms for flaw in found.flaws] == [START + 20 * MINUTE]
    assert found.flawed == 1


def test_many_flaws_are_counted_and_the_first_told(store: CandleStore) -> None:
    bars = bars_of(3_000)
    bars.low[5::2] = 1_000.0
    store.append(1, "AAPL", [bars])

    found = store.verify(1, "AAPL")

    assert found.flawed == len(range(5, 3_000, 2))
    assert [flaw.ts_ms for flaw in found.flaws] == bars.ts_open[5:45:2].tolist()


def test_a_single_changed_bit_of_a_file_is_found(tmp_path: Path) -> None:
    """Of values that still look like volumes nothing but the checksum can tell."""
    store = FolderStore(tmp_path)
    store.append(1, "AAPL", [noise(5_000)])
    assert store.verify(1, "AAPL").flawed == 0
    (path,) = tmp_path.rglob("*.parquet")
    content = path.read_bytes()
    volume = pq.ParquetFile(path).metadata.row_group(0).column(7)
    end = volume.data_page_offset + volume.total_compressed_size
    for at in range(end - 30_000, end, 3_000):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)

        found = store.verify(1, "AAPL")

        assert (found.flawed, found.sha256) == (1, None)
        assert (found.flaws[0].place, found.flaws[0].row) == (f"1/AAPL/{path.name}", None)


def test_a_footer_that_would_hide_bars_is_found(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.append(1, "AAPL", [bars_of(5_000)])
    (path,) = tmp_path.rglob("*.parquet")
    content = path.read_bytes()
    last = struct.pack("<q", START + 4_999 * MINUTE)
    assert last in content
    path.write_bytes(content.replace(last, struct.pack("<q", START + 10 * MINUTE)))
    assert len(store.bars(1, "AAPL", START + 20 * MINUTE, START + DAY, MINUTE)) == 0

    (flaw,) = store.verify(1, "AAPL").flaws

    assert flaw.place == f"1/AAPL/{path.name}"
    assert "its footer tells of other times than its rows" in flaw.what


def noise(count: int) -> Bars:
    rng = np.random.default_rng(5)
    price = rng.uniform(90, 110, count)
    return Bars(bars_of(count).ts_open, price, price, price, price, rng.uniform(1, 2, count))


def test_files_of_somebody_else_are_judged_by_the_engine(reader: Reader, tmp_path: Path) -> None:
    rows = [Row(START + n * MINUTE, 100, 102, 98, 101, 5, START) for n in range(20)]
    rows[4] = rows[4]._replace(close=103.0)
    pq.write_table(table(rows, 1, "AAPL"), tmp_path / "x.parquet")

    found = reader.call(tmp_path, "verify", 1, "AAPL")

    assert (found.bars, found.flawed, found.flaws[0].place) == (20, 1, str(tmp_path))
    assert found.flaws[0].what == "high 102 is below close 103"


def test_progress_ends_with_everything_read(store: CandleStore) -> None:
    store.append(1, "AAPL", [bars_of(40_000)])
    told: list[float] = []

    store.verify(1, "AAPL", told.append)

    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
