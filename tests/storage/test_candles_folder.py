"""The embedded candle store: Parquet files read by chDB."""

import multiprocessing
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from configs.environment import CandlesFolder
from engine import synthetic
from engine.timeframes import TIMEFRAMES
from storage.candles import Bars, CandleSourceUnavailable, open_store
from storage.candles.faults import embedded_faults
from storage.candles.folder import FolderStore
from tests.storage.candle_reader import Reader
from tests.storage.candle_rows import (
    MINUTE,
    START,
    Row,
    as_tuples,
    random_rows,
    roll_up,
    table,
    write,
)

DAY = 1440 * MINUTE


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    process = Reader()
    yield process
    process.close()


def as_bytes(bars: Bars) -> bytes:
    return b"".join(getattr(bars, field.name).tobytes() for field in fields(Bars))


def one_price(ts_open: np.ndarray, price: float) -> Bars:
    values = np.full(len(ts_open), price)
    return Bars(ts_open, values, values, values, values, values)


@pytest.fixture(scope="module")
def rows_and_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], Path]:
    rows = random_rows(7, 6_000)
    folder = tmp_path_factory.mktemp("rows")
    write(folder, rows, files=3)
    return rows, folder


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_bars_equal_the_slow_roll_up_bit_for_bit(
    reader: Reader, rows_and_folder: tuple[list[Row], Path], timeframe: str
) -> None:
    rows, folder = rows_and_folder
    step = TIMEFRAMES[timeframe]

    bars = reader.bars(folder, START, START + 6_000 * MINUTE, step)

    assert as_tuples(bars) == roll_up(rows, START, START + 6_000 * MINUTE, step)


@pytest.mark.parametrize("seed", range(4))
def test_a_range_cuts_minutes_not_buckets(reader: Reader, tmp_path: Path, seed: int) -> None:
    rows = random_rows(seed, 400)
    write(tmp_path, rows)
    begin, end = START + 37 * MINUTE, START + 222 * MINUTE

    assert as_tuples(reader.bars(tmp_path, begin, end, 15 * MINUTE)) == roll_up(
        rows, begin, end, 15 * MINUTE
    )


def test_the_same_rows_in_other_files_and_order_give_the_same_bytes(
    reader: Reader, tmp_path: Path
) -> None:
    rows = random_rows(3, 20_000)
    answers = set()
    for name, arranged, files in (
        ("a", rows, 1),
        ("b", sorted(rows), 5),
        ("c", rows[::-1], 2),
    ):
        write(tmp_path / name, arranged, files)
        answers |= {
            as_bytes(reader.bars(tmp_path / name, START, START + 20_000 * MINUTE, 240 * MINUTE))
            for _ in range(3)
        }

    assert len(answers) == 1


def test_a_newer_invalid_row_hides_an_older_valid_one(reader: Reader, tmp_path: Path) -> None:
    good = Row(START, 1.0, 1.0, 1.0, 1.0, 1.0, ingested_at=START)
    write(tmp_path, [good, good._replace(close=float("nan"), ingested_at=START + 1)])

    assert len(reader.bars(tmp_path, START, START + DAY)) == 0


def test_a_range_over_many_years_is_read_in_windows(reader: Reader, tmp_path: Path) -> None:
    rows = [
        Row(START + day * DAY + minute * MINUTE, 1.0, 2.0, 0.5, 1.5, 0.1, START)
        for day in range(0, 2_000, 40)
        for minute in (0, 7, 1439)
        if (day, minute) != (0, 0)  # so that windows do not begin at a border of buckets
    ]
    write(tmp_path, rows)

    bars = reader.bars(tmp_path, -DAY, 10**15, DAY)

    assert as_tuples(bars) == roll_up(rows, 0, 10**15, DAY)


def test_an_unknown_instrument_has_no_bars(
    reader: Reader, rows_and_folder: tuple[list[Row], Path]
) -> None:
    _, folder = rows_and_folder

    assert len(reader.bars(folder, START, START + DAY, symbol="ETHUSDT")) == 0
    assert len(reader.bars(folder, START, START + DAY, market_id=2)) == 0


def test_an_empty_folder_has_no_bars_and_no_instruments(reader: Reader, tmp_path: Path) -> None:
    assert len(reader.bars(tmp_path, START, START + DAY)) == 0
    assert reader.instruments(tmp_path) == []


def test_a_missing_folder_is_no_folder_without_bars(reader: Reader, tmp_path: Path) -> None:
    """It may come back: a disk that is not mounted yet."""
    with pytest.raises(CandleSourceUnavailable, match="is not there") as caught:
        reader.bars(tmp_path / "nowhere", START, START + DAY)
    assert not caught.value.permanent
    assert reader.instruments(tmp_path / "nowhere") == []


def test_appended_minutes_are_read_back_exactly(reader: Reader, tmp_path: Path) -> None:
    minutes = Bars.of(synthetic.minutes(seed=5, start_ms=START, count=5_000))

    assert FolderStore(tmp_path).append(1, "BTCUSDT", [minutes]) == len(minutes.ts_open)

    bars = reader.bars(tmp_path, START, START + 5_000 * MINUTE)
    for field in fields(Bars):
        np.testing.assert_array_equal(getattr(bars, field.name), getattr(minutes, field.name))


def test_appending_the_same_minutes_again_changes_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    minutes = Bars.of(synthetic.minutes(seed=5, start_ms=START, count=1_000))
    store.append(1, "BTCUSDT", [minutes])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}

    assert store.append(1, "BTCUSDT", [minutes]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before


def test_only_new_and_changed_minutes_are_published(reader: Reader, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    ts_open = START + np.arange(10, dtype=np.int64) * MINUTE
    store.append(1, "BTCUSDT", [one_price(ts_open[:8], 1.0)])
    corrected = one_price(ts_open, 1.0)
    corrected.close[3] = 2.0

    assert store.append(1, "BTCUSDT", [corrected]) == 3
    assert reader.bars(tmp_path, START, START + DAY).close.tolist() == corrected.close.tolist()


def test_a_correction_can_be_taken_back(reader: Reader, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    ts_open = START + np.arange(3, dtype=np.int64) * MINUTE
    for price in (1.0, 2.0, 1.0):
        assert store.append(1, "BTCUSDT", [one_price(ts_open, price)]) == 3

    assert reader.bars(tmp_path, START, START + DAY).close.tolist() == [1.0, 1.0, 1.0]


def test_an_import_wins_over_an_earlier_one_of_a_clock_that_was_ahead(
    reader: Reader, tmp_path: Path
) -> None:
    tomorrow = time.time_ns() // 1_000_000 + DAY
    ahead = tmp_path / "1" / "BTCUSDT" / f"{tomorrow:013d}.parquet"
    ahead.parent.mkdir(parents=True)
    rows = [Row(START + k * MINUTE, 9.0, 9.0, 9.0, 9.0, 9.0, tomorrow) for k in range(2)]
    pq.write_table(table(rows), ahead)

    FolderStore(tmp_path).append(1, "BTCUSDT", [one_price(np.array([START]), 1.0)])

    assert reader.bars(tmp_path, START, START + DAY).close.tolist() == [1.0, 9.0]


def test_an_import_that_breaks_off_publishes_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    ts_open = START + np.arange(10, dtype=np.int64) * MINUTE
    good, late = one_price(ts_open[5:], 1.0), one_price(ts_open[:5], 1.0)

    with pytest.raises(ValueError, match="ascend"):
        store.append(1, "BTCUSDT", [good, late])

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["import.lock"]


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [([[0, 0]], "ascend"), ([[0, 1], [1, 2]], "ascend"), ([[0.5]], "whole minute")],
)
def test_minutes_that_repeat_or_are_none_are_refused(
    tmp_path: Path, chunks: list[list[float]], reason: str
) -> None:
    minutes = [START + (np.array(chunk) * MINUTE).astype(np.int64) for chunk in chunks]

    with pytest.raises(ValueError, match=reason):
        FolderStore(tmp_path).append(1, "BTCUSDT", [one_price(chunk, 1.0) for chunk in minutes])


def test_a_reader_ignores_an_unfinished_import(reader: Reader, tmp_path: Path) -> None:
    FolderStore(tmp_path).append(1, "BTCUSDT", [one_price(np.array([START]), 1.0)])
    (tmp_path / "1" / "BTCUSDT" / "import.tmp").write_bytes(b"PAR1 half a file")

    assert len(reader.bars(tmp_path, START, START + DAY)) == 1


def test_concurrent_imports_of_one_instrument_all_count(reader: Reader, tmp_path: Path) -> None:
    minutes = [np.array([START + i * MINUTE]) for i in range(8)]
    threads = [
        threading.Thread(
            target=lambda m=m: FolderStore(tmp_path).append(1, "BTCUSDT", [one_price(m, 1.0)])
        )
        for m in minutes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(reader.bars(tmp_path, START, START + DAY)) == 8


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "..", "a b'c", "Ω%2F", "BTC{1}*"])
def test_any_symbol_has_a_folder_of_its_own_inside_the_store(
    reader: Reader, tmp_path: Path, symbol: str
) -> None:
    store = FolderStore(tmp_path / "store")
    for market_id in (1, 2):
        assert store.append(market_id, symbol, [one_price(np.array([START]), 1.0)]) == 1
    store.append(1, "other", [one_price(np.array([START]), 2.0)])

    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert reader.bars(tmp_path / "store", START, START + DAY, symbol=symbol).close.tolist() == [
        1.0
    ]


@pytest.mark.parametrize("symbol", ["", " BTC", "a\nb", "x" * 65])
def test_an_impossible_symbol_is_refused(tmp_path: Path, symbol: str) -> None:
    with pytest.raises(ValueError, match="symbol"):
        FolderStore(tmp_path).append(1, symbol, [])


@pytest.mark.parametrize("market_id", [-1, 65_536])
def test_an_impossible_market_is_refused(tmp_path: Path, market_id: int) -> None:
    with pytest.raises(ValueError, match="market_id must be from 0 to 65535"):
        FolderStore(tmp_path).append(market_id, "BTCUSDT", [])


def test_instruments_are_listed_with_their_extent(reader: Reader, tmp_path: Path) -> None:
    store = open_store(CandlesFolder(tmp_path))
    ts_open = START + np.array([0, 1, 5], dtype=np.int64) * MINUTE
    store.append(2, "ETHUSDT", [one_price(ts_open, 1.0)])
    store.append(1, "BTCUSDT", [one_price(ts_open[:2], 1.0)])
    store.append(1, "BTCUSDT", [one_price(ts_open[1:], 2.0)])

    first, second = reader.instruments(tmp_path)

    assert (first.market_id, first.symbol, first.minutes) == (1, "BTCUSDT", 3)
    assert (second.market_id, second.symbol, second.minutes) == (2, "ETHUSDT", 3)
    assert first.first.isoformat() == "2024-02-01T00:00:00+00:00"
    assert first.last.isoformat() == "2024-02-01T00:05:00+00:00"


def test_a_damaged_file_is_named_and_not_retried(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")

    with pytest.raises(CandleSourceUnavailable, match=r"broken\.parquet") as caught:
        reader.bars(tmp_path, START, START + DAY)

    assert caught.value.permanent


def test_a_folder_that_looks_like_a_pattern_is_refused(reader: Reader, tmp_path: Path) -> None:
    folder = tmp_path / "a{b}"
    FolderStore(folder).append(1, "BTCUSDT", [one_price(np.array([START]), 1.0)])

    with pytest.raises(CandleSourceUnavailable, match="move it") as caught:
        reader.bars(folder, START, START + DAY)

    assert caught.value.permanent


def read_with_little_memory(folder: Path, outcome: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    with FolderStore(folder) as store:
        outcome.put(error_with_little_memory(store))


def error_with_little_memory(store: FolderStore) -> str:
    store.bars(1, "BTCUSDT", START, START + MINUTE, MINUTE)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limit = int(status["VmData"].split()[0]) * 1024 + 16_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        store.bars(1, "BTCUSDT", START, START + 300_000 * MINUTE, MINUTE)
    except Exception as error:
        return type(error).__name__
    return "no error"


def test_the_memory_limit_of_the_process_ends_in_a_memory_error(tmp_path: Path) -> None:
    minutes = Bars.of(synthetic.minutes(seed=5, start_ms=START, count=300_000))
    FolderStore(tmp_path).append(1, "BTCUSDT", [minutes])
    context = multiprocessing.get_context("spawn")
    outcome = context.SimpleQueue()
    process = context.Process(target=read_with_little_memory, args=(tmp_path, outcome))
    process.start()
    process.join(timeout=60)

    assert process.exitcode == 0
    assert outcome.get() == "MemoryError"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder is needed")

    with pytest.raises(CandleSourceUnavailable, match=r"cannot be written to .*store"):
        FolderStore(tmp_path / "store").append(1, "BTCUSDT", [one_price(np.array([START]), 1.0)])


def test_an_impossible_instrument_has_no_bars_and_needs_no_engine(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)

    assert len(store.bars(65_536, "BTCUSDT", START, START + DAY, MINUTE)) == 0
    assert len(store.bars(1, " BTCUSDT", START, START + DAY, MINUTE)) == 0


@pytest.mark.parametrize("reason", ["std::bad_alloc", "libchdb.so: failed to map segment"])
def test_an_engine_that_cannot_be_loaded_for_want_of_memory_is_not_called_missing(
    tmp_path: Path, reason: str
) -> None:
    with pytest.raises(MemoryError), embedded_faults(tmp_path):
        raise ImportError("engine not found") from ImportError(reason)
