"""Funding as it is stored: how it is asked for, loaded, counted, and missed."""

from typing import Any

import numpy as np
import pytest

from engine.candles import Candles
from engine.coverage import Coverage
from engine.funding import Funding
from engine.kernels.rules import execution_rules
from engine.loading import load
from engine.request import Request, RequestError, complete, parse
from engine.request.warnings import of_coverage
from engine.request.words import modes_text
from tests.engine.markets import priced, reading
from tests.engine.requests import DEFAULTS, LIMITS, with_value
from tests.engine.test_coverage import DAY, HOUR, JANUARY, asking

FIELD = "template.execution.funding_pct_per_8h"
STORED: dict[str, Any] = {"execution": {"fee_pct": 0.1, "funding_pct_per_8h": "stored"}}
TEN_DAYS = "2022-01-11T00:00:00Z"
OPENS = [JANUARY + hour * HOUR for hour in range(10 * 24)]
EIGHTS = [JANUARY + 8 * HOUR * number for number in range(31)]


def read(whole: dict[str, Any]) -> Request:
    return parse(complete(whole, DEFAULTS, LIMITS))


def test_the_word_stored_stays_in_the_effective_request() -> None:
    request = read(with_value(FIELD, "stored"))
    assert request.document["template"]["execution"]["funding_pct_per_8h"] == "stored"
    assert request.wants_stored_funding
    rules = execution_rules(request)
    assert (rules.stored_funding, rules.funding) == (True, 0.0)
    assert not read(with_value(FIELD, 0.5)).wants_stored_funding


def test_what_is_stored_is_said_in_the_place_of_a_percent() -> None:
    execution = {"funding_pct_per_8h": "stored", "borrow_pct_per_year": 5}
    assert modes_text({"execution": execution}) == "funding as stored, borrowing 5 % a year"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("Stored", 'must be a number or "stored", got "Stored"'),
        ("0.01", 'must be a number or "stored", got "0.01"'),
        (None, "must be a number, got null"),
        (["stored"], "must be a number, got an array"),
        (11, "must be at most 10, got 11"),
    ],
)
def test_no_other_word_is_taken(value: Any, told: str) -> None:
    with pytest.raises(RequestError) as refusal:
        read(with_value(FIELD, value))
    (error,) = refusal.value.errors
    assert (error.path, error.message) == (FIELD, told)


def test_another_number_takes_no_word() -> None:
    with pytest.raises(RequestError, match='must be a number, got "stored"'):
        read(with_value("template.execution.borrow_pct_per_year", "stored"))


def loaded(request: Request, times: list[int]) -> Candles:
    payments = Funding(np.array(times, np.int64), np.arange(1.0, len(times) + 1) / 100)

    def pay(market_id: int, symbol: str, from_ms: int, to_ms: int) -> Funding:
        assert (market_id, symbol) == (request.market_id, request.symbol)
        return Funding.within(payments, from_ms - 1, to_ms - 1)

    return load(request, reading(priced(OPENS)), pay=pay)


def test_payments_after_the_first_open_up_to_the_last_close_are_loaded() -> None:
    request = asking("2022-01-02", "2022-01-03", **STORED)
    candles = loaded(request, EIGHTS)
    assert candles.funding is not None
    assert candles.funding.times.tolist() == [JANUARY + DAY + h * HOUR for h in (8, 16, 24)]
    assert candles.funding.rates.tolist() == [0.05, 0.06, 0.07]


def test_nothing_is_read_for_a_percent() -> None:
    def pay(*_asked: Any) -> Funding:
        raise AssertionError("nobody wants it")

    request = asking("2022-01-02", "2022-01-03", execution={"funding_pct_per_8h": 0.1})
    assert load(request, reading(priced(OPENS)), pay=pay).funding is None


@pytest.mark.parametrize("times", [[], EIGHTS[:4], EIGHTS[7:]])
def test_a_range_without_a_rate_is_refused(times: list[int]) -> None:
    request = asking("2022-01-02", "2022-01-03", **STORED)
    with pytest.raises(RequestError) as refusal:
        loaded(request, times)
    (error,) = refusal.value.errors
    assert error.path == FIELD
    assert error.message == (
        'is "stored", but no funding rate of BTCUSDT (market 1) is stored from '
        "2022-01-02T00:00:00Z to 2022-01-03T00:00:00Z: import some (backtest funding import FILE "
        "--market-id 1 --symbol BTCUSDT), or give a number"
    )


def told(times: list[int]) -> tuple[dict[str, Any], list[str]]:
    """Return what ten days say of their rates, and the warnings of their gaps."""
    request = asking(end=TEN_DAYS, **STORED)
    coverage = Coverage.of_candles(request, loaded(request, times))
    warned = [one for one in of_coverage(request, coverage) if one["code"] == "funding_gap"]
    assert {one["path"] for one in warned} <= {FIELD}
    return coverage.document()["funding"], [one["message"] for one in warned]


def test_a_whole_series_is_counted_and_warns_of_nothing() -> None:
    assert told(EIGHTS) == (
        {
            "rates": 30,
            "first": "2022-01-01T08:00:00Z",
            "last": TEN_DAYS,
            "longest_gap_start": "2022-01-01T00:00:00Z",
            "longest_gap_end": "2022-01-01T08:00:00Z",
        },
        [],
    )


def test_a_day_without_a_rate_is_no_warning_and_a_longer_time_is_named() -> None:
    missing = "no funding rates are stored from 2022-01-04T00:00:00Z to 2022-01-0{}Z{}: nothing is "
    missing += "paid there; import them, or give a number"
    a_day = [at for at in EIGHTS if not 3 * DAY < at - JANUARY < 4 * DAY]
    assert told(a_day)[1] == []
    more = [at for at in EIGHTS if not 3 * DAY < at - JANUARY <= 4 * DAY]
    assert told(more)[1] == [missing.format("5T08:00:00", "")]
    several = [at for at in more if not 6 * DAY < at - JANUARY <= 7 * DAY]
    assert told(several)[1] == [missing.format("5T08:00:00", " (1 more gap of over a day)")]


def test_a_series_that_begins_late_or_ends_early_has_gaps_at_the_ends() -> None:
    (late,), (early,) = told(EIGHTS[9:])[1], told(EIGHTS[:22])[1]
    assert "from 2022-01-01T00:00:00Z to 2022-01-04T00:00:00Z" in late
    assert f"from 2022-01-08T00:00:00Z to {TEN_DAYS}" in early
