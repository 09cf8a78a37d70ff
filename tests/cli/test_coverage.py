"""A submission meets the candles: what is refused, what is stored with a warning."""

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cli.submission import sentence

from cli import coverage
from configs.environment import CandlesFolder
from engine.candles import load
from engine.coverage import Coverage
from engine.request import complete, parse
from engine.synthetic import minutes
from storage.candles import Bars, open_store
from tests.cli.conftest import DAY_MS, START_MS, Backtest, changed, written
from tests.engine.requests import DEFAULTS, LIMITS

SYMBOL = "template__instrument_id__symbol"
MARKET = "template__instrument_id__market_id"


def no_jobs(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute("SELECT FROM backtest_jobs").fetchone() is None


def put(folder: Path, *instruments: tuple[int, str], start: int = START_MS, days: int = 1) -> None:
    for market_id, symbol in instruments:
        with open_store(CandlesFolder(folder)) as store:
            candles = minutes(seed=1, start_ms=start, count=days * 1440)
            store.append(market_id, symbol, [Bars.of(candles)])


def refused(service: Backtest, folder: Path, **changes: Any) -> str:
    ended = service("submit", written(folder, changed(**changes)))
    assert ended.code == 2, ended.out
    return ended.err


def test_an_unknown_symbol_is_refused_with_those_like_it_first(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    put(tmp_path / "candles", *((1, name) for name in ("AAAUSDT", "ETHUSDT", "BTCUSDT")))
    said = refused(service, tmp_path, **{SYMBOL: "BTC-USDT"})
    assert "template.instrument_id: BTC-USDT: market 1 has BTCUSDT, " in said
    assert "ETHUSDT" in said
    assert no_jobs(connection)


def test_a_symbol_of_another_market_is_refused_and_the_market_is_named(
    service: Backtest, tmp_path: Path
) -> None:
    put(tmp_path / "candles", (2, "BTCUSDT"), (4, "BTC_USDT"))
    said = refused(service, tmp_path, **{SYMBOL: "BTCUSDT"})
    assert "BTCUSDT: market 1 has TESTUSDT; it is in markets 2, 4" in said


def test_a_market_without_candles_is_refused_and_the_others_are_named(
    service: Backtest, tmp_path: Path
) -> None:
    # A market of which the configuration knows the fee.
    said = refused(service, tmp_path, **{MARKET: 2})
    assert "TESTUSDT: market 2 has no candles; it is in market 1" in said
    said = refused(service, tmp_path, **{MARKET: 2, SYMBOL: "OTHER"})
    assert "OTHER: market 2 has no candles, only market 1" in said


def test_of_many_instruments_a_few_are_named_and_the_rest_counted(
    service: Backtest, tmp_path: Path
) -> None:
    put(tmp_path / "candles", *((1, f"X{number}") for number in range(30)))
    assert " and 26 more" in refused(service, tmp_path, **{SYMBOL: "WHAT"})


def test_an_empty_store_says_how_candles_come_into_it(
    service: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(tmp_path / "empty"))
    assert "no candles at all; `backtest candles import`" in refused(service, tmp_path)


def test_a_range_without_candles_is_refused_and_names_the_first_and_the_last(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    later = {"start": "2025-01-01T00:00:00Z", "end": "2025-02-01T00:00:00Z"}
    said = refused(service, tmp_path, time_range=later)
    assert (
        "time_range: holds no 15m bar with candles: those of TESTUSDT go from "
        "2023-12-27T00:00:00Z to 2024-01-02T23:59:00Z"
    ) in said
    assert no_jobs(connection)


def test_a_range_too_short_for_a_bar_is_refused(service: Backtest, tmp_path: Path) -> None:
    short = {"start": "2024-01-01T00:01:00Z", "end": "2024-01-01T00:29:00Z"}
    assert "time_range: holds no whole 15m bar" in refused(service, tmp_path, time_range=short)


def test_what_candles_cover_in_full_warns_of_nothing(service: Backtest, tmp_path: Path) -> None:
    assert service("submit", written(tmp_path, changed()), "--json").json["warnings"] == []


YEAR = {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}
PARTLY = "candles cover 2 of 366 days: 2024-01-01 to 2024-01-02"


def test_a_range_that_candles_cover_partly_is_stored_with_a_warning(
    service: Backtest, tmp_path: Path
) -> None:
    ended = service("submit", written(tmp_path, changed(time_range=YEAR)), "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json["state"] == "queued"
    assert ended.json["warnings"] == [
        {"code": "coverage_partial", "message": PARTLY, "path": "time_range"}
    ]


def test_warnings_are_printed_for_people(service: Backtest, tmp_path: Path) -> None:
    ended = service("submit", written(tmp_path, changed(time_range=YEAR)))
    assert f"warning: {PARTLY}\n" in ended.out


def test_a_large_gap_and_missing_warm_up_are_warned_of(service: Backtest, tmp_path: Path) -> None:
    put(tmp_path / "candles", (1, "GAPUSDT"))
    put(tmp_path / "candles", (1, "GAPUSDT"), start=START_MS + 4 * DAY_MS)
    week = {"start": "2024-01-01T00:00:00Z", "end": "2024-01-06T00:00:00Z"}
    document = changed(**{SYMBOL: "GAPUSDT"}, time_range=week)

    warned = service("submit", written(tmp_path, document), "--json").json["warnings"]

    messages = {one["code"]: one["message"] for one in warned}
    assert list(messages) == ["coverage_partial", "coverage_gap", "warmup_missing"]
    assert "from 2024-01-02T00:00:00Z to 2024-01-05T00:00:00Z" in messages["coverage_gap"]
    assert "ma.cross" in messages["warmup_missing"]


def test_while_the_candle_source_is_away_a_job_is_stored_with_a_warning(
    service: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROEHUB_CANDLES_DIR")
    monkeypatch.setenv("CH_HOST", "127.0.0.1")
    monkeypatch.setenv("CH_PORT", "1")

    ended = service("submit", written(tmp_path, changed()), "--json")

    assert (ended.code, ended.json["state"]) == (0, "queued")
    (warned,) = ended.json["warnings"]
    assert warned["code"] == "coverage_unknown"
    assert "127.0.0.1" in warned["message"]


@pytest.mark.parametrize("end", ["2024-01-03T00:00:00Z", "2024-01-02T12:07:00Z", YEAR["end"]])
def test_what_is_stored_is_what_a_worker_finds_from_its_candles(candles: Path, end: str) -> None:
    document = changed(time_range={"start": "2023-12-28T10:07:00Z", "end": end})
    request = parse(complete(document, DEFAULTS, LIMITS))
    environ = {**os.environ, "ROEHUB_CANDLES_DIR": str(candles)}
    environ.pop("CH_HOST", None)

    checked = coverage.check(request, environ)

    with open_store(CandlesFolder(candles)) as store:
        loaded = load(request, store.bars)
    assert checked.coverage == Coverage.of_candles(request, loaded).document()
    assert 0 < checked.coverage["warmup_present"] < request.warmup_bars


def test_a_dry_run_tells_everything_and_stores_nothing(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    ended = service("submit", written(tmp_path, changed(time_range=YEAR)), "--dry-run", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = ended.json
    assert found["request"]["warmup_bars"] >= 0
    assert found["request"]["template"]["execution"]["fee_pct"] == 0.075
    sizes = ("stage_a_variants", "stage_b_variants", "risk_combinations")
    assert [found["estimate"][size] for size in sizes] == [8, 16, 2]
    assert found["estimate"]["bytes"] > 0
    assert found["coverage"]["bars_present"] == 192
    assert [one["code"] for one in found["warnings"]] == ["coverage_partial"]
    assert no_jobs(connection)


def test_a_dry_run_of_what_would_be_refused_is_code_2(service: Backtest, tmp_path: Path) -> None:
    ended = service("submit", written(tmp_path, changed(**{SYMBOL: "WHAT"})), "--dry-run")
    assert ended.code == 2
    assert "market 1 has TESTUSDT" in ended.err


def test_a_dry_run_needs_no_database(
    backtest: Backtest, candles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_ENV", "test")
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(candles))
    ended = backtest("submit", written(tmp_path, changed(time_range=YEAR)), "--dry-run")
    assert ended.code == 0, ended.err
    assert "8 x 2 variants" in ended.out
    assert f"warning: {PARTLY}\n" in ended.out
    assert "nothing was stored" in ended.out


def test_a_submission_says_how_much_there_is_to_compute(service: Backtest, tmp_path: Path) -> None:
    assert "8 x 2 variants" in service("submit", written(tmp_path, changed())).out


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "601 328 x 30 variants"),
        (0.4, "601 328 x 30 variants, less than a second of one worker"),
        (4.2, "601 328 x 30 variants, about 4s of one worker"),
        (75.0, "601 328 x 30 variants, about 1m 15s of one worker"),
    ],
)
def test_the_time_is_told_where_the_rate_of_the_machine_is_known(
    seconds: float | None, said: str
) -> None:
    size = {"stage_a_variants": 601_328, "risk_combinations": 30, "seconds": seconds}
    assert sentence(size) == said
