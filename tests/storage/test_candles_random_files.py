"""Any bars in any dialect come back as they were, and any bytes give bars or one clear sentence."""

import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from storage.candles import Bars
from storage.candles.folder import FolderStore
from storage.candles.importing import CandleFileError, Choices
from storage.candles.importing import spool as spool_module
from storage.candles.importing.spool import Overlaps, Spool
from storage.candles.ingest import import_files
from tests.storage.candle_files import MINUTE, START, Row, lines, rows_of, some_bars, stored

NAMES = ("timestamp", "open", "high", "low", "close", "volume")
HEADER = ",".join(NAMES) + "\n"
prices = st.floats(1e-8, 1e7)


@st.composite
def bars(draw: st.DrawFn) -> list[Row]:
    """Minutes with gaps, from 1990 on; most follow each other, as minutes do."""
    start = draw(st.integers(631_152_000_000 // MINUTE, 4_000_000_000_000 // MINUTE)) * MINUTE
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 5, 700]), min_size=3, max_size=30))
    steps[:2] = [1, 1]
    rows = []
    for minute in np.cumsum(steps).tolist():
        low, opened, close, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        if draw(st.booleans()):
            opened, close = close, opened
        volume = draw(st.floats(0, 1e12))
        rows.append((start + minute * MINUTE, opened, high, low, close, volume))
    return rows


def binary(write: Callable[[pa.Table, io.BytesIO], object]) -> Callable[[list[Row]], bytes]:
    def written(rows: list[Row]) -> bytes:
        file = io.BytesIO()
        columns = map(list, zip(*rows, strict=True))
        write(pa.table(dict(zip(NAMES, columns, strict=True))), file)
        return file.getvalue()

    return written


WRITERS: dict[str, Callable[[list[Row]], bytes]] = {
    "milliseconds": lambda rows: (HEADER + lines(rows)).encode(),
    "iso": lambda rows: (HEADER + lines(rows, "%Y-%m-%dT%H:%M:%SZ")).encode(),
    "mt4": lambda rows: lines(rows, "%Y.%m.%d,%H:%M").encode(),
    "histdata": lambda rows: lines(rows, "%Y%m%d %H%M%S", ";").encode(),
    "dukascopy": lambda rows: (
        "Gmt time,Open,High,Low,Close,Volume\n" + lines(rows, "%d.%m.%Y %H:%M:%S.000")
    ).encode(),
    "american": lambda rows: (HEADER + lines(rows, "%m/%d/%Y %I:%M %p")).encode(),
    "kraken": lambda rows: lines([(r[0] // 1000, *r[1:]) for r in rows], more=",3").encode(),
    "utf-16": lambda rows: (HEADER + lines(rows)).encode("utf-16"),
    "newest first, packed": lambda rows: gzip.compress((HEADER + lines(rows[::-1])).encode()),
    "ccxt": lambda rows: json.dumps(rows).encode(),
    "parquet": binary(lambda table, file: pq.write_table(table, file)),
    "feather": binary(lambda table, file: pyarrow.feather.write_feather(table, file)),
}


def imported(content: bytes, choices: Choices) -> list[Row]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        return stored(path, choices)[0]


@given(bars(), st.sampled_from(sorted(WRITERS)))
def test_any_bars_come_back_from_any_dialect(rows: list[Row], name: str) -> None:
    choices = Choices(timeframe="1m", date_order="mdy")

    assert imported(WRITERS[name](rows), choices) == rows


@given(st.data())
def test_no_bytes_make_it_fail_without_a_sentence(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*sorted(WRITERS), "none"]))
    content = b"" if kind == "none" else WRITERS[kind](some_bars())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 30))
        pieces = st.sampled_from(
            [
                b"\n",
                b"\r",
                b",",
                b";",
                b"\0",
                b'"',
                b"#",
                b"[",
                b"{",
                b"}",
                b"nan",
                b"-1",
                b"1e999",
                b"\xff\xfe",
                b"PK\x03\x04",
                b"\x1f\x8b",
                b"PAR1",
                b"ARROW1",
                b"(\xb5/\xfd",
                HEADER.encode(),
            ]
        )
        content = content[:at] + data.draw(st.binary(max_size=20) | pieces) + content[at + gone :]
    choices = data.draw(
        st.sampled_from(
            [
                Choices(),
                Choices(max_bad_rows=100),
                Choices(zone="Europe/Berlin", no_volume=True),
                Choices.typed(columns="time,open,high,low,close,volume"),
                Choices.typed(delimiter="space", where=["volume=1"]),
            ]
        )
    )

    found: list[Row] = []
    refusal = ""
    try:
        found = imported(content, choices)
    except CandleFileError as error:
        refusal = str(error)

    assert "\n" not in refusal
    assert bool(found) != bool(refusal)
    times = [row[0] for row in found]
    assert times == sorted(set(times))
    assert all(min(row[1:5]) > 0 and row[5] >= 0 for row in found)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=30), max_size=12),
    st.integers(1, 9),
)
def test_merging_keeps_the_last_of_each_time(
    files: list[list[tuple[int, int]]], run_rows: int
) -> None:
    everything = [row for file in files for row in file]
    with Spool() as spool:
        before, spool_module.RUN_ROWS = spool_module.RUN_ROWS, run_rows
        least, spool_module.LEAST_BUFFER = spool_module.LEAST_BUFFER, 1
        try:
            runs, total = [], Overlaps()
            for file in files:
                for row in file:
                    spool.add(np.array([row[0] * MINUTE + START]), np.full((1, 5), float(row[1])))
                new, overlaps = spool.end_file()
                runs += new
                total.duplicates += overlaps.duplicates
            chunks = list(spool.merged(runs, total))
        finally:
            spool_module.RUN_ROWS, spool_module.LEAST_BUFFER = before, least

    found = [
        ((time - START) // MINUTE, close)
        for chunk in chunks
        for time, close in zip(chunk.ts_open.tolist(), chunk.close.tolist(), strict=True)
    ]
    assert found == sorted((time, float(value)) for time, value in dict(everything).items())
    assert total.duplicates == len(everything) - len(found)


def test_bars_are_given_in_pieces_of_bounded_size(tmp_path: Path) -> None:
    many = some_bars(300_000)
    shuffled = [many[i] for i in np.random.default_rng(1).permutation(len(many))]
    (tmp_path / "x.csv").write_text(HEADER + lines(shuffled))
    longest = 0

    class Measured(FolderStore):
        def append(
            self, market_id: int, symbol: str, chunks: Iterable[Bars], **said: object
        ) -> int:
            def measured() -> Iterator[Bars]:
                nonlocal longest
                for chunk in chunks:
                    longest = max(longest, len(chunk))
                    yield chunk

            return super().append(market_id, symbol, measured(), **said)  # type: ignore[arg-type]

    with Measured(tmp_path / "store") as store:
        import_files(store, [tmp_path / "x.csv"], 1, "BTCUSDT")

        assert rows_of(store) == many
    assert 0 < longest <= 2 * spool_module.RUN_ROWS
