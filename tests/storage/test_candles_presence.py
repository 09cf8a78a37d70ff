"""Which bars exist, asked of a store: what a plain loop finds, and what loaded candles say."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from engine import coverage
from engine.candles import NoMarketData, timeline
from engine.timeframes import TIMEFRAMES
from storage.candles import Presence
from storage.candles.server import ServerStore
from storage.candles.windows import DAY_MS, WINDOW_MS
from tests.storage.candle_reader import Reader
from tests.storage.candle_rows import MINUTE, START, Bar, Row, random_rows, roll_up, write
from tests.storage.candle_table import command, insert, server_of

HOUR = 60 * MINUTE
Ask = Callable[..., Any]
"""(method, arguments) → what a store that holds the rows says."""

_database_number = itertools.count()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    process = Reader()
    yield process
    process.close()


@pytest.fixture(params=["folder", "server"])
def holding(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Ask]]:
    """Put rows into a store; returns how to ask it."""
    stores = []

    def in_folder(rows: list[Row]) -> Ask:
        write(tmp_path, rows, files=min(2, len(rows)))
        reader: Reader = request.getfixturevalue("reader")
        return lambda method, *args, **named: reader.call(tmp_path, method, *args, **named)

    def on_server(rows: list[Row]) -> Ask:
        name = f"presence {next(_database_number)}"
        server = server_of(request.getfixturevalue("endpoint"), name)
        store = ServerStore(server)
        stores.append(store)
        store.ensure_table()
        command(server, "SYSTEM STOP MERGES {table}")
        insert(server, rows)
        return lambda method, *args, **named: getattr(store, method)(*args, **named)

    yield in_folder if request.param == "folder" else on_server
    for store in stores:
        store.close()


def ask_presence(ask: Ask, step: int, warmup: int, start: int, end: int) -> Presence:
    from_ms = -(-start // step) * step - warmup * step
    found = ask("presence", 1, "BTCUSDT", step, from_ms=from_ms, start_ms=start, end_ms=end)
    assert isinstance(found, Presence)
    return found


def by_a_loop(bars: list[Bar], start: int, end: int, step: int) -> Presence:
    whole = [bar for bar in bars if start <= bar.ts_open and bar.ts_open + step <= end]
    opens = {bar.ts_open for bar in whole}
    longest, begins, at, run = 0, None, min(opens, default=0), 0
    while at <= max(opens, default=-1):
        run = 0 if at in opens else run + 1
        if run > longest:
            longest, begins = run, at - (run - 1) * step
        at += step
    ends = [min(bar.ts_open, end // step * step - step) for bar in bars]
    return Presence(
        bars=len(whole),
        first_ms=min(opens, default=None),
        last_ms=max(opens, default=None),
        gap_bars=longest,
        gap_start_ms=begins,
        earliest_ms=bars[0].ts_open if bars else None,
        latest_ms=max(ends, default=None),
        lowest=min((bar.low for bar in whole), default=None),
        highest=max((bar.high for bar in whole), default=None),
    )


RANGES = [
    pytest.param(START, START + 3_000 * MINUTE, id="whole"),
    pytest.param(START + 601 * MINUTE, START + 2_399 * MINUTE, id="cut bars"),
    pytest.param(START - 5 * DAY_MS, START + 60 * DAY_MS, id="wider than the candles"),
    pytest.param(START + 2_990 * MINUTE, START + 9 * DAY_MS, id="after most"),
]


@pytest.mark.parametrize(("start", "end"), RANGES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_store_finds_what_a_loop_over_its_bars_finds_and_what_loaded_candles_say(
    holding: Callable[..., Ask], seed: int, start: int, end: int
) -> None:
    rows = random_rows(seed)
    ask = holding(rows)
    for timeframe, warmup in (("1m", 30), ("15m", 0), ("15m", 40), ("2h", 3), ("1d", 2)):
        step = TIMEFRAMES[timeframe]
        from_ms = -(-start // step) * step - warmup * step
        bars = roll_up(rows, from_ms, end, step)

        found = ask_presence(ask, step, warmup, start, end)

        assert found == by_a_loop(bars, start, end, step), timeframe
        loaded = ask("bars", 1, "BTCUSDT", from_ms, end, step)
        try:
            candles = timeline(loaded, start_ms=start, end_ms=end, timeframe_ms=step)
        except NoMarketData:
            assert found.bars == 0
        else:
            assert coverage.Presence(**asdict(found)) == coverage.Presence.of(candles), timeframe


def minute(at: int, price: float = 10.0, ingested_at: int = START) -> Row:
    return Row(at, price, price, price, price, 1.0, ingested_at)


def test_an_invalid_minute_is_no_bar_even_if_an_older_version_was_valid(
    holding: Callable[..., Ask],
) -> None:
    rows = [minute(START), minute(START + MINUTE), minute(START + 2 * MINUTE)]
    hidden = minute(START + MINUTE, ingested_at=START + 1)._replace(close=float("nan"))

    found = ask_presence(holding([*rows, hidden]), MINUTE, 0, START, START + 3 * MINUTE)

    assert (found.bars, found.gap_bars, found.gap_start_ms) == (2, 1, START + MINUTE)


def test_of_gaps_of_one_length_the_first_is_told(holding: Callable[..., Ask]) -> None:
    rows = [minute(START + at * MINUTE) for at in (0, 1, 4, 5, 8)]

    found = ask_presence(holding(rows), MINUTE, 0, START, START + HOUR)

    assert (found.gap_bars, found.gap_start_ms) == (2, START + 2 * MINUTE)


def test_a_gap_that_reaches_over_windows_is_measured_whole(holding: Callable[..., Ask]) -> None:
    days = [0, 1, 300, 301, 900, 901]
    rows = [minute(START + day * DAY_MS, 10.0 + day) for day in days]
    end = START + 1_000 * DAY_MS
    assert days[-1] * DAY_MS > 2 * WINDOW_MS

    found = ask_presence(holding(rows), DAY_MS, 5, START, end)

    assert found == Presence(
        bars=6,
        first_ms=START,
        last_ms=START + 901 * DAY_MS,
        gap_bars=598,
        gap_start_ms=START + 302 * DAY_MS,
        earliest_ms=START,
        latest_ms=START + 901 * DAY_MS,
        lowest=10.0,
        highest=911.0,
    )


def test_an_instrument_that_is_not_there_has_no_bars(holding: Callable[..., Ask]) -> None:
    ask = holding([minute(START)])

    found = ask(
        "presence", 2, "BTCUSDT", MINUTE, from_ms=START, start_ms=START, end_ms=START + HOUR
    )

    assert found.bars == 0
    assert found.first_ms is None
    assert ask("extent", 2, "BTCUSDT") is None


def test_a_name_that_no_instrument_can_have_has_no_bars(holding: Callable[..., Ask]) -> None:
    ask = holding([minute(START)])
    asked = {"from_ms": START, "start_ms": START, "end_ms": START + HOUR}

    assert ask("presence", 65_536, "BTCUSDT", MINUTE, **asked).bars == 0
    assert ask("extent", 1, " ") is None


def test_extent_and_names_tell_what_there_is(holding: Callable[..., Ask]) -> None:
    ask = holding([minute(START + HOUR), minute(START), minute(START + MINUTE)])

    first, last = ask("extent", 1, "BTCUSDT")

    assert [at.timestamp() * 1000 for at in (first, last)] == [START, START + HOUR]
    assert ask("names") == [(1, "BTCUSDT")]
