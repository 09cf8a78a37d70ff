"""Importing candle files: every format that works, every fault that is named."""

import gzip
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.candles import Bars
from storage.candles.folder import FolderStore
from storage.candles.importing import CandleFileError, ImportReport
from storage.candles.importing.text import BLOCK_BYTES
from storage.candles.ingest import import_files
from tests.storage.candle_files import rows_of
from tests.storage.candle_reader import Reader

START = 1_704_067_200_000  # 2024-01-01T00:00:00Z
MINUTE = 60_000
HEADER = "timestamp,open,high,low,close,volume"
LINES = (
    "2024-01-01 00:00:00,1.5,2.5,1.25,2.0,10",
    "2024-01-01 00:01:00,2.0,2.5,1.5,1.75,20.5",
    "2024-01-01 00:02:00,1.75,1.75,1.5,1.5,0",
)
TIMES = [START, START + MINUTE, START + 2 * MINUTE]
CLOSES = [2.0, 1.75, 1.5]


class Kept(FolderStore):
    """A folder whose bars are looked at column by column."""

    @property
    def ts_open(self) -> list[int]:
        return [row[0] for row in rows_of(self)]

    @property
    def close_prices(self) -> list[float]:
        return [row[4] for row in rows_of(self)]

    @property
    def volumes(self) -> list[float]:
        return [row[5] for row in rows_of(self)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Kept]:
    with Kept(tmp_path / "store") as opened:
        opened.path.mkdir()
        yield opened


@pytest.fixture
def load(store: Kept, tmp_path: Path) -> Callable[..., ImportReport]:
    """Write a file and import it."""

    def write_and_import(content: str | bytes, name: str = "candles.csv") -> ImportReport:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return import_files(store, [path], 1, "BTCUSDT")

    return write_and_import


def text(*lines: str, header: str = HEADER) -> str:
    return "\n".join((header, *(lines or LINES))) + "\n"


def with_times(*times: object) -> str:
    return text(
        *(f"{time},1.5,2.5,1.25,{close},10" for time, close in zip(times, CLOSES, strict=True))
    )


def refusal(load: Callable[..., ImportReport], store: Kept, *arguments: object) -> str:
    with pytest.raises(CandleFileError) as caught:
        load(*arguments)
    assert store.ts_open == []
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_plain_csv_is_imported(load: Callable[..., ImportReport], store: Kept) -> None:
    report = load(text())

    assert (store.ts_open, store.close_prices, store.volumes) == (TIMES, CLOSES, [10.0, 20.5, 0.0])
    assert (report.rows, report.bars, report.published) == (3, 3, 3)
    assert report.first.isoformat() == "2024-01-01T00:00:00+00:00"
    assert report.last.isoformat() == "2024-01-01T00:02:00+00:00"
    assert report.remarks() == ()


def test_a_gzip_is_recognised_by_its_content(
    load: Callable[..., ImportReport], store: Kept
) -> None:
    load(gzip.compress(text().encode()), "candles.csv")

    assert store.close_prices == CLOSES


@pytest.mark.parametrize(
    "times",
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z", "2024-01-01T00:02:00Z"),
        ("2024-01-01T01:00:00+01:00", "2024-01-01T01:01:00+01:00", "2024-01-01T01:02:00+01:00"),
        ("2024-01-01 00:00", "2024-01-01 00:01", "2024-01-01 00:02"),
        ("2024-01-01 00:00:00 UTC", "2024-01-01 00:01:00 UTC", "2024-01-01 00:02:00 UTC"),
        ("2024-01-01 00:00:00.000000000", "2024-01-01 00:01:00.000", "2024-01-01 00:02:00.0"),
        tuple(time // 1000 for time in TIMES),
        tuple(f"{time // 1000}.0" for time in TIMES),
        tuple(TIMES),
        tuple(time * 1000 for time in TIMES),
        tuple(time * 1_000_000 for time in TIMES),
    ],
)
def test_times_are_understood(
    load: Callable[..., ImportReport], store: Kept, times: tuple[object, ...]
) -> None:
    load(with_times(*times))

    assert store.ts_open == TIMES


@pytest.mark.parametrize(
    "header",
    [
        "ts_open,open,high,low,close,volume_base",
        "Open Time,Open,High,Low,Close,Volume",
        "date;open;high;low;close;volume",
        '"datetime"\t"open"\t"high"\t"low"\t"close"\t"vol"',
        "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
        "t,o,h,l,c,v",
        "unix,Open,High,Low,Close,Volume BTC",
    ],
)
def test_columns_are_found_by_their_names(
    load: Callable[..., ImportReport], store: Kept, header: str
) -> None:
    mark = ";" if ";" in header else "\t" if "\t" in header else ","
    load(text(*(line.replace(",", mark) for line in LINES), header=header))

    assert (store.ts_open, store.close_prices) == (TIMES, CLOSES)


def test_columns_may_stand_in_any_order_among_others(
    load: Callable[..., ImportReport], store: Kept
) -> None:
    load(
        text(
            "7,BTC/USDT,2.0,1.25,2.5,1.5,99,10,2024-01-01",
            header="trades,symbol,close,low,high,open,Volume USDT,Volume BTC,date",
        )
    )

    assert (store.ts_open, store.close_prices, store.volumes) == ([START], [2.0], [10.0])


@pytest.mark.parametrize("scale", [1, 1000])
def test_a_kline_dump_without_header_is_imported(
    load: Callable[..., ImportReport], store: Kept, scale: int
) -> None:
    rows = [
        f"{time * scale},1.5,2.5,1.25,{close},10,{(time + MINUTE) * scale - 1},15.5,7,5,7.5,0"
        for time, close in zip(TIMES, CLOSES, strict=True)
    ]
    load("\r\n".join(rows))

    assert (store.ts_open, store.close_prices, store.volumes) == (TIMES, CLOSES, [10.0] * 3)


def test_a_banner_a_byte_order_mark_and_blank_lines_do_no_harm(
    load: Callable[..., ImportReport], store: Kept
) -> None:
    load("\ufeffhttps://example.org/data\r\n" + text("", *LINES, "", "").replace("\n", "\r\n"))

    assert store.ts_open == TIMES


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("timestamp", pa.array(TIMES, pa.timestamp("ms", "UTC"))),
        ("timestamp", pa.array([time * 1000 for time in TIMES], pa.timestamp("us"))),
        (
            "ts_open",
            pa.array([time * 1_000_000 for time in TIMES], pa.timestamp("ns", "Asia/Tokyo")),
        ),
        ("open_time", pa.array(TIMES)),
        ("date", pa.array([time / 1000 for time in TIMES])),
        ("time", pa.array([line.partition(",")[0] for line in LINES])),
        ("time", pa.array([line.partition(",")[0] for line in LINES]).dictionary_encode()),
    ],
)
def test_parquet_is_imported_with_any_type_of_time(
    tmp_path: Path, store: Kept, name: str, times: pa.Array
) -> None:
    values = {"close": CLOSES, "low": [1, 1, 1], "high": [3, 3, 3], "open": [2, 2, 2]}
    volume = pa.array([Decimal(1), Decimal(2), Decimal(3)], pa.decimal128(20, 4))
    pq.write_table(pa.table({**values, "volume": volume, name: times}), tmp_path / "c.parquet")

    import_files(store, [tmp_path / "c.parquet"], 1, "BTCUSDT")

    assert (store.ts_open, store.close_prices) == (TIMES, CLOSES)
    assert store.volumes == [1.0, 2.0, 3.0]


def test_duplicates_are_counted_and_the_last_row_is_kept(
    load: Callable[..., ImportReport], store: Kept
) -> None:
    report = load(text(*LINES, LINES[1], "2024-01-01 00:01:00,2,2.5,1.5,9.75,20.5"))

    assert store.close_prices == [2.0, 9.75, 1.5]
    assert (report.rows, report.bars, report.duplicates, report.conflicts) == (5, 3, 2, 2)
    assert any("2 duplicate rows dropped" in remark for remark in report.remarks())


def test_unsorted_rows_are_counted_and_sorted(
    load: Callable[..., ImportReport], store: Kept
) -> None:
    report = load(text(LINES[2], LINES[0], LINES[1]))

    assert (store.ts_open, store.close_prices) == (TIMES, CLOSES)
    assert report.unsorted == 2


@pytest.mark.parametrize(
    "values",
    [
        "nan,2,1,1,1",
        "1,inf,1,1,1",
        "1,2,,1,1",
        "1,2,1,0,1",
        "-1,2,1,1,1",
        "1,2,1,1,-1",
        "1,2,1,1,null",
    ],
)
def test_unusable_rows_are_counted_and_dropped(
    load: Callable[..., ImportReport], store: Kept, values: str
) -> None:
    report = load(text(LINES[0], f"2024-01-01 00:01:00,{values}", LINES[2]))

    assert store.ts_open == [TIMES[0], TIMES[2]]
    assert (report.rows, report.invalid, report.gaps, report.missing_bars) == (3, 1, 1, 1)


def test_candles_that_contradict_themselves_are_kept_and_counted(
    load: Callable[..., ImportReport], store: Kept
) -> None:
    report = load(text("2024-01-01 00:00:00,1.5,1.75,1.25,2.0,10", *LINES[1:]))

    assert report.inconsistent == 1
    assert store.ts_open == TIMES


def test_gaps_are_counted(load: Callable[..., ImportReport], store: Kept) -> None:
    report = load(with_times("2024-01-01 00:00:00", "2024-01-01 00:10:00", "2024-01-01 00:12:00"))

    assert (report.gaps, report.missing_bars) == (2, 10)
    assert report.remarks()[0].startswith("2 gaps, 10 minutes missing")


def test_blocks_of_a_long_file_join_without_loss(
    load: Callable[..., ImportReport], store: Kept
) -> None:
    count = 3 * BLOCK_BYTES // 40
    order = np.random.default_rng(1).permutation(count)
    report = load(
        text(*(f"{START + i * MINUTE},1,{count + 1},1,{i + 1},10" for i in order.tolist()))
    )

    assert report.rows == report.bars == count
    assert store.close_prices == [float(i + 1) for i in range(count)]


def test_progress_rises_to_its_total(tmp_path: Path, store: Kept) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(text(*(f"{START + i * MINUTE},1,1,1,1,1" for i in range(50_000))))
    calls: list[tuple[int, int]] = []

    import_files(store, [path], 1, "BTCUSDT", progress=lambda *call: calls.append(call))

    done = [call[0] for call in calls]
    assert len(calls) > 2
    assert done == sorted(done)
    assert {total for _, total in calls} == {calls[-1][0]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "empty"),
        ("\n\n", "no candles"),
        (HEADER + "\n", "no candles"),
        (text(header="when,open,high,low,close,volume"), "line 1: no column for the time"),
        (text(header="timestamp,open,high,low,last,volume"), "no column for the close price"),
        (text(header="timestamp,open,high,low,close,size"), "(columns found: timestamp, open"),
        (text(header="timestamp,open,open,low,close,volume"), "2 columns 'open'"),
        ("\n".join(f"{line},1,1" for line in LINES), "has no column names and 8 columns"),
        (text(*LINES, "2024-01-01 00:03:00,1,1"), "line 5 has 3 columns instead of 6"),
        (text("", LINES[0], "", "2024-01-01 00:03:00,1,x,1,1,1"), "line 5, column 3: 'x' is not"),
        (
            text(*LINES, "31.12.2024 00:03,1,1,1,1,1"),
            "line 5, column 1: '31.12.2024 00:03' is not a time written as 2024",
        ),
        (text('2024-01-01 00:03:00,1,"1,234.5",1,1,1'), "thousands separators"),
        (text("0,1,1,1,1,1"), "the time is not between the years 1973 and 2100"),
        (text(LINES[0].replace("2.0,10", "nan,10")), "none of the 1 rows is usable"),
        (
            text(*(f"{START + i * 5 * MINUTE},1,1,1,1,1" for i in range(20))),
            "19 of 19 steps are 5m or multiples",
        ),
        (
            text("A,1,1,1,1,1,2024-01-01", "B,1,1,1,1,1,2024-01-01", header="symbol,o,h,l,c,v,t"),
            "mixes instruments (A and B, column 'symbol')",
        ),
        (HEADER.encode() + b"\n\xff\xfe,1,1,1,1,1\n", "line 2, column 1: 'ÿþ' is not a time"),
        (bytes(range(256)) * 1000, "neither CSV"),
        (b"x" * 3_000_000, "neither CSV"),
        (b"PK\x03\x04rest", "damaged or cut off"),
        (b"PAR1 but no more", "Parquet or Feather file is damaged"),
        (gzip.compress(text().encode(), mtime=0)[:-9], "damaged or cut off"),
        (gzip.compress(b"", mtime=0), "empty"),
    ],
)
def test_a_wrong_file_gives_one_clear_error_and_publishes_nothing(
    load: Callable[..., ImportReport], store: Kept, content: str | bytes, expected: str
) -> None:
    message = refusal(load, store, content)

    assert "candles.csv" in message
    assert expected in message


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path, store: Kept) -> None:
    with pytest.raises(
        CandleFileError, match=r"nothing\.csv: the file cannot be read: No such file"
    ):
        import_files(store, [tmp_path / "nothing.csv"], 1, "BTCUSDT")
    with pytest.raises(CandleFileError, match="no file in this folder"):
        import_files(store, [tmp_path], 1, "BTCUSDT")


def test_a_parquet_column_of_the_wrong_type_is_named(tmp_path: Path, store: Kept) -> None:
    columns = {name: ["x"] for name in ("open", "high", "low", "close", "volume")}
    pq.write_table(pa.table({"timestamp": TIMES[:1], **columns}), tmp_path / "c.parquet")

    with pytest.raises(CandleFileError, match=r"c\.parquet: column 'open' of type string"):
        import_files(store, [tmp_path / "c.parquet"], 1, "BTCUSDT")


@pytest.mark.parametrize(
    ("name", "rows", "gaps", "missing"),
    [
        ("btc-perp-1m-2022-01.csv", 45_031, 0, 0),
        ("unittest-btc-1m-gappy.csv.gz", 13_681, 538, 717),
    ],
)
def test_real_files_are_imported_whole(
    market_data: Path, tmp_path: Path, name: str, rows: int, gaps: int, missing: int
) -> None:
    from storage.candles.folder import FolderStore

    store = FolderStore(tmp_path)

    report = import_files(store, [market_data / name], 1, "BTCUSDT")

    assert (report.rows, report.bars, report.published) == (rows, rows, rows)
    assert (report.gaps, report.missing_bars) == (gaps, missing)
    assert (report.duplicates, report.unsorted, report.invalid) == (0, 0, 0)
    assert import_files(store, [market_data / name], 1, "BTCUSDT").published == 0
    reader = Reader()
    first, last = (int(moment.timestamp() * 1000) for moment in (report.first, report.last))
    bars: Bars = reader.bars(tmp_path, first, last + MINUTE)
    reader.close()
    assert len(bars) == rows


def test_parquet_rows_that_mix_instruments_are_refused(tmp_path: Path, store: Kept) -> None:
    prices = {name: [1.0, 1.0, 1.0] for name in ("open", "high", "low", "close", "volume")}
    pq.write_table(
        pa.table({"symbol": ["A", "B", "A"], **prices, "timestamp": TIMES}), tmp_path / "c.parquet"
    )

    with pytest.raises(CandleFileError, match="mixes instruments"):
        import_files(store, [tmp_path / "c.parquet"], 1, "BTCUSDT")


@pytest.mark.parametrize(("market_id", "symbol"), [(-1, "BTCUSDT"), (65_536, "BTCUSDT"), (1, "")])
def test_an_impossible_instrument_is_refused(
    tmp_path: Path, store: Kept, market_id: int, symbol: str
) -> None:
    (tmp_path / "c.csv").write_text(text())

    with pytest.raises(CandleFileError, match="cannot be imported"):
        import_files(store, [tmp_path / "c.csv"], market_id, symbol)
