"""A request meets the candles: what is refused, what is stored with a warning."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api import coverage
from api.candles import Candles
from configs.environment import CandlesFolder
from engine.coverage import Coverage
from engine.loading import load
from engine.request import RequestError, complete, parse
from engine.synthetic import minutes
from storage.candles import Bars, Known, open_store
from tests.api.running import Api, Caller, running
from tests.engine.markets import HOUR, priced, stock_hours
from tests.engine.requests import DEFAULTS, LIMITS
from tests.making_jobs import DAY_MS, REQUEST, START_MS, changed, store_candles

SYMBOL = "template__instrument_id__symbol"
MARKET = "template__instrument_id__market_id"
YEAR = {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}
PARTLY = "candles cover 2 of 366 days: 2024-01-01 to 2024-01-02"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A candle store of the test's own, with the candles of the request."""
    return store_candles(tmp_path / "candles")


def put(folder: Path, *instruments: tuple[int, str], start: int = START_MS, days: int = 1) -> None:
    for market_id, symbol in instruments:
        with open_store(CandlesFolder(folder)) as store:
            candles = minutes(seed=1, start_ms=start, count=days * 1440)
            store.append(market_id, symbol, [Bars.of(candles)])


def checked(folder: Path, **changes: Any) -> coverage.Checked:
    request = parse(complete(changed(**changes), DEFAULTS, LIMITS))
    candles = Candles(CandlesFolder(folder), cache_seconds=60)
    try:
        return coverage.check(request, candles)
    finally:
        candles.close()


def refused(folder: Path, **changes: Any) -> str:
    with pytest.raises(RequestError) as raised:
        checked(folder, **changes)
    return str(raised.value)


def test_an_unknown_symbol_is_refused_with_those_like_it_first(folder: Path) -> None:
    put(folder, *((1, name) for name in ("AAAUSDT", "ETHUSDT", "BTCUSDT")))
    said = refused(folder, **{SYMBOL: "BTC-USDT"})
    assert "template.instrument_id: BTC-USDT: market 1 has BTCUSDT, " in said
    assert "ETHUSDT" in said


def test_a_symbol_of_another_market_is_refused_and_the_market_is_named(folder: Path) -> None:
    put(folder, (2, "BTCUSDT"), (4, "BTC_USDT"))
    said = refused(folder, **{SYMBOL: "BTCUSDT"})
    assert "BTCUSDT: market 1 has TESTUSDT; it is in markets 2, 4" in said


def test_a_market_without_candles_is_refused_and_the_others_are_named(folder: Path) -> None:
    # A market of which the configuration knows the fee.
    said = refused(folder, **{MARKET: 2})
    assert "TESTUSDT: market 2 has no candles; it is in market 1" in said
    said = refused(folder, **{MARKET: 2, SYMBOL: "OTHER"})
    assert "OTHER: market 2 has no candles, only market 1" in said


def test_of_many_instruments_a_few_are_named_and_the_rest_counted(folder: Path) -> None:
    put(folder, *((1, f"X{number}") for number in range(30)))
    assert " and 26 more" in refused(folder, **{SYMBOL: "WHAT"})


def test_an_empty_store_says_how_candles_come_into_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no candles at all; `backtest candles import`" in refused(tmp_path / "empty")


def test_a_range_without_candles_is_refused_and_names_the_first_and_the_last(
    folder: Path,
) -> None:
    later = {"start": "2025-01-01T00:00:00Z", "end": "2025-02-01T00:00:00Z"}
    said = refused(folder, time_range=later)
    assert (
        "time_range: holds no 15m bar with candles: those of TESTUSDT go from "
        "2023-12-27T00:00:00Z to 2024-01-02T23:59:00Z"
    ) in said


def test_a_range_too_short_for_a_bar_is_refused(folder: Path) -> None:
    short = {"start": "2024-01-01T00:01:00Z", "end": "2024-01-01T00:29:00Z"}
    assert "time_range: holds no whole 15m bar" in refused(folder, time_range=short)


def test_what_candles_cover_in_full_warns_of_nothing(folder: Path) -> None:
    assert checked(folder).warnings == []


def test_a_large_gap_and_missing_warm_up_are_warned_of(folder: Path) -> None:
    put(folder, (1, "GAPUSDT"))
    put(folder, (1, "GAPUSDT"), start=START_MS + 4 * DAY_MS)
    week = {"start": "2024-01-01T00:00:00Z", "end": "2024-01-06T00:00:00Z"}

    warned = checked(folder, **{SYMBOL: "GAPUSDT"}, time_range=week).warnings

    messages = {one["code"]: one["message"] for one in warned}
    assert list(messages) == ["coverage_partial", "coverage_gap", "warmup_missing"]
    assert "from 2024-01-02T00:00:00Z to 2024-01-05T00:00:00Z" in messages["coverage_gap"]
    assert "ma.cross" in messages["warmup_missing"]


@pytest.mark.parametrize("end", ["2024-01-03T00:00:00Z", "2024-01-02T12:07:00Z", YEAR["end"]])
def test_what_is_stored_is_what_a_worker_finds_from_its_candles(candles: Path, end: str) -> None:
    asked = {"start": "2023-12-28T10:07:00Z", "end": end}
    found = checked(candles, time_range=asked).coverage
    request = parse(complete(changed(time_range=asked), DEFAULTS, LIMITS))
    with open_store(CandlesFolder(candles)) as store:
        loaded = load(request, store.bars, store.known)
    assert found == Coverage.of_candles(request, loaded).document()
    assert found is not None
    assert 0 < found["warmup_present"] < request.warmup_bars


def test_a_refused_request_leaves_nothing(user: Caller) -> None:
    answer = user.post("/backtests/jobs", json=changed(**{SYMBOL: "WHAT"}))
    (detail,) = answer.json()["error"]["details"]
    assert (answer.status_code, detail["path"]) == (422, "template.instrument_id")
    assert user.get("/backtests/jobs").json()["items"] == []


def test_a_range_that_candles_cover_partly_is_stored_with_a_warning(user: Caller) -> None:
    answer = user.post("/backtests/jobs", json=changed(time_range=YEAR))
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    warning, _ = answer.json()["warnings"]
    assert (warning["code"], warning["message"]) == ("coverage_partial", PARTLY)


@pytest.fixture
def without_candles(own_database: str, candles: Path, tmp_path: Path) -> Iterator[Api]:
    """An API whose candle server is away."""
    away = {"ROEHUB_CANDLES_DIR": "", "CH_HOST": "127.0.0.1", "CH_PORT": "1"}
    with running(own_database, candles, tmp_path / "api", changes=away) as api:
        yield api


def test_while_the_candle_source_is_away_a_job_is_stored_with_a_warning(
    without_candles: Api,
) -> None:
    answer = without_candles.post("/backtests/jobs", json=REQUEST)
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    warning, _ = answer.json()["warnings"]
    assert warning["code"] == "coverage_unknown"
    asked = (
        without_candles.post("/backtests/estimate", json=REQUEST),
        without_candles.get("/backtests/instruments"),
        without_candles.get(f"/backtests/jobs/{answer.json()['job_id']}/bars"),
    )
    for refused in asked:
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) > 0


# ----------------------------------------------------------------------------- special instruments

STOCK = Known(timeframe_ms=HOUR, sessions=True, has_volume=False)
HALF = {"start": "2024-01-01T00:00:00Z", "end": "2024-07-01T00:00:00Z"}
OBV = {
    "indicator_id": "volume.obv",
    "signals": {
        "long_delta_periods": {"mode": "explicit", "values": [1]},
        "short_delta_periods": {"mode": "explicit", "values": [1]},
    },
}


def stock(folder: Path, known: Known = STOCK, symbol: str = "AAPL") -> Path:
    """A stock's hours of a year and a half."""
    opens = [at + known.phase_ms for at in stock_hours((2023, 1, 2), (2024, 7, 1))]
    bars = Bars.of(priced(opens))
    with open_store(CandlesFolder(folder)) as store:
        store.append(1, symbol, [bars], known=known)
    return folder


def of_stock(**changes: Any) -> dict[str, Any]:
    return {SYMBOL: "AAPL", "template__timeframe": "1h", "time_range": HALF, **changes}


@pytest.mark.parametrize("phase_ms", [0, HOUR // 2])
@pytest.mark.parametrize("timeframe", ["1h", "4h", "1d"])
def test_of_a_market_that_closes_is_stored_what_a_worker_finds(
    folder: Path, timeframe: str, phase_ms: int
) -> None:
    stock(folder, replace(STOCK, phase_ms=phase_ms))
    asked = of_stock(template__timeframe=timeframe)

    found = checked(folder, **asked)

    request = parse(complete(changed(**asked), DEFAULTS, LIMITS))
    with open_store(CandlesFolder(folder)) as store:
        loaded = load(request, store.bars, store.known)
    assert found.coverage == Coverage.of_candles(request, loaded).document()
    assert found.coverage is not None
    assert found.coverage["bars_present"] == found.coverage["bars_expected"]
    assert found.coverage["warmup_present"] == request.warmup_bars
    assert found.warnings == []


@pytest.mark.parametrize("phase_ms", [0, HOUR // 2])
def test_longer_bars_of_a_market_that_never_closes_are_filled_and_their_gaps_told(
    folder: Path, phase_ms: int
) -> None:
    stock(folder, Known(timeframe_ms=HOUR, phase_ms=phase_ms))
    asked = of_stock()

    found = checked(folder, **asked)

    request = parse(complete(changed(**asked), DEFAULTS, LIMITS))
    with open_store(CandlesFolder(folder)) as store:
        loaded = load(request, store.bars, store.known)
    assert len(loaded.filled) > 3_000
    assert found.coverage == Coverage.of_candles(request, loaded).document()
    assert "coverage_gap" in {one["code"] for one in found.warnings}


def test_a_range_without_bars_of_a_stock_names_those_there_are(folder: Path) -> None:
    stock(folder)
    later = {"start": "2025-01-01T00:00:00Z", "end": "2025-02-01T00:00:00Z"}
    said = refused(folder, **of_stock(time_range=later))
    assert "those of AAPL go from 2023-01-02T15:00:00Z to 2024-07-01T19:00:00Z" in said


def test_a_timeframe_shorter_than_the_stored_bars_is_refused(folder: Path) -> None:
    stock(folder)
    said = refused(folder, **of_stock(template__timeframe="15m"))
    assert said == (
        "template.timeframe: is 15m, but AAPL is stored as 1h bars: choose one of 1h, 2h, 4h, 6h, "
        "12h, 1d"
    )


def test_volume_is_refused_of_an_instrument_without_even_if_its_range_is_known(
    folder: Path,
) -> None:
    stock(folder)
    candles = Candles(CandlesFolder(folder), cache_seconds=60)
    plain = parse(complete(changed(**of_stock(warmup_bars=100)), DEFAULTS, LIMITS))
    volume = of_stock(warmup_bars=100, template__indicator_grids=[OBV])

    assert coverage.check(plain, candles).warnings == []
    with pytest.raises(RequestError, match=r"volume\.obv read volume, and AAPL was imported"):
        coverage.check(parse(complete(changed(**volume), DEFAULTS, LIMITS)), candles)
    candles.close()


def test_what_an_instrument_cannot_give_is_refused_at_submission_and_in_an_estimate(
    user: Caller, candles: Path
) -> None:
    stock(candles, symbol="AAPL")
    document = changed(**of_stock(template__indicator_grids=[OBV], template__timeframe="15m"))

    submitted = user.post("/backtests/jobs", json=document)
    estimated = user.post("/backtests/estimate", json=document)

    paths = ["template.indicator_grids", "template.timeframe"]
    details = submitted.json()["error"]["details"]
    assert (submitted.status_code, [one["path"] for one in details]) == (422, paths)
    assert (estimated.status_code, estimated.json()["accepted"]) == (200, False)
    assert [one["path"] for one in estimated.json()["errors"]] == paths
    assert user.get("/backtests/jobs").json()["items"] == []


def test_instruments_say_how_long_their_bars_are_at_least(user: Caller, candles: Path) -> None:
    stock(candles, symbol="LONGER")

    items = user.get("/backtests/instruments").json()["items"]

    found = {item["symbol"]: (item["timeframe"], item["minutes"]) for item in items}
    assert found["TESTUSDT"][0] == "1m"
    assert found["LONGER"] == ("1h", 60 * len(stock_hours((2023, 1, 2), (2024, 7, 1))))
