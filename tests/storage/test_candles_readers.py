"""The two readers of a candle folder: numpy, and chDB for what no import wrote.

They have to give the same bytes, and the first has to be as light as it is meant to be.
"""

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import synthetic
from engine.candles import timeline
from engine.timeframes import TIMEFRAMES
from storage.candles import Bars, CandleSourceUnavailable, Known, side_file
from storage.candles.folder import FolderStore
from storage.candles.ingest import import_files
from storage.candles.known import Register
from tests.storage.candle_reader import Reader
from tests.storage.candle_rows import (
    MINUTE,
    START,
    Row,
    as_tuples,
    coarse_table,
    random_rows,
    roll_up,
    table,
)

ROOT = Path(__file__).resolve().parents[2]
DAY = 1440 * MINUTE


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    process = Reader()
    yield process
    process.close()


def as_bytes(bars: Bars) -> list[bytes]:
    return [getattr(bars, field.name).tobytes() for field in fields(Bars)]


def read(folder: Path, from_ms: int, to_ms: int, timeframe_ms: int) -> Bars:
    """Read in this process, where no engine may start."""
    store = FolderStore(folder)
    bars = store.bars(1, "BTCUSDT", from_ms, to_ms, timeframe_ms)
    assert store._engine is None
    return bars


def place(folder: Path, name: str = "0000000000000.parquet") -> Path:
    path = folder / "1" / "BTCUSDT" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def plain_rows(minutes: int, first: int = 0, price: float = 10.0) -> list[Row]:
    return [
        Row(START + k * MINUTE, price, price, price, price, 1.0, START)
        for k in range(first, first + minutes)
    ]


# ----------------------------------------------------------------------------- the same bytes

HOSTILE = [math.nan, math.inf, -math.inf, -1.0, -0.0, 0.0, 5e-324, 1e308, 1e16, 1.0]
values = st.sampled_from(HOSTILE) | st.floats(0.1, 1e6) | st.floats()
likely = st.floats(0.1, 1e6)
hostile_row = st.builds(
    Row,
    st.integers(0, 400).map(lambda k: START + k * MINUTE)
    | st.integers(0, 400 * MINUTE).map(lambda ms: START + ms),
    *[likely | values] * 5,
    st.integers(0, 2).map(lambda version: START + version),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.lists(hostile_row, min_size=1, max_size=80),
    repeats=st.lists(st.integers(0, 79), max_size=20),
    files=st.integers(1, 3),
    row_group=st.sampled_from([1, 3, 16, 131_072]),
    timeframe=st.sampled_from(list(TIMEFRAMES)),
    begin=st.integers(-2, 400).map(lambda k: START + k * MINUTE + k % 3),
    length=st.integers(0, 500).map(lambda k: k * MINUTE),
    ordered=st.booleans(),
)
def test_both_readers_give_the_same_bytes(
    reader: Reader,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    repeats: list[int],
    files: int,
    row_group: int,
    timeframe: str,
    begin: int,
    length: int,
    ordered: bool,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    # Rows with the time of another and some of its values: versions of a minute, and ties.
    for number in repeats:
        row = rows[number % len(rows)]
        rows = [*rows, rows[(number + 1) % len(rows)]._replace(ts_open=row.ts_open)]
    if ordered:
        rows = sorted(rows, key=lambda row: row.ts_open)
    for number in range(files):
        if part := rows[number::files]:
            file = place(folder, f"{number:013d}.parquet")
            pq.write_table(table(part), file, row_group_size=row_group)
    asked = begin, begin + length, TIMEFRAMES[timeframe]

    assert as_bytes(read(folder, *asked)) == as_bytes(reader.engine_bars(folder, *asked))


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_both_readers_give_the_same_bytes_of_many_updated_minutes(
    reader: Reader, tmp_path: Path, timeframe: str
) -> None:
    rows = random_rows(5, 4_000)
    for number in range(3):
        file = place(tmp_path, f"{number:013d}.parquet")
        pq.write_table(table(rows[number::3]), file, row_group_size=500)
    asked = START + 61 * MINUTE, START + 3_900 * MINUTE, TIMEFRAMES[timeframe]

    bars = read(tmp_path, *asked)

    assert as_tuples(bars) == roll_up(rows, *asked)
    assert as_bytes(bars) == as_bytes(reader.engine_bars(tmp_path, *asked))


@pytest.mark.parametrize("base", ["5m", "1h", "1d"])
def test_both_readers_give_the_same_bytes_of_longer_bars(
    reader: Reader, tmp_path: Path, base: str
) -> None:
    base_ms = TIMEFRAMES[base]
    rows = random_rows(6, 1_500, step=base_ms)
    for number in range(3):
        file = place(tmp_path, f"{number:013d}.bars")
        pq.write_table(coarse_table(rows[number::3], base_ms), file, row_group_size=200)
    side_file.write(file.parent, Register(Known(timeframe_ms=base_ms), {}))

    for step in TIMEFRAMES.values():
        for asked in ((0, 10**13), (START + 61 * base_ms, START + 900 * base_ms)):
            bars = read(tmp_path, *asked, step)
            expected = [] if step % base_ms else roll_up(rows, *asked, step)
            assert as_tuples(bars) == expected
            assert as_bytes(bars) == as_bytes(reader.engine_bars(tmp_path, *asked, step))


def test_longer_bars_of_another_form_are_read_by_the_engine(reader: Reader, tmp_path: Path) -> None:
    # One row group holds bars of two lengths, which no import writes.
    hours = [Row(START + k * 60 * MINUTE, 1.0, 2.0, 0.5, 1.5, 0.1, START) for k in range(9)]
    newer = [hour._replace(high=9.0, ingested_at=START + 1) for hour in hours]
    mixed = pa.concat_tables([coarse_table(hours, 60 * MINUTE), coarse_table(newer, DAY)])
    file = place(tmp_path, "0000000000000.bars")
    pq.write_table(mixed, file)
    side_file.write(file.parent, Register(Known(timeframe_ms=60 * MINUTE), {}))
    asked = START, START + DAY, 180 * MINUTE

    bars = reader.bars(tmp_path, *asked)

    assert as_tuples(bars) == roll_up(hours, *asked)
    assert as_bytes(bars) == as_bytes(reader.engine_bars(tmp_path, *asked))


def test_versions_are_known_of_each_row_where_one_row_group_alone_has_several(
    tmp_path: Path,
) -> None:
    first, second = plain_rows(2)
    newest = first._replace(high=30.0, ingested_at=START + 2)
    newer = first._replace(high=20.0, ingested_at=START + 1)
    pq.write_table(table([first, second, newest, newer]), place(tmp_path), row_group_size=2)

    assert list(read(tmp_path, START, START + DAY, MINUTE).high) == [30.0, 10.0]


@pytest.mark.parametrize("file", ["btc-perp-1m-2022-01.csv", "unittest-btc-1m-gappy.csv.gz"])
def test_both_readers_give_the_same_bytes_of_real_data(
    reader: Reader, tmp_path: Path, market_data: Path, file: str
) -> None:
    report = import_files(FolderStore(tmp_path), [market_data / file], 1, "BTCUSDT")
    first = int(report.first.timestamp()) * 1000
    last = int(report.last.timestamp()) * 1000

    for timeframe_ms in TIMEFRAMES.values():
        for asked in ((0, 10**13), (first + 7 * MINUTE, (first + last) // 2)):
            bars = read(tmp_path, *asked, timeframe_ms)
            assert len(bars) > 0
            assert as_bytes(bars) == as_bytes(reader.engine_bars(tmp_path, *asked, timeframe_ms))


def test_a_range_of_years_is_read_in_windows_that_cut_no_bucket(
    reader: Reader, tmp_path: Path
) -> None:
    rows = [
        Row(START + day * DAY + minute * MINUTE, 1.0, 2.0, 0.5, 1.5, 0.1, START)
        for day in range(0, 2_000, 40)
        for minute in (0, 7, 1439)
        if (day, minute) != (0, 0)
    ]
    pq.write_table(table(rows), place(tmp_path), row_group_size=10)
    asked = -DAY, 10**15, DAY

    assert as_bytes(read(tmp_path, *asked)) == as_bytes(reader.engine_bars(tmp_path, *asked))


def test_files_of_the_release_before_give_the_same_bytes(tmp_path: Path) -> None:
    minutes = Bars.of(synthetic.minutes(seed=3, start_ms=START, count=200_000))
    FolderStore(tmp_path / "now").append(1, "BTCUSDT", [minutes])
    rows = pq.read_table(next((tmp_path / "now").rglob("*.parquet")))
    with pq.ParquetWriter(place(tmp_path / "before"), rows.schema, compression="zstd") as writer:
        writer.write_table(rows, row_group_size=131_072)
    asked = START + 100_000 * MINUTE, START + 150_000 * MINUTE, 15 * MINUTE

    bars = read(tmp_path / "now", *asked)

    assert as_bytes(read(tmp_path / "before", *asked)) == as_bytes(bars)


def test_the_hash_of_candles_is_that_of_the_release_before(tmp_path: Path) -> None:
    rows = [
        row._replace(open=9.0 + k % 7, high=17.0, low=8.0, volume=k / 8, ingested_at=START + k % 2)
        for k, row in enumerate([*plain_rows(3_000), *plain_rows(1_000, first=2_500)])
    ]
    pq.write_table(table(rows), place(tmp_path))
    begin, end = START + 30 * MINUTE, START + 3_000 * MINUTE

    candles = timeline(
        read(tmp_path, START, end, 15 * MINUTE),
        start_ms=begin,
        end_ms=end,
        timeframe_ms=15 * MINUTE,
    )

    # A job whose shortlist the release before has stored goes on with stage B.
    assert candles.content_hash() == HASH_BEFORE


HASH_BEFORE = "c57cdffa6a122997761c0645c88eca971ee101ee19bd0a80c6e6c215b5dbb889"


# ----------------------------------------------------------------------------- how light it is

LIGHT = """
import os, re, sys
from pathlib import Path
from tasks import preload
preload.import_all()
assert not {"pandas", "chdb"} & set(sys.modules), "before the fork"
from storage.candles.folder import FolderStore
def threads(): return len(os.listdir("/proc/self/task"))
def reserved():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmData:\\s*(\\d+)", status)[1]) // 1024
before, modules = threads(), set(sys.modules)
with FolderStore(Path(sys.argv[1])) as store:
    store.start(1, "BTCUSDT")
    room = reserved()
    assert len(store.bars(1, "BTCUSDT", 0, 10**13, 900_000)) > 2_000
    print(threads() - before, sorted(set(sys.modules) - modules), reserved() - room)
"""


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("month")
    minutes = Bars.of(synthetic.minutes(seed=3, start_ms=START, count=30 * 1440))
    FolderStore(folder).append(1, "BTCUSDT", [minutes])
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads and memory in Linux' /proc")
def test_reading_starts_no_thread_imports_nothing_and_reserves_no_gigabyte(month: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, month], cwd=ROOT, check=True, capture_output=True, text=True
    )

    threads, _, rest = done.stdout.strip().partition(" ")
    modules, _, megabytes = rest.rpartition(" ")
    assert (threads, modules) == ("0", "[]")
    assert int(megabytes) < 200


def test_row_groups_out_of_the_range_are_not_read(tmp_path: Path) -> None:
    file = place(tmp_path)
    pq.write_table(table(plain_rows(300)), file, row_group_size=100)
    damage(file, row_group=2)

    bars = read(tmp_path, START, START + 200 * MINUTE, MINUTE)

    assert len(bars) == 200
    with pytest.raises(CandleSourceUnavailable, match="cannot be read") as caught:
        read(tmp_path, START, START + 201 * MINUTE, MINUTE)
    assert str(file) in str(caught.value)
    assert caught.value.permanent


def damage(file: Path, row_group: int) -> None:
    group = pq.read_metadata(file).row_group(row_group)
    content = bytearray(file.read_bytes())
    for number in range(group.num_columns):
        column = group.column(number)
        begin = column.dictionary_page_offset or column.data_page_offset
        content[begin : begin + column.total_compressed_size] = bytes(column.total_compressed_size)
    file.write_bytes(content)


def test_files_of_other_instruments_are_not_opened(tmp_path: Path) -> None:
    pq.write_table(table(plain_rows(3)), place(tmp_path))
    for other in ("1/ETHUSDT", "2/BTCUSDT"):
        (tmp_path / other).mkdir(parents=True)
        (tmp_path / other / "0000000000001.parquet").write_bytes(b"no Parquet")

    assert len(read(tmp_path, START, START + DAY, MINUTE)) == 3


def test_a_damaged_footer_is_named_and_not_retried(tmp_path: Path) -> None:
    place(tmp_path).write_bytes(b"PAR1 not really")

    with pytest.raises(CandleSourceUnavailable, match="0000000000000") as caught:
        read(tmp_path, START, START + DAY, MINUTE)

    assert caught.value.permanent


# ----------------------------------------------------------------------------- foreign files


@pytest.mark.parametrize(
    "where",
    [
        "btc.parquet",
        "1/btc.parquet",
        "old/btc.parquet",
        "01/BTCUSDT/0000000000002.parquet",
        "old/deep/er/btc.parquet",
        "1/BTCUSDT/by-hand.parquet",
        "1/BTCUSDT/old/0000000000002.parquet",
    ],
)
def test_a_file_at_another_place_counts_as_before(
    reader: Reader, tmp_path: Path, where: str
) -> None:
    pq.write_table(table(plain_rows(3)), place(tmp_path))
    (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(plain_rows(2, first=3)), tmp_path / where)

    assert len(reader.bars(tmp_path, START, START + DAY)) == 5


def other_types(rows: pa.Table) -> pa.Table:
    number = rows.schema.get_field_index("close")
    return rows.set_column(number, "close", rows.column("close").cast(pa.float32()))


def with_null(rows: pa.Table) -> pa.Table:
    number = rows.schema.get_field_index("volume_base")
    return rows.set_column(number, "volume_base", pa.array([1.0, None, 1.0], pa.float64()))


def other_market(rows: pa.Table) -> pa.Table:
    return rows.set_column(0, "market_id", pa.array([1, 2, 1], pa.uint16()))


def more_columns(rows: pa.Table) -> pa.Table:
    return rows.append_column("trades", pa.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (other_types, {}),
        (with_null, {}),
        (other_market, {}),
        (more_columns, {}),
        (None, {"write_statistics": False}),
        (None, {"coerce_timestamps": "us"}),
    ],
)
def test_a_file_of_another_form_is_read_by_the_engine(
    reader: Reader, tmp_path: Path, change: object, options: dict[str, object]
) -> None:
    rows = table(plain_rows(3))
    pq.write_table(change(rows) if callable(change) else rows, place(tmp_path), **options)
    asked = START, START + DAY, 3 * MINUTE

    bars = reader.bars(tmp_path, *asked)

    assert as_bytes(bars) == as_bytes(reader.engine_bars(tmp_path, *asked))
    assert len(bars) == 1
