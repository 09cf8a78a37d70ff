"""`backtest candles list|show|gaps|verify`, over a folder and over a server: the same words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli import render
from configs.environment import CandlesFolder, ClickHouseServer
from storage.candles import CandleStore, Known, open_store, side_file
from tests.cli.candle_store import (
    HOUR,
    MINUTE,
    START,
    bars_at,
    fill,
    minutes,
    name_store,
    stock,
)
from tests.cli.conftest import Backtest, Ended
from tests.storage.candle_table import server_of
from tests.storage.clickhouse_endpoint import Endpoint


def dashed(text: str) -> str:
    """Write ranges as they are printed."""
    return text.replace("-", "\N{EN DASH}")


@pytest.fixture(scope="module")
def filled(
    endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, CandlesFolder | ClickHouseServer]:
    sources = {
        "folder": CandlesFolder(tmp_path_factory.mktemp("looks") / "candles"),
        "server": server_of(endpoint, "looks"),
    }
    for source in sources.values():
        with open_store(source) as store:
            fill(store)
    return sources


@pytest.fixture(params=["folder", "server"])
def candles(
    request: pytest.FixtureRequest,
    backtest: Backtest,
    filled: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Backtest:
    """Type `backtest candles ...` where the store is filled."""
    name_store(filled[request.param], monkeypatch)
    return lambda *arguments: backtest("candles", *arguments)


@pytest.fixture
def folder(backtest: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CandleStore:
    """An empty store in a folder, named in the environment."""
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(tmp_path / "candles"))
    return open_store(CandlesFolder(tmp_path / "candles"))


def lines(ended: Ended) -> list[str]:
    assert (ended.code, ended.err) == (0, "")
    return [" ".join(line.split()) for line in ended.out.splitlines()]


# ----------------------------------------------------------------------------- list


def test_a_list_has_a_line_for_each_instrument(candles: Backtest) -> None:
    heading, bitcoin, apple, euro, total = lines(candles("list"))
    assert heading == "market symbol bar from (UTC) to (UTC) bars missing vol coverage"
    start = "1 BTCUSDT 1m 2024-01-01 00:00 2024-01-04 23:59 4,290 1,470 yes "
    assert bitcoin.startswith(start)
    # Each block is 96 minutes: 30 lack in the second, and a whole day from the 21st on.
    day = "▆" + "·" * 14 + "▂"
    assert bitcoin.removeprefix(start) == "█▅" + "█" * 18 + day + "█" * 24
    assert apple.startswith("2 AAPL 1h 2024-01-01 14:00 2024-03-08 19:00 297 3 yes █")
    assert euro == "3 EURUSD 1d 2024-01-01 00:00 2024-02-29 00:00 44 0 no " + "█████ " * 8 + "████"
    assert total.startswith("3 instruments, 4,631 bars; coverage, from the first to the last bar")


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_a_list_fits_the_terminal_and_the_coverage_takes_what_is_left(
    candles: Backtest, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(render, "PIPE_WIDTH", width)
    listed = candles("list").out.splitlines()[:-1]
    assert all(len(line) <= width for line in listed)
    assert "…" not in "".join(listed)
    assert len(listed[1].rstrip()) == min(width, 139)
    assert ("00:00" in listed[1]) == (width >= 100)


def test_a_list_can_be_of_one_market_or_symbols_alike(candles: Backtest) -> None:
    def symbols(*options: object) -> list[str]:
        return [one["symbol"] for one in candles("list", "--json", *options).json]

    assert symbols() == ["BTCUSDT", "AAPL", "EURUSD"]
    assert symbols("--market-id", 2) == ["AAPL"]
    assert symbols("--symbol", "usd") == ["BTCUSDT", "EURUSD"]
    assert symbols("--symbol", "usd", "--market-id", 2) == []
    assert "no such instruments" in candles("list", "--market-id", 9).out


def test_a_list_for_machines_has_what_is_known(candles: Backtest) -> None:
    assert candles("list", "--json", "--symbol", "eur").json == [
        {
            "market_id": 3,
            "symbol": "EURUSD",
            "timeframe": "1d",
            "first": "2024-01-01T00:00:00+00:00",
            "last": "2024-02-29T00:00:00+00:00",
            "bars": 44,
            "minutes": 44 * 1440,
            "missing": 0,
            "has_volume": False,
            "sessions": True,
        }
    ]


@pytest.mark.parametrize("command", ["list", "verify", "show", "gaps", "delete"])
def test_every_help_has_two_examples(backtest: Backtest, command: str) -> None:
    shown = backtest("candles", command, "--help").out.partition("For example:")[2]
    assert shown.count(f"backtest candles {command}") == 2


@pytest.mark.parametrize("command", ["list", "verify", "show X", "gaps X", "delete X"])
def test_an_empty_store_says_what_to_type(
    backtest: Backtest, folder: CandleStore, command: str
) -> None:
    ended = backtest("candles", *command.split())
    said = ended.out or ended.err
    assert "backtest candles import FILE --market-id 1 --symbol BTCUSDT" in said
    assert ended.code == (2 if " " in command else 0)


# ----------------------------------------------------------------------------- which


@pytest.mark.parametrize("typed", ["BTCUSDT", "btc/usdt", "Btc-Usdt"])
def test_an_instrument_is_found_however_its_symbol_is_written(
    candles: Backtest, typed: str
) -> None:
    assert candles("show", typed, "--json").json["symbol"] == "BTCUSDT"


def test_an_unknown_symbol_is_refused_with_what_may_be_meant(candles: Backtest) -> None:
    ended = candles("gaps", "BTCUSD")
    assert (ended.code, ended.out) == (2, "")
    assert "no candles of BTCUSD: did you mean BTCUSDT" in ended.err
    assert "BTCUSDT is in market 1, not in 7" in candles("show", "btcusdt", "--market-id", 7).err


def test_a_symbol_of_two_markets_needs_its_market(backtest: Backtest, folder: CandleStore) -> None:
    for market in (1, 4):
        folder.append(market, "BTCUSDT", [minutes(10)])
    ended = backtest("candles", "show", "btcusdt")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "in several markets (1, 4): say which by --market-id" in ended.err
    assert backtest("candles", "show", "btcusdt", "--market-id", 4, "--json").json["market_id"] == 4


def test_a_symbol_of_an_older_release_is_found_as_it_is_written(
    backtest: Backtest, folder: CandleStore
) -> None:
    folder.append(1, "btc_usdt", [minutes(10)])
    assert backtest("candles", "show", "BTCUSDT", "--json").json["symbol"] == "btc_usdt"
    folder.append(1, "BTCUSDT", [minutes(20)])
    bars = [backtest("candles", "show", s, "--json").json["bars"] for s in ("btc_usdt", "BTCUSDT")]
    assert bars == [10, 20]


# ----------------------------------------------------------------------------- show


def test_what_is_known_of_minutes_is_shown(candles: Backtest) -> None:
    page = lines(candles("show", "BTCUSDT"))
    assert page[:6] == [
        "instrument BTCUSDT (market 1), 1m bars",
        "in its files BTC/USDT",
        "open always (imported without --sessions)",
        "volume yes",
        "range 2024-01-01 00:00 to 2024-01-04 23:59 UTC (4d)",
        "bars 4,290; 1,470 missing (25.5 %): backtest candles gaps BTCUSDT",
    ]
    assert page[6].startswith("coverage █▅██")
    assert page[7] == "prices 99.5 (2024-01-01) to 158.09 (2024-01-04), the last 157.84"
    assert page[8].startswith("closes ▁")
    assert page[8].endswith("█")
    assert page[9].startswith("files btc-2024-01.csv 20")
    assert page[9].endswith("4,000 rows 1a2b3c4d")
    assert page[10].endswith("1,760 rows 5e6f7a8b")
    assert page[12:] == [
        "opens (UTC) open high low close volume",
        "2024-01-01 00:00 100.00 100.50 99.50 100.25 2.5",
        "2024-01-01 00:01 100.01 100.51 99.51 100.26 2.5",
        "2024-01-01 00:02 100.02 100.52 99.52 100.27 2.5",
        "…",
        "2024-01-04 23:57 157.57 158.07 157.07 157.82 2.5",
        "2024-01-04 23:58 157.58 158.08 157.08 157.83 2.5",
        "2024-01-04 23:59 157.59 158.09 157.09 157.84 2.5",
    ]


def test_opening_hours_are_shown_in_words(candles: Backtest) -> None:
    shown = [
        {" ".join(line.split()) for line in candles("show", symbol).out.splitlines()}
        for symbol in ("AAPL", "EURUSD")
    ]
    assert {dashed("open Mon-Fri 14:00-20:00 UTC"), "in its files aapl.us"} <= shown[0]
    assert {dashed("open Mon-Fri UTC"), "volume no: rules that need volume refuse it"} <= shown[1]
    assert "files none is known to have been imported whole" in shown[1]


def test_what_is_shown_is_there_for_machines(candles: Backtest) -> None:
    shown = candles("show", "BTCUSDT", "--json").json
    assert shown["original"] == "BTC/USDT"
    assert (shown["bars"], shown["missing"], shown["close"]) == (4_290, 1_470, 157.84)
    assert shown["low"] == {"price": 99.5, "at": "2024-01-01T00:00:00+00:00"}
    assert [file["name"] for file in shown["files"]] == ["btc-2024-01.csv", "btc-2024-02.csv"]
    assert shown["files"][0]["sha256"] == "1a2b3c4d" * 8
    assert len(shown["candles"]) == 6
    assert shown["candles"][0] == {
        "time": "2024-01-01T00:00:00+00:00",
        "open": 100.0,
        "high": 100.5,
        "low": 99.5,
        "close": 100.25,
        "volume": 2.5,
    }
    assert candles("show", "AAPL", "--json").json["hours"] == [dashed("Mon-Fri 14:00-20:00 UTC")]


@pytest.mark.parametrize(
    ("symbol", "at", "said", "first", "last"),
    [
        ("BTCUSDT", "2024-01-01T01:00", "the bar of 2024-01-01 01:00 UTC", 55, 65),
        ("BTCUSDT", "2024-01-01T03:00+02:00", "the bar of 2024-01-01 01:00 UTC", 55, 65),
        ("BTCUSDT", "2024-01-01 01:00:59", "the bar of 2024-01-01 01:00:59 UTC", 55, 65),
        ("BTCUSDT", "2024-01-01T01:50", "no bar at 2024-01-01 01:50 UTC: it is missing", 94, 134),
        ("BTCUSDT", "2023-01-01", "2023-01-01 00:00 UTC is before the first bar", 0, 10),
        ("BTCUSDT", "2025-01-01", "2025-01-01 00:00 UTC is after the last bar", 5_749, 5_759),
    ],
)
def test_the_bars_around_a_time_are_shown(
    candles: Backtest, symbol: str, at: str, said: str, first: int, last: int
) -> None:
    heading, where, _, *table = lines(candles("show", symbol, "--at", at))
    assert heading == "BTCUSDT (market 1), 1m bars"
    assert where == said
    ends = [time_of(START + number * MINUTE) for number in (first, last)]
    assert [table[0][:16], table[-1][:16]] == ends
    assert len([line for line in table if "no bar" not in line]) == 11


def time_of(ms: int) -> str:
    from cli.candles import words

    return words.at(ms)


def test_a_gap_and_closed_hours_stand_between_the_bars(candles: Backtest) -> None:
    assert "no bar for 30m" in lines(candles("show", "BTCUSDT", "--at", "2024-01-01T01:50"))
    shown = lines(candles("show", "AAPL", "--at", "2024-01-06T15:00"))
    assert shown[1].endswith("UTC: the market is closed at that time of the week")
    assert "no bar for 2d 18h" in shown
    missing = lines(candles("show", "AAPL", "--at", "2024-01-30T18:00"))
    assert missing[1].endswith("UTC: it is missing")


def test_a_time_that_is_none_is_refused(candles: Backtest) -> None:
    ended = candles("show", "BTCUSDT", "--at", "noon")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--at: 'noon' is no time; write 2024-01-31" in ended.err


def test_prices_with_many_decimals_are_shown_whole(backtest: Backtest, folder: CandleStore) -> None:
    bars = minutes(3)
    for column in bars.values()[:4]:
        column[:] = 0.00001234
    bars.high[1] = 0.0000125
    folder.append(1, "SHIB", [bars])
    shown = lines(backtest("candles", "show", "SHIB"))
    assert shown[-2] == "2024-01-01 00:01 0.00001234 0.00001250 0.00001234 0.00001234 2.5"


# ----------------------------------------------------------------------------- gaps


def test_gaps_are_listed_the_largest_first_or_by_time(candles: Backtest) -> None:
    first = "2024-01-01 01:40 2024-01-01 02:10 30 30m"
    largest = "2024-01-02 09:20 2024-01-03 09:20 1,440 1d"
    total = "BTCUSDT (market 1): 2 gaps; 1,470 of 5,760 bars missing (25.5 %)"
    heading = "from (UTC) to (UTC) bars missing how long"
    assert lines(candles("gaps", "BTCUSDT")) == [heading, largest, first, total]
    assert lines(candles("gaps", "BTCUSDT", "--sort", "time")) == [heading, first, largest, total]


def test_nights_and_weekends_are_no_gaps(candles: Backtest) -> None:
    _, gap, total, closed = lines(candles("gaps", "AAPL"))
    assert gap == "2024-01-30 17:00 2024-01-30 20:00 3 3h"
    assert total == "AAPL (market 2): 1 gap; 3 of 300 bars missing (1 %)"
    assert closed == (
        "not counted, for the market closes: 40 nights (mostly 18h each) and 9 weekends (mostly "
        "2d 18h each)"
    )
    only = lines(candles("gaps", "EURUSD"))
    assert only[0] == "EURUSD (market 3) has no gaps in 44 bars"
    assert only[1] == "not counted, for the market closes: 8 weekends (mostly 2d each)"


@pytest.mark.parametrize("least", ["31", "31m", "1h", "1d", "1440"])
def test_small_gaps_can_be_left_out(candles: Backtest, least: str) -> None:
    shown = lines(candles("gaps", "BTCUSDT", "--min", least))
    assert [line.split()[-1] for line in shown[1:-1]] == ["1d"]
    assert f"2 gaps, 1 of them at least {least}; 1,470 of 5,760" in shown[-1]


def test_a_length_that_is_none_is_refused(candles: Backtest) -> None:
    ended = candles("gaps", "BTCUSDT", "--min", "long")
    assert ended.code == 2
    assert "--min: 'long' is no length; write a number of bars, or 30m, 2h, 1d" in ended.err


def test_more_gaps_than_fit_are_counted(candles: Backtest) -> None:
    assert "and 1 more: --limit 2" in lines(candles("gaps", "BTCUSDT", "--limit", 1))


def test_gaps_for_machines(candles: Backtest) -> None:
    found = candles("gaps", "AAPL", "--json", "--limit", 1).json
    assert found == {
        "bars": 297,
        "missing": 3,
        "gaps": [
            {
                "start": "2024-01-30T17:00:00+00:00",
                "end": "2024-01-30T20:00:00+00:00",
                "bars": 3,
                "seconds": 3 * 3600,
            }
        ],
        "closed": [
            {"kind": "night", "count": 40, "bars": 40 * 18, "seconds": 18 * 3600},
            {"kind": "weekend", "count": 9, "bars": 9 * 66, "seconds": 66 * 3600},
        ],
    }


def test_a_market_that_seems_to_close_is_pointed_out(
    backtest: Backtest, folder: CandleStore
) -> None:
    bars = bars_at(np.array(list(stock()), np.int64))
    folder.append(2, "MSFT", [bars], known=Known(timeframe_ms=HOUR))
    said = lines(backtest("candles", "gaps", "MSFT"))[-1]
    assert said.startswith("1,314 of the missing bars recur daily or weekly")
    assert "--sessions" in said
    shown = backtest("candles", "show", "MSFT").out
    assert dashed("its bars are of Mon-Fri 14:00-20:00 UTC: if the market closes") in shown


def test_minutes_without_a_trade_are_no_closed_market(
    backtest: Backtest, folder: CandleStore
) -> None:
    traded = np.random.default_rng(4).random(10 * 1440) > 0.05
    folder.append(1, "THIN", [minutes(10 * 1440).take(traded)])
    for command in ("gaps", "show"):
        assert "market closes" not in backtest("candles", command, "THIN").out


# ----------------------------------------------------------------------------- verify


def test_right_bars_have_the_same_sum_in_both_stores(
    backtest: Backtest, filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for source in filled.values():
        with monkeypatch.context() as patch:
            name_store(source, patch)
            said.append(lines(backtest("candles", "verify")))
    assert said[0] == said[1]
    assert [line.partition(", sum ")[0] for line in said[0]] == [
        "BTCUSDT (market 1): 4,290 bars, nothing wrong",
        "AAPL (market 2): 297 bars, nothing wrong",
        "EURUSD (market 3): 44 bars, nothing wrong",
    ]


def test_one_instrument_or_market_can_be_verified(candles: Backtest) -> None:
    assert [one["symbol"] for one in candles("verify", "aapl", "--json").json] == ["AAPL"]
    assert [one["symbol"] for one in candles("verify", "--market-id", 3, "--json").json] == [
        "EURUSD"
    ]


def test_what_is_wrong_is_told_with_file_row_and_value(
    backtest: Backtest, folder: CandleStore
) -> None:
    bars = minutes(50)
    bars.high[20] = 99.125
    folder.append(1, "BTCUSDT", [bars])
    folder.append(1, "ETHUSDT", [minutes(50)])

    ended = backtest("candles", "verify")

    assert (ended.code, ended.err) == (1, "")
    wrong, where, advice, right = ended.out.splitlines()
    (file,) = (folder_of(folder) / "1" / "BTCUSDT").glob("*.parquet")
    assert wrong == "BTCUSDT (market 1): 1 thing wrong"
    assert where == (
        f"  1/BTCUSDT/{file.name} row 21, 2024-01-01 00:20 UTC: high 99.125 is below open 100.2, "
        "high 99.125 is below close 100.45"
    )
    assert "--replace" in advice
    assert "backtest candles delete BTCUSDT --market-id 1 --from TIME --to TIME" in advice
    assert right.startswith("ETHUSDT (market 1): 50 bars, nothing wrong")
    found = backtest("candles", "verify", "btcusdt", "--json")
    assert found.code == 1
    assert found.json[0]["found"] == [
        {
            "place": f"1/BTCUSDT/{file.name}",
            "row": 21,
            "time": "2024-01-01T00:20:00+00:00",
            "what": "high 99.125 is below open 100.2, high 99.125 is below close 100.45",
        }
    ]


def folder_of(store: CandleStore) -> Path:
    return Path(store.place)


def test_a_damaged_file_is_named_and_the_others_are_read(
    backtest: Backtest, folder: CandleStore
) -> None:
    folder.append(1, "BTCUSDT", [minutes(5_000)])
    folder.append(1, "ETHUSDT", [minutes(50)])
    (file,) = (folder_of(folder) / "1" / "BTCUSDT").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-3_000])

    ended = backtest("candles", "verify")

    assert ended.code == 1
    assert f"1/BTCUSDT/{file.name}: candles in" in ended.out
    assert "backtest candles delete BTCUSDT --market-id 1, and import" in ended.out
    assert "ETHUSDT (market 1): 50 bars, nothing wrong" in ended.out


def test_a_damaged_instrument_does_not_hide_the_others(
    backtest: Backtest, folder: CandleStore
) -> None:
    folder.append(1, "BTCUSDT", [minutes(5_000)])
    folder.append(1, "ETHUSDT", [minutes(50)])
    (file,) = (folder_of(folder) / "1" / "BTCUSDT").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-3_000])

    ended = backtest("candles", "list")

    assert ended.code == 3
    assert ended.out.splitlines()[1].split()[1] == "ETHUSDT"
    first, second = ended.err.splitlines()
    assert "1 instrument cannot be read; type: backtest candles verify" in first
    assert second.startswith("  BTCUSDT (market 1): candles in ")


def test_damage_to_what_is_known_is_a_flaw(backtest: Backtest, folder: CandleStore) -> None:
    folder.append(1, "BTCUSDT", [minutes(50)], known=Known())
    (folder_of(folder) / "1" / "BTCUSDT" / side_file.NAME).write_text("{")

    ended = backtest("candles", "verify", "--json")

    assert ended.code == 1
    assert json.loads(ended.out)[0]["sha256"] is None
    assert "instrument.json is damaged" in json.loads(ended.out)[0]["found"][0]["what"]


def test_a_server_that_is_away_is_no_wrong_bar(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CH_HOST", "127.0.0.1")
    monkeypatch.setenv("CH_PORT", "9")
    ended = backtest("candles", "verify", "BTCUSDT")
    assert (ended.code, ended.err.count("\n")) == (3, 1)


@pytest.mark.parametrize("symbol", ["A", "ВТБ/₽", "株価指数", "[bold]x[/]", "a.b*c?"])
def test_a_single_bar_of_any_symbol_can_be_looked_at(
    backtest: Backtest, folder: CandleStore, symbol: str
) -> None:
    folder.append(1, symbol, [minutes(1)])

    assert symbol in backtest("candles", "list").out
    assert lines(backtest("candles", "show", symbol))[-1].startswith(
        "2024-01-01 00:00 100.00 100.50"
    )
    assert lines(backtest("candles", "gaps", symbol)) == [
        f"{symbol} (market 1) has no gaps in 1 bar"
    ]
    assert f"{symbol} (market 1): 1 bar, nothing wrong" in backtest("candles", "verify").out
    assert backtest("candles", "delete", symbol, "--yes").code == 0
    assert folder.names() == []
