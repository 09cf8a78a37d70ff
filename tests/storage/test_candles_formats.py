"""Every dialect that people have gives the same bars."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from storage.candles.importing import Choices
from storage.candles.importing.text import BLOCK_BYTES
from tests.storage.candle_files import MINUTE, Row, lines, moment, some_bars, stored

BARS = some_bars()
HEADER = "timestamp,open,high,low,close,volume\n"
WITHOUT_VOLUME = [(*row[:5], 0.0) for row in BARS]


def frame(zone: str = "UTC") -> pd.DataFrame:
    index = pd.to_datetime([row[0] for row in BARS], unit="ms", utc=True).tz_convert(zone)
    data = [row[1:] for row in BARS]
    return pd.DataFrame(data, index=index, columns=["open", "high", "low", "close", "volume"])


def kline(row: Row, unit: int = 1) -> str:
    time, *values = row
    return ",".join(
        map(str, (time * unit, *values, (time + MINUTE) * unit - 1, values[4] * 100, 9, 1, 2, 0))
    )


def to_text(table: Callable[[io.BytesIO], object]) -> bytes:
    written = io.BytesIO()
    table(written)
    return written.getvalue()


def arrow_table() -> pa.Table:
    names = ("timestamp", "open", "high", "low", "close", "volume")
    return pa.table(dict(zip(names, map(list, zip(*BARS, strict=True)), strict=True)))


MT5_NAMES = ("DATE", "TIME", "OPEN", "HIGH", "LOW", "CLOSE", "TICKVOL", "VOL", "SPREAD")
MT5_HEADER = "\t".join(f"<{n}>" for n in MT5_NAMES)
YFINANCE_HEADER = (
    "Price,Close,High,Low,Open,Volume\nTicker,BTCUSDT,BTCUSDT,BTCUSDT,BTCUSDT,BTCUSDT\n"
    "Datetime,,,,,\n"
)

CASES: dict[str, tuple[str | bytes, Choices | None]] = {
    "milliseconds": (HEADER + lines(BARS), None),
    "windows line ends": ((HEADER + lines(BARS)).replace("\n", "\r\n"), None),
    "old mac line ends": ((HEADER + lines(BARS)).replace("\n", "\r"), None),
    "no last line end": ((HEADER + lines(BARS)).rstrip(), None),
    "binance dump": ("\n".join(map(kline, BARS)), None),
    "binance dump in microseconds": ("\n".join(kline(row, 1000) for row in BARS), None),
    "mt4": (lines(BARS, "%Y.%m.%d,%H:%M"), None),
    "mt5": (
        MT5_HEADER
        + "\n"
        + "".join(
            "\t".join((moment(t, "%Y.%m.%d\t%H:%M:%S"), *map(str, p), str(v), "0", "2")) + "\n"
            for t, *p, v in BARS
        ),
        None,
    ),
    "mt5 in utf-16": (
        (MT5_HEADER + "\n" + lines(BARS, "%Y.%m.%d\t%H:%M:%S", "\t", "\t0\t2")).encode("utf-16"),
        None,
    ),
    "histdata ascii": (lines(BARS, "%Y%m%d %H%M%S", ";"), None),
    "histdata metatrader": (lines(BARS, "%Y.%m.%d,%H:%M"), None),
    "dukascopy": (
        "Gmt time,Open,High,Low,Close,Volume\n" + lines(BARS, "%d.%m.%Y %H:%M:%S.000"),
        None,
    ),
    "dukascopy with offset": (
        "Local time,Open,High,Low,Close,Volume\n"
        + lines([(r[0] + 120 * MINUTE, *r[1:]) for r in BARS], "%d.%m.%Y %H:%M:%S.000 GMT+0200"),
        None,
    ),
    "kraken": (lines([(r[0] // 1000, *r[1:]) for r in BARS], more=",9"), None),
    "tradingview": (
        "time,open,high,low,close,Volume,RSI\n"
        + lines([(r[0] // 1000, *r[1:]) for r in BARS], more=",NaN"),
        None,
    ),
    "tradingview iso": (
        "time,open,high,low,close,Volume\n" + lines(BARS, "%Y-%m-%dT%H:%M:%SZ"),
        None,
    ),
    "yfinance": (
        YFINANCE_HEADER
        + "".join(
            f"{moment(t, '%Y-%m-%d %H:%M:%S+00:00')},{c},{h},{lo},{o},{v}\n"
            for t, o, h, lo, c, v in BARS
        ),
        None,
    ),
    "pandas index": (to_text(lambda file: frame().to_csv(file)), None),
    "pandas index in another zone": (to_text(lambda f: frame("Asia/Tokyo").to_csv(f)), None),
    "pandas number as index": (
        to_text(lambda f: frame().reset_index(names="date").to_csv(f)),
        None,
    ),
    "r without name of the index": (
        "open,high,low,close,volume\n" + lines(BARS, "%Y-%m-%d %H:%M:%S"),
        None,
    ),
    "stooq": (
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        + "".join(
            "BTCUSDT,1," + line + ",0\n" for line in lines(BARS, "%Y%m%d,%H%M%S").splitlines()
        ),
        None,
    ),
    "newest first below a banner and comments": (
        "# exported by a data site\n// one minute\nhttps://example.org\n"
        "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT\n"
        + "".join(
            f"{moment(t, '%Y-%m-%d %H:%M:%S')},BTC/USDT,{o},{h},{lo},{c},{v},{v * 100}\n"
            for t, o, h, lo, c, v in reversed(BARS)
        ),
        None,
    ),
    "comments between candles": (
        HEADER + lines(BARS[:5]) + "# a comment, with, five, commas, in, it\n" + lines(BARS[5:]),
        None,
    ),
    "american dates": (HEADER + lines(BARS, "%m/%d/%Y %I:%M:%S %p"), Choices(date_order="mdy")),
    "european dates and commas": (
        "Datum;Open;High;Low;Close;Volume\n".replace("Datum", "Date")
        + lines(BARS, "%d.%m.%Y %H:%M", ";").replace(".", ",").replace(",01,2024", ".01.2024"),
        None,
    ),
    "columns without a name at the end": (
        HEADER.replace("\n", ",,\n") + lines(BARS, more=",,"),
        None,
    ),
    "delimiters at the ends of candles only": (HEADER + lines(BARS, more=","), None),
    "a spread of a short name": (
        HEADER.replace("\n", ",s\n")
        + "".join(f"{line},0.{i}\n" for i, line in enumerate(lines(BARS).splitlines())),
        None,
    ),
    "digits only": (HEADER + lines(BARS, "%Y%m%d%H%M%S"), None),
    "digits to the minute": (HEADER + lines(BARS, "%Y%m%d%H%M"), None),
    "one-digit parts": (HEADER + lines(BARS, "%Y/%-m/%-d %-H:%M"), None),
    "unix and date only": (
        "unix,date,open,high,low,close,volume\n"
        + "".join(
            f"{t // 1000},{moment(t, '%Y-%m-%d')},{o},{h},{lo},{c},{v}\n"
            for t, o, h, lo, c, v in BARS
        ),
        None,
    ),
    "t and T": (
        "t,T,s,i,o,c,h,l,v,n\n"
        + "".join(
            f"{t},{t + MINUTE - 1},BTC,1m,{o},{c},{h},{lo},{v},7\n" for t, o, h, lo, c, v in BARS
        ),
        None,
    ),
    "a column between": (
        lines(BARS, "x,%Y-%m-%d %H:%M"),
        Choices.typed(columns="-,time,open,high,low,close,volume"),
    ),
    "named against its header": (
        "a,b,c,d,e,f\n" + lines(BARS),
        Choices.typed(columns="time,open,high,low,close,volume"),
    ),
    "parted by spaces": (
        lines(BARS, "%Y-%m-%dT%H:%M", " "),
        Choices.typed(delimiter="space"),
    ),
    "lean with scaled prices": (
        "".join(
            f"{t % 86_400_000},{o * 1e4:.0f},{h * 1e4:.0f},{lo * 1e4:.0f},{c * 1e4:.0f},{v}\n"
            for t, o, h, lo, c, v in BARS
        ),
        Choices(price_scale=10_000),
    ),
    "names in latin-1": (
        "timestamp,open,high,low,close,volume,währung\n".encode("latin-1")
        + lines(BARS, more=",Rubel für alle").encode("latin-1"),
        None,
    ),
    "ccxt": (json.dumps(BARS), None),
    "json of objects": (
        json.dumps(
            {
                "code": 0,
                "data": [
                    {"time": t, "open": str(o), "high": h, "low": lo, "close": c, "volume": v}
                    for t, o, h, lo, c, v in BARS
                ],
            }
        ),
        None,
    ),
    "json lines": (
        "\n".join(
            json.dumps({"t": t, "o": o, "h": h, "l": lo, "c": c, "v": v})
            for t, o, h, lo, c, v in BARS
        ),
        None,
    ),
    "parquet": (to_text(lambda file: pq.write_table(arrow_table(), file)), None),
    "pandas parquet": (to_text(lambda file: frame().to_parquet(file)), None),
    "feather": (to_text(lambda f: pa.feather.write_feather(arrow_table(), f)), None),
    "feather of freqtrade": (
        to_text(lambda f: frame().reset_index(names="date").to_feather(f)),
        None,
    ),
    "zone of times without one": (
        HEADER + lines([(r[0] + 120 * MINUTE, *r[1:]) for r in BARS], "%Y-%m-%d %H:%M"),
        Choices(zone="Europe/Athens"),
    ),
    "a zone beside times that have one": (
        HEADER + lines(BARS, "%Y-%m-%d %H:%M+0000"),
        Choices(zone="Europe/Athens"),
    ),
    "only some rows": (
        "venue,"
        + HEADER
        + "".join(f"{venue},{line}\n" for line in lines(BARS).splitlines() for venue in ("A", "B")),
        Choices.typed(where=["venue=A"]),
    ),
    "contracts beside base volume": (
        "ts,open,high,low,close,vol,volCcy,volCcyQuote,confirm\n"
        + "".join(f"{t},{o},{h},{lo},{c},{v * 10},{v},{v * c},1\n" for t, o, h, lo, c, v in BARS),
        None,
    ),
    "base beside quote volume of the same names": (
        "ts,open,high,low,close,vol,volCcy,volCcyQuote,confirm\n"
        + "".join(f"{t},{o},{h},{lo},{c},{v},{v * c},{v * c},1\n" for t, o, h, lo, c, v in BARS),
        None,
    ),
    "contracts without a quote volume": (
        "ts,open,high,low,close,vol,volCcy\n"
        + "".join(f"{t},{o},{h},{lo},{c},{v * 10},{v}\n" for t, o, h, lo, c, v in BARS),
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_dialect_gives_the_same_bars(tmp_path: Path, name: str) -> None:
    content, choices = CASES[name]
    path = tmp_path / "20240101_btcusdt_minute_trade.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)

    bars, report = stored(path, choices)

    assert bars == BARS
    assert report.invalid == 0


@pytest.mark.parametrize(
    "content",
    [
        "time,open,high,low,close\n",
        "time,open,high,low,close,volume\n",
    ],
)
def test_without_volume_it_is_zero_and_known_to_be_missing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "fx.csv"
    rows = lines(BARS)
    if "volume" not in content:
        rows = "".join(line.rpartition(",")[0] + "\n" for line in rows.splitlines())
    path.write_text(content + rows)

    bars, report = stored(path, Choices(no_volume=True))

    assert bars == WITHOUT_VOLUME
    assert not report.known.has_volume
    assert "there is no volume: it is 0 throughout" in report.remarks()


def test_what_was_chosen_among_columns_is_told(tmp_path: Path) -> None:
    remarks = {}
    for name in ("unix and date only", "contracts beside base volume", "mt5"):
        content = CASES[name][0]
        assert isinstance(content, str)
        (tmp_path / "x.csv").write_text(content)
        remarks[name] = stored(tmp_path / "x.csv")[1].remarks()

    assert remarks == {
        "unix and date only": ("times are those of column 'unix', which is finer than 'date'",),
        "contracts beside base volume": (
            "volume is that of column 'volCcy', which is in base units as 'volCcyQuote' proves; "
            "'vol' is not",
        ),
        "mt5": ("volume is that of column '<TICKVOL>', because '<VOL>' is always 0",),
    }


def test_a_volume_that_is_zero_at_first_only_is_taken_after_all(tmp_path: Path) -> None:
    many = some_bars(3000)
    path = tmp_path / "x.csv"
    path.write_text(
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\n"
        + "".join(
            "\t".join((moment(t, "%Y.%m.%d\t%H:%M"), *map(str, p), "5", "0" if i < 2500 else "8"))
            + "\n"
            for i, (t, *p, _) in enumerate(many)
        )
    )

    bars, _ = stored(path)

    assert [row[5] for row in bars] == [0.0] * 2500 + [8.0] * 500


SLASHES = some_bars(16 * 1440)


def slashed(form: str) -> str:
    """Sixteen days whose first million bytes do not tell the order of dates."""
    note = "x" * 30
    text = HEADER.replace("\n", ",note\n") + lines(SLASHES, f"{form} %H:%M:%S", more=f",{note}")
    assert moment(SLASHES[12 * 1440 - 1][0], form) in text[BLOCK_BYTES:]
    return text


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
def test_the_order_of_dates_is_learnt_from_all_rows(tmp_path: Path, form: str) -> None:
    (tmp_path / "x.csv").write_text(slashed(form))

    assert stored(tmp_path / "x.csv")[0] == SLASHES


def test_a_member_that_has_to_be_read_again_does_not_repeat_those_before(tmp_path: Path) -> None:
    before = some_bars(12, start_ms=SLASHES[0][0] - 12 * MINUTE)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("1.csv", HEADER + lines(before))
        archive.writestr("2.csv", slashed("%m/%d/%Y"))

    bars, report = stored(tmp_path / "x.zip")

    assert bars == before + SLASHES
    assert (report.rows, report.duplicates, len(report.files)) == (len(bars), 0, 2)


def test_longer_bars_are_stored_as_such(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    bars = some_bars(9, 5 * MINUTE)
    path.write_text(HEADER + lines(bars))

    found, report = stored(path, Choices(timeframe="5m"))

    assert found == bars
    assert (report.timeframe, report.bars, report.gaps) == ("5m", 9, 0)
    assert report.remarks() == ()


def test_days_are_names_that_no_zone_moves(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    days = some_bars(9, 1440 * MINUTE)
    path.write_text(HEADER + lines(days, "%Y-%m-%d"))

    assert stored(path, Choices(timeframe="1d", zone="America/New_York"))[0] == days


def test_hours_that_clocks_make_unclear_are_left_out_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    # Europe/Berlin: 2024-10-27 has 02:00-02:59 twice.
    begin = 1_729_980_000_000  # 2024-10-26T22:00Z, local midnight
    year = some_bars(6000, start_ms=begin - 5000 * MINUTE)
    local = [
        (row[0] + (120 if row[0] < 1_729_990_800_000 else 60) * MINUTE, *row[1:]) for row in year
    ]
    path.write_text(HEADER + lines(local, "%Y-%m-%d %H:%M"))

    bars, report = stored(path, Choices(zone="Europe/Berlin", max_bad_rows=120))

    twice = (1_729_987_200_000, 1_729_994_400_000)
    assert bars == [row for row in year if not twice[0] <= row[0] < twice[1]]
    assert report.remarks()[0] == (
        "120 rows dropped: the local time occurs twice, when clocks are set back "
        "(the first: 2024-10-27 02:00:00)"
    )


def test_an_hour_that_clocks_skip_proves_another_zone(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    march = some_bars(1440, start_ms=1_711_843_200_000)  # 2024-03-31T00:00
    path.write_text(HEADER + lines(march, "%Y-%m-%d %H:%M"))

    bars, report = stored(path, Choices(zone="Europe/Berlin", max_bad_rows=60))

    assert len(bars) == 1380
    assert report.remarks()[0] == (
        "60 rows dropped: the local time does not exist, because clocks are set forward "
        "(the first: 2024-03-31 02:00:00)"
    )


def test_a_stamp_off_the_minute_is_dropped_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = lines(BARS).splitlines(keepends=True)
    rows[5] = rows[5].replace(str(BARS[5][0]), str(BARS[5][0] + 8789))
    path.write_text(HEADER + "".join(rows))

    bars, report = stored(path)

    assert bars == [*BARS[:5], *BARS[6:]]
    assert report.remarks()[0] == (
        "1 row dropped: the time is no whole minute "
        "(the first: line 7: the candle opens at 2024-01-01 00:05:08)"
    )


def test_sparse_minutes_are_minutes_with_gaps(tmp_path: Path) -> None:
    at = (0, 3, 6, 9, 13, 16, 19, 25, 28, 31, 34, 41)
    sparse = [
        (BARS[0][0] + minute * MINUTE, *row[1:]) for minute, row in zip(at, BARS, strict=True)
    ]
    (tmp_path / "x.csv").write_text(HEADER + lines(sparse))

    bars, report = stored(tmp_path / "x.csv")

    assert bars == sparse
    assert (report.gaps, report.missing_bars) == (11, 30)


def test_rows_without_any_price_are_minutes_without_a_trade(tmp_path: Path) -> None:
    empty = "".join(f"{row[0]},,,,,0\n" for row in BARS[2:])
    (tmp_path / "x.csv").write_text(HEADER + lines(BARS[:2]) + empty)

    bars, report = stored(tmp_path / "x.csv")

    assert bars == BARS[:2]
    assert "10 rows without any price left out" in report.remarks()


def test_what_a_file_is_and_calls_the_instrument_is_known(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "x.csv.gz"
    path.write_bytes(
        gzip.compress(
            (
                "pair,"
                + HEADER
                + "".join(f"BTC/USDT,{line}\n" for line in lines(BARS).splitlines())
            ).encode()
        )
    )

    _, report = stored(path)

    assert report.original_symbols() == ("BTC/USDT",)
    assert report.files[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert report.known.has_volume
