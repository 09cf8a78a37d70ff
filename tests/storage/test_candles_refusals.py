"""What would be stored wrongly is refused: with the evidence, and what to type."""

import json
from pathlib import Path

import pytest

from storage.candles.importing import CandleFileError, Choices
from tests.storage.candle_files import MINUTE, START, Row, lines, moment, some_bars, stored

BARS = some_bars()
HEADER = "timestamp,open,high,low,close,volume\n"
NAMES = "--columns time,open,high,low,close,volume"


def labelled(*labels: str, header: str, bars: list[Row] = BARS) -> str:
    rows = lines(bars).splitlines()
    return f"{header},{HEADER}" + "".join(
        f"{label},{rows[i]}\n" for i in range(len(bars)) for label in labels
    )


def shifted(bars: list[Row]) -> str:
    """Rows of the same times with other prices."""
    return lines([(t, *(price + 1 for price in p), v) for t, *p, v in bars])


HOURS = some_bars(100, 60 * MINUTE)
STRAY = [*HOURS[:80], (HOURS[79][0] + MINUTE, *HOURS[79][1:]), *HOURS[80:]]

REFUSED: dict[str, tuple[str, Choices | None, str]] = {
    "two instruments": (
        labelled("AAA-USDT-SWAP", "BBB-USDT-SWAP", header="instrument_name"),
        None,
        "x.csv: the file mixes instruments (AAA-USDT-SWAP and BBB-USDT-SWAP, column "
        "'instrument_name'); import one after the other with --where instrument_name=AAA-USDT-SWAP",
    ),
    "two of something unknown": (
        "what,"
        + HEADER
        + "".join(
            f"A,{line}\nB,{other}\n"
            for line, other in zip(
                lines(BARS).splitlines(), shifted(BARS).splitlines(), strict=True
            )
        ),
        None,
        "x.csv: 12 of 24 rows have the time of another row and other values: column 'what' has 2 "
        "values (A, B). Import one after the other with --where what=A, or type --max-bad-rows 12 "
        "to keep the last row of each time",
    ),
    "two without a name": (
        HEADER + lines(BARS) + shifted(BARS),
        None,
        "x.csv: 12 of 24 rows have the time of another row and other values: it holds several "
        "instruments or timeframes. Import one after the other with --where COLUMN=VALUE, "
        "or type --max-bad-rows 12 to keep the last row of each time",
    ),
    "another symbol inside": (
        labelled("ETHUSDT", header="symbol"),
        None,
        "x.csv: column 'symbol' says ETHUSDT, but --symbol says BTCUSDT. If this is meant, type "
        "--where symbol=ETHUSDT",
    ),
    "another market inside": (
        labelled("2", header="market_id"),
        None,
        "x.csv: column 'market_id' says 2, but --market-id says 1. If this is meant, type "
        "--where market_id=2",
    ),
    "columns swapped": (
        "timestamp,open,low,close,high,volume\n" + lines(BARS),
        None,
        "x.csv: high >= open, close >= low does not hold in 12 of 12 rows (the first: open 100.5, "
        "high 100.75, low 101.25, close 100), and the highest price is mostly in column 'low': "
        f"the columns are named wrongly. Name them from left to right with {NAMES}",
    ),
    "volume in contracts": (
        "timestamp,open,high,low,close,volume,quote_volume\n"
        + "".join(f"{t},{o},{h},{lo},{c},{v * 1000},{v * c}\n" for t, o, h, lo, c, v in BARS),
        None,
        "x.csv: column 'volume' is no volume in base units: 'quote_volume' divided by it is no "
        "price in 12 of 12 rows (0.10075 in the first). Name the columns from left to right with "
        f"{NAMES}, and - for the volume that is not meant",
    ),
    "nine bars of five minutes": (
        HEADER + lines(some_bars(9, 5 * MINUTE)),
        None,
        "x.csv: these are no 1-minute candles: 8 of 8 steps are 5m or multiples of it; "
        "type --timeframe 5m, or --timeframe 1m if they are minutes",
    ),
    "hours and one stray minute": (
        HEADER + lines(STRAY),
        None,
        "x.csv: these are no 1-minute candles: 98 of 100 steps are 1h or multiples of it; "
        "type --timeframe 1h, or --timeframe 1m if they are minutes",
    ),
    "a step that is no timeframe": (
        HEADER + lines(some_bars(20, 7 * MINUTE)),
        None,
        "x.csv: these are no 1-minute candles: 19 of 19 steps are 7m or multiples of it; which is "
        "no timeframe that can be imported (1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d); "
        "type --timeframe 1m if they are minutes",
    ),
    "minutes said to be hours": (
        HEADER + lines(some_bars(120)),
        Choices(timeframe="1h"),
        "x.csv: these are no 1h bars: most steps between them are 1m; type --timeframe 1m",
    ),
    "hours that clocks move": (
        HEADER
        + lines(
            some_bars(40, 4 * 60 * MINUTE, START - 2 * 60 * MINUTE)
            + some_bars(30, 4 * 60 * MINUTE, START + 159 * 60 * MINUTE)
        ),
        Choices(timeframe="4h"),
        "x.csv: bars of 4h do not always open at the same time: 40 open 120 minutes after each 4h "
        "and 30 open 180 minutes after each 4h. Where a change of the clock is the reason, type "
        "--align-opens; to leave out those that open elsewhere, type --max-bad-rows 30",
    ),
    "days that clocks move": (
        HEADER
        + lines(
            some_bars(40, 1440 * MINUTE, START - 120 * MINUTE)
            + some_bars(30, 1440 * MINUTE, START + 39 * 1440 * MINUTE + 1260 * MINUTE)
        ),
        Choices(timeframe="1d"),
        "x.csv: bars of 1d do not always open at the same time: 40 open at 22:00 UTC and 30 open "
        "at 21:00 UTC. Where a change of the clock is the reason, type --align-opens; to leave out "
        "those that open elsewhere, type --max-bad-rows 30",
    ),
    "too many bad rows": (
        HEADER + lines(BARS[:6]) + "".join(f"{row[0]},0,1,1,1,1\n" for row in BARS[6:]),
        Choices(max_bad_rows=5),
        "x.csv: 6 of 12 rows are no bars, at most 5 may be: a price that is not finite and "
        "positive, or a volume that is not finite or is negative (line 8: 0, 1, 1, 1, 1; 6 such "
        "rows). To leave them out, type --max-bad-rows 6",
    ),
    "a line that cannot be read": (
        HEADER + lines(BARS[:3]) + "x,1,1,1,1,1\n" + lines(BARS[3:]),
        None,
        "x.csv: line 5, column 1: 'x' is not a time; write 2024-01-31 23:59:00, "
        "2024-01-31T23:59:00Z or an epoch in s, ms or µs. If the line can be left out, "
        "type --max-bad-rows 1",
    ),
    "a very long line": (
        HEADER + f"{START},1,2,1,1,{'5' * 200_000}\n",
        None,
        "x.csv: line 2 is longer than 65,536 bytes, which no line of candles is; repair it, or get "
        "the file again",
    ),
    "a very long line in the middle": (
        HEADER + lines(some_bars(30_000)) + "5" * 3_000_000 + "\n" + lines(BARS),
        None,
        "x.csv: line 30002 is longer than 65,536 bytes, which no line of candles is; repair it, or "
        "get the file again",
    ),
    "no volume": (
        "time,open,high,low,close\n" + "".join(",".join(map(str, row[:5])) + "\n" for row in BARS),
        None,
        "x.csv: line 1: no column for the volume: name it 'volume', or type --no-volume if there "
        "is none (columns found: time, open, high, low, close)",
    ),
    "an empty volume": (
        HEADER + "".join(line.rpartition(",")[0] + ",NaN\n" for line in lines(BARS).splitlines()),
        None,
        "x.csv: no row has a volume: type --no-volume if there is none",
    ),
    "an order of dates that nothing tells": (
        HEADER + lines(some_bars(9, start_ms=START + 86_400_000), "%d/%m/%Y %H:%M"),
        None,
        "x.csv: '02/01/2024 00:00' may begin with the day or the month, and no row tells: "
        "type --date-order dmy or --date-order mdy",
    ),
    "columns without names": (
        lines(BARS, more=",1,1"),
        None,
        "x.csv: line 1 has no column names and 8 columns, which are not recognised. Name them from "
        f"left to right with {NAMES} (- for those that are not needed)",
    ),
    "too few names": (
        HEADER + lines(BARS),
        Choices.typed(columns="time,open,high,low,close"),
        "x.csv: --columns names 5 columns, but line 1 has 6; write - for those that are not needed",
    ),
    "a condition on no column": (
        HEADER + lines(BARS),
        Choices.typed(where=["venue=A"]),
        "x.csv: --where: there is no column 'venue' (columns found: timestamp, open, high, low, "
        "close, volume)",
    ),
    "a condition that no row meets": (
        labelled("A", header="venue"),
        Choices.typed(where=["venue=B"]),
        "x.csv: no row has what --where wants: venue=B",
    ),
    "local times twice, more than may be": (
        HEADER + lines(some_bars(120, start_ms=1_729_994_400_000), "%Y-%m-%d %H:%M"),
        Choices(zone="Europe/Berlin"),
        "x.csv: 60 of 120 rows are no bars, at most 10 may be: the local time occurs twice, "
        "when clocks are set back (2024-10-27 02:00:00; 60 such rows). Check --tz, or export the "
        "candles in UTC",
    ),
    "json without candles": (
        '{"error": "rate limit"}',
        None,
        "x.csv: the file holds no candles",
    ),
    "json of other arrays": (
        "[[1, 2, 3, 4, 5, 6, 7, 8, 9]]",
        None,
        "x.csv: its arrays have 9 values, which are not recognised. Name them from left to right "
        f"with {NAMES}",
    ),
    "json that was cut off": (
        json.dumps(BARS)[:-30],
        None,
        "x.csv: the JSON ends before its brackets do; get the file again",
    ),
    "json that was cut off between two candles": (
        json.dumps(BARS).rpartition(", [")[0],
        None,
        "x.csv: the JSON ends before its brackets do; get the file again",
    ),
    "a seventh number that is no count of trades": (
        json.dumps([(*row[:5], 268611, 15.74462667) for row in BARS]),
        None,
        "x.csv: its arrays have 7 values, which are not recognised. Name them from left to right "
        f"with {NAMES}",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_evidence_and_what_to_type(tmp_path: Path, name: str) -> None:
    content, choices, expected = REFUSED[name]
    (tmp_path / "x.csv").write_text(content)

    with pytest.raises(CandleFileError) as caught:
        stored(tmp_path / "x.csv", choices)

    assert str(caught.value) == f"{tmp_path}/{expected}"


ALLOWED: dict[str, tuple[str, Choices, list[Row]]] = {
    "two instruments": (
        labelled("AAA", "BBB", header="instrument_name"),
        Choices.typed(where=["instrument_name=BBB"]),
        BARS,
    ),
    "two without a name": (HEADER + shifted(BARS) + lines(BARS), Choices(max_bad_rows=12), BARS),
    "another symbol inside": (
        labelled("ETHUSDT", header="symbol"),
        Choices.typed(where=["symbol=ETHUSDT"]),
        BARS,
    ),
    "another market inside": (
        labelled("2", header="market_id"),
        Choices.typed(where=["market_id=2"]),
        BARS,
    ),
    "columns swapped": (
        "timestamp,open,low,close,high,volume\n" + lines(BARS),
        Choices.typed(columns="time,open,high,low,close,volume"),
        BARS,
    ),
    "volume in contracts": (
        "timestamp,open,high,low,close,volume,quote_volume\n"
        + "".join(f"{t},{o},{h},{lo},{c},{v * 1000},{v}\n" for t, o, h, lo, c, v in BARS),
        Choices.typed(columns="time,open,high,low,close,-,volume"),
        BARS,
    ),
    "minutes that look like hours": (HEADER + lines(STRAY), Choices(timeframe="1m"), STRAY),
    "a line that cannot be read": (
        HEADER + lines(BARS[:3]) + "x,1,1,1,1,1\n1,2\n" + lines(BARS[3:]),
        Choices(max_bad_rows=2),
        BARS,
    ),
    "an order of dates that nothing tells": (
        HEADER + lines(BARS, "%d/%m/%Y %H:%M"),
        Choices(date_order="dmy"),
        BARS,
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_an_option_says_is_meant_is_stored(tmp_path: Path, name: str) -> None:
    content, choices, expected = ALLOWED[name]
    (tmp_path / "x.csv").write_text(content)

    assert stored(tmp_path / "x.csv", choices)[0] == expected


@pytest.mark.parametrize(
    "own",
    [
        "BTCUSDT",
        "btcusdt",
        "BTC/USDT",
        "BTC-USDT-SWAP",
        "BTC",
        "BINANCE:BTCUSDT.P",
        "BTC/USDT:USDT",
    ],
)
def test_other_spellings_of_the_symbol_are_no_contradiction(tmp_path: Path, own: str) -> None:
    (tmp_path / "x.csv").write_text(labelled(own, header="symbol"))

    bars, report = stored(tmp_path / "x.csv")

    assert bars == BARS
    assert report.original_symbols() == (own,)


@pytest.mark.parametrize("own", ["BTCUSD", "BTC/USD", "BTC-USD-SWAP", "BTCUSDC"])
def test_another_currency_is_another_instrument(tmp_path: Path, own: str) -> None:
    (tmp_path / "x.csv").write_text(labelled(own, header="symbol"))

    with pytest.raises(CandleFileError, match=f"says {own}, but --symbol says BTCUSDT"):
        stored(tmp_path / "x.csv")


def test_the_name_of_a_dump_contradicts_the_symbol(tmp_path: Path) -> None:
    path = tmp_path / "ETHUSDT-1m-2024-01.csv"
    path.write_text(lines(BARS))

    with pytest.raises(CandleFileError, match="its name says ETHUSDT, but --symbol says BTCUSDT"):
        stored(path)


def test_yfinance_says_its_ticker_above_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "Price,Close,High,Low,Open,Volume\nTicker,SPY,SPY,SPY,SPY,SPY\nDatetime,,,,,\n"
        + "".join(
            f"{moment(t, '%Y-%m-%d %H:%M:%S+00:00')},{c},{h},{lo},{o},{v}\n"
            for t, o, h, lo, c, v in BARS
        )
    )

    with pytest.raises(CandleFileError, match="says SPY, but --symbol says BTCUSDT"):
        stored(path)
    assert stored(path, symbol="SPY")[0] == BARS


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"zone": "Mars/Base"}, "--tz: 'Mars/Base' is no time zone; type a name such as UTC"),
        ({"timeframe": "7m"}, "--timeframe: '7m' is none of 1m, 3m, 5m"),
        ({"date_order": "ymd"}, "--date-order: 'ymd' is neither dmy nor mdy"),
        ({"delimiter": ";;"}, "--delimiter: ';;' is not one character"),
        ({"max_bad_rows": -1}, "--max-bad-rows: -1 is negative"),
        ({"price_scale": 0.0}, "--price-scale: 0.0 is not a positive number"),
        ({"where": ["symbol"]}, "--where: 'symbol' is not COLUMN=VALUE"),
    ],
)
def test_an_option_that_means_nothing_is_named(options: dict[str, object], expected: str) -> None:
    with pytest.raises(CandleFileError) as caught:
        Choices.typed(**options)  # type: ignore[arg-type]

    assert str(caught.value).startswith(expected)
