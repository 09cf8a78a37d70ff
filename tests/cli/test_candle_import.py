"""`backtest candles import`, as it is typed."""

import io
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Backtest, Ended
from tests.storage.candle_files import MINUTE, START, lines, some_bars

HEADER = "timestamp,open,high,low,close,volume\n"
INSTRUMENT = ("--market-id", "1", "--symbol", "BTCUSDT")


@pytest.fixture
def backtest_with_store(
    backtest: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Backtest:
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(tmp_path / "store"))
    return backtest


def test_many_files_are_one_import_with_one_summary(
    backtest_with_store: Backtest, tmp_path: Path
) -> None:
    (tmp_path / "dumps").mkdir()
    for day in range(3):
        bars = some_bars(1440, start_ms=START + day * 1440 * MINUTE)
        (tmp_path / "dumps" / f"{day}.csv").write_text(HEADER + lines(bars))

    ended = backtest_with_store("candles", "import", tmp_path / "dumps", *INSTRUMENT)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "BTCUSDT (market 1): 4,320 minutes from 3 files, 2024-01-01 00:00 to 2024-01-03 23:59 UTC, "
        "4,320 of them new\n"
    )


def test_every_option_reaches_the_reader(backtest_with_store: Backtest, tmp_path: Path) -> None:
    rows = lines(some_bars(20), "%d/%m/%Y|%H:%M", "|").replace("|", ";")
    kept = "".join(f"A;{row}\n" for row in rows.splitlines())
    (tmp_path / "x.csv").write_text(kept + kept.replace("A;", "B;") + "A;rubbish\n")

    ended = backtest_with_store(
        *("candles", "import", tmp_path / "x.csv", *INSTRUMENT, "--json"),
        *("--columns", "venue,date,time,open,high,low,close,-", "--delimiter", "semicolon"),
        *("--date-order", "dmy", "--tz", "Asia/Tokyo", "--where", "venue=A", "--no-volume"),
        *("--max-bad-rows", 1, "--price-scale", 10, "--timeframe", "1m"),
    )

    assert ended.json["first"] == "2023-12-31T15:00:00+00:00"
    assert (ended.json["bars"], ended.json["has_volume"]) == (20, False)
    assert ended.json["remarks"] == [
        "1 row dropped: the line cannot be read (the first: line 41 has 2 columns instead of 8; "
        "repair the line, or get the file again if it was cut off)",
        "20 rows left out by --where",
        "there is no volume: it is 0 throughout",
    ]


def test_standard_input_is_a_file(
    backtest_with_store: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = io.TextIOWrapper(io.BytesIO((HEADER + lines(some_bars())).encode()))
    monkeypatch.setattr(sys, "stdin", piped)

    ended = backtest_with_store("candles", "import", "-", *INSTRUMENT, "--json")

    assert (ended.json["bars"], ended.json["files"][0]["name"]) == (12, "standard input")


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (HEADER + lines(some_bars(9, 5 * MINUTE)), (), "type --timeframe 5m"),
        (HEADER + lines(some_bars()), ("--tz", "Mars"), "--tz: 'Mars' is no time zone"),
        (HEADER + lines(some_bars()), ("--where", "x"), "--where: 'x' is not COLUMN=VALUE"),
        ("rubbish", (), "no column for the open price"),
    ],
)
def test_a_refusal_is_one_line_and_nothing_is_stored(
    backtest_with_store: Backtest,
    tmp_path: Path,
    content: str,
    options: tuple[str, ...],
    expected: str,
) -> None:
    (tmp_path / "x.csv").write_text(content)

    ended = backtest_with_store("candles", "import", tmp_path / "x.csv", *INSTRUMENT, *options)

    assert (ended.code, ended.out) == (2, "")
    assert expected in ended.err
    assert ended.err.count("\n") == 1
    assert not list((tmp_path / "store").rglob("*.parquet"))


def test_what_is_in_is_skipped_and_what_would_change_is_asked_for(
    backtest_with_store: Backtest, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(HEADER + lines(some_bars(12)))
    changed = lines(some_bars(12)).replace("101.25", "101.5")
    (tmp_path / "b.csv").write_text(HEADER + changed)

    def imported(*arguments: object) -> Ended:
        return backtest_with_store("candles", "import", *arguments, *INSTRUMENT)

    assert imported(tmp_path / "a.csv").code == 0
    again, refused = imported(tmp_path / "a.csv"), imported(tmp_path / "b.csv")
    tried = imported(tmp_path / "b.csv", "--dry-run")
    replaced = imported(tmp_path / "b.csv", "--replace", "--json")

    assert again.out.startswith(
        "BTCUSDT (market 1): nothing to import (--replace reads files again)\n"
    )
    assert "already imported on 2" in again.out
    assert "12 rows, skipped" in again.out
    assert (refused.code, "type --replace" in refused.err) == (2, True)
    rows = zip(lines(some_bars(12)).splitlines(), changed.splitlines(), strict=True)
    count = sum(before != after for before, after in rows)
    assert f"0 of them new, {count} changed. Nothing was stored (--dry-run)" in tried.out
    assert (replaced.json["new"], replaced.json["changed"]) == (0, count)


def test_bars_of_a_market_that_closes_are_imported(
    backtest_with_store: Backtest, tmp_path: Path
) -> None:
    week = 7 * 1440 * MINUTE
    days = [bar for n in range(8) for bar in some_bars(5, 1440 * MINUTE, START + n * week)]
    (tmp_path / "x.csv").write_text(HEADER + lines(days))

    ended = backtest_with_store(
        *("candles", "import", tmp_path / "x.csv", "--market-id", "1", "--symbol", "eur/usd"),
        *("--timeframe", "1d", "--sessions"),
    )

    assert ended.out == (
        "EURUSD (market 1): 40 bars of 1d, 2024-01-01 00:00 to 2024-02-23 00:00 UTC, 40 of them "
        "new\n  7 stretches without bars: `backtest candles gaps` tells those when the market was "
        "open\n"
    )
