"""What candles cover of a request, and what a submitter is warned of."""

from typing import Any

import numpy as np
import pytest

from engine.candles import Candles
from engine.coverage import Coverage, Presence
from engine.loading import load
from engine.request import Request, complete, parse
from engine.request.warnings import coverage_unknown, of_coverage, of_levels
from engine.synthetic import Minutes
from engine.timeframes import TIMEFRAMES
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit

DAY = TIMEFRAMES["1d"]
HOUR = TIMEFRAMES["1h"]
JANUARY = 1_640_995_200_000  # 2022-01-01T00:00:00Z


def asking(
    start: str = "2022-01-01T00:00:00Z",
    end: str = "2023-01-01T00:00:00Z",
    *,
    timeframe: str = "1h",
    warmup: int = 0,
    grids: list[dict[str, Any]] | None = None,
    **template: Any,
) -> Request:
    whole = document()
    whole["time_range"] = {"start": start, "end": end}
    whole["warmup_bars"] = warmup
    sma = {"indicator_id": "ma.sma", "params": {"window": explicit(2)}}
    whole["template"] |= {"timeframe": timeframe, "indicator_grids": grids or [sma], **template}
    return parse(complete(whole, DEFAULTS, LIMITS))


def loaded(request: Request, opens: list[int]) -> Candles:
    """Bars that open at these times, as the worker loads them."""
    at = np.array(opens, dtype=np.int64)
    price = 100.0 + np.arange(len(at))

    def read(_market: int, _symbol: str, from_ms: int, to_ms: int, _step: int) -> Minutes:
        kept = (at >= from_ms) & (at < to_ms)
        values = price[kept]
        return Minutes(at[kept], values, values + 1, values - 1, values, np.ones(kept.sum()))

    return load(request, read)


def covered(request: Request, opens: list[int]) -> Coverage:
    return Coverage.of_candles(request, loaded(request, opens))


def said(warned: list[dict[str, str]]) -> dict[str, str]:
    return {one["code"]: one["message"] for one in warned}


ONE_MONTH = [JANUARY + hour * HOUR for hour in range(31 * 24)]


def test_a_month_of_candles_under_a_year_that_was_asked_for() -> None:
    coverage = covered(asking(), ONE_MONTH)
    assert coverage.document() == {
        "asked": {"start": "2022-01-01T00:00:00Z", "end": "2023-01-01T00:00:00Z"},
        "traded": {"start": "2022-01-01T00:00:00Z", "end": "2022-02-01T00:00:00Z"},
        "bars_expected": 365 * 24,
        "bars_present": 31 * 24,
        "first": "2022-01-01T00:00:00Z",
        "last": "2022-01-31T23:00:00Z",
        "longest_gap_bars": 0,
        "longest_gap_start": None,
        "warmup_bars": 0,
        "warmup_present": 0,
        "undefined": ["ma.sma"],
        "unsettled": [],
    }


def test_the_warning_says_how_much_of_the_year_there_is() -> None:
    request = asking()
    messages = said(of_coverage(request, covered(request, ONE_MONTH)))
    expected = "candles cover 31 of 365 days: 2022-01-01 to 2022-01-31"
    assert messages["coverage_partial"] == expected


def test_a_gap_inside_is_measured_and_told() -> None:
    request = asking(end="2022-02-01T00:00:00Z")
    gap = range(JANUARY + 10 * DAY, JANUARY + 13 * DAY)
    coverage = covered(request, [at for at in ONE_MONTH if at not in gap])

    assert coverage.bars_present == 28 * 24
    assert (coverage.longest_gap_bars, coverage.longest_gap_start_ms) == (72, gap.start)
    assert (
        "from 2022-01-11T00:00:00Z to 2022-01-14T00:00:00Z"
        in said(of_coverage(request, coverage))["coverage_gap"]
    )


def test_a_whole_month_warns_of_nothing_but_the_warm_up() -> None:
    request = asking(end="2022-02-01T00:00:00Z")
    assert list(said(of_coverage(request, covered(request, ONE_MONTH)))) == ["warmup_missing"]


def test_one_missing_bar_in_a_thousand_is_no_warning() -> None:
    request = asking(end="2022-02-01T00:00:00Z", warmup=5)
    opens = [JANUARY - 5 * HOUR + hour * HOUR for hour in range(31 * 24 + 5)]
    assert of_coverage(request, covered(request, [at for at in opens if at != opens[200]])) == []


def test_a_range_that_lacks_its_first_bar_only_is_told_in_bars() -> None:
    request = asking(end="2022-01-11T00:00:00Z")
    message = said(of_coverage(request, covered(request, ONE_MONTH[1:])))["coverage_partial"]
    assert message == (
        "candles cover 239 of 240 bars: 2022-01-01T01:00:00Z to 2022-01-10T23:00:00Z"
    )


def test_missing_warm_up_does_not_shift_the_range() -> None:
    opens = [JANUARY - 3 * HOUR + hour * HOUR for hour in range(24 * 40)]
    coverage = covered(asking(warmup=10), opens)
    assert (coverage.warmup_bars, coverage.warmup_present) == (10, 3)
    assert coverage.document()["traded"]["start"] == "2022-01-01T00:00:00Z"


def test_warm_up_counts_from_the_first_candle_on() -> None:
    opens = [JANUARY - 8 * HOUR, JANUARY - HOUR, *ONE_MONTH]
    assert covered(asking(warmup=10), opens).warmup_present == 8


def test_bars_across_the_end_are_neither_expected_nor_present() -> None:
    request = asking("2022-01-01T00:30:00Z", "2022-01-01T05:30:00Z")
    coverage = covered(request, ONE_MONTH)
    assert (coverage.bars_expected, coverage.bars_present) == (4, 4)
    assert coverage.document()["traded"] == {
        "start": "2022-01-01T01:00:00Z",
        "end": "2022-01-01T05:00:00Z",
    }


def block(indicator: str, name: str, *windows: int) -> dict[str, Any]:
    return {"indicator_id": indicator, "name": name, "params": {"window": explicit(*windows)}}


def test_blocks_are_undefined_or_unsettled_by_the_largest_of_their_windows() -> None:
    grids = [
        block("ma.sma", "short", 3, 11),
        block("ma.sma", "long", 12, 3),
        block("ma.ema", "slow", 5),
    ]
    opens = [JANUARY - 10 * HOUR + hour * HOUR for hour in range(24 * 40)]

    coverage = covered(asking(warmup=10, grids=grids), opens)

    # An average of 11 has its first value after 10 bars, one of 12 after 11. The one of 5 forgets
    # its seed after 4 + ceil(ln 0.001 / ln(2/3)) = 22 bars.
    assert coverage.undefined == ("long",)
    assert coverage.unsettled == ("slow",)


def test_exit_blocks_without_a_value_are_named_as_such() -> None:
    exits = [block("ma.sma", "long", 13), block("ma.ema", "slow", 5)]
    grids = [block("ma.sma", "long", 3)]
    request = asking(warmup=10, grids=grids, position="hold", exit_grids=exits)
    early = [JANUARY - 10 * HOUR + hour * HOUR for hour in range(24 * 40)]

    coverage = covered(request, early)

    assert (coverage.undefined, coverage.unsettled) == (("exit long",), ("exit slow",))
    message = said(of_coverage(request, coverage))["warmup_missing"]
    assert "some variants of exit long have no value" in message
    assert "need 12 bars before it, and 10 are there" in message


def test_what_has_no_value_is_named_with_what_it_needs() -> None:
    request = asking(warmup=10, grids=[block("ma.sma", "long", 12)])
    early = [JANUARY - 50 * HOUR + hour * HOUR for hour in range(24 * 40)]

    message = said(of_coverage(request, covered(request, early)))["warmup_missing"]
    assert "long" in message
    assert "need 11 bars before it, and 10 are there; raise warmup_bars" in message

    message = said(of_coverage(request, covered(request, ONE_MONTH)))["warmup_missing"]
    assert "and 0 are there; import earlier candles" in message


def prices(lowest: float, highest: float) -> Presence:
    return Presence(9, JANUARY, JANUARY + 8 * HOUR, 0, None, JANUARY, JANUARY, lowest, highest)


COSTLESS = {"slippage_pct": 0}
# Prices from 80 to 100: a fall of 20 %, a rise of 25 %.
LEVELS = [
    ("long-only", "sl", 20, 20.1),
    ("long-only", "tp", 25, 25.1),
    ("long-only", "tsl", 20, 20.1),
    ("short-only", "sl", 25, 25.1),
    ("short-only", "tp", 20, 20.1),
    ("short-only", "tsl", 25, 25.1),
    ("long-short", "sl", 25, 25.1),
    ("long-short", "tp", 25, 25.1),
    ("long-short", "tsl", 25, 25.1),
]


@pytest.mark.parametrize(("direction", "axis", "reached", "idle"), LEVELS)
def test_a_level_beyond_the_whole_move_of_the_range_is_named(
    direction: str, axis: str, reached: float, idle: float
) -> None:
    request = asking(
        direction_mode=direction,
        execution=COSTLESS,
        risk_grid={axis: explicit(None, reached, idle)},
    )
    (warned,) = of_levels(request, prices(80.0, 100.0))
    assert warned["code"] == "levels_cannot_trigger"
    assert f": {axis} {idle}. Prices in the range go from 80 to 100" in warned["message"]


def test_slippage_brings_the_stop_of_a_long_nearer() -> None:
    def warned(slippage: float) -> list[dict[str, str]]:
        request = asking(
            direction_mode="long-only",
            execution={"slippage_pct": slippage},
            risk_grid={"sl": explicit(20.5)},
        )
        return of_levels(request, prices(80.0, 100.0))

    assert warned(0.0)
    assert not warned(1.0)  # bought at 101, stopped at 80.295


def test_a_range_that_begins_with_a_repeated_close_promises_nothing_about_levels() -> None:
    request = asking(risk_grid={"sl": explicit(90)}, execution=COSTLESS, direction_mode="long-only")
    late = Presence(8, JANUARY + HOUR, JANUARY + 8 * HOUR, 0, None, JANUARY, JANUARY, 80.0, 100.0)
    assert of_levels(request, late) == []


def test_many_idle_levels_are_counted_rather_than_listed() -> None:
    request = asking(risk_grid={"sl": explicit(*range(50, 70))}, execution=COSTLESS)
    (warned,) = of_levels(request, prices(80.0, 100.0))
    assert "sl 50, 51, 52, 53, 54 and 15 more" in warned["message"]


def paths(warned: list[dict[str, Any]]) -> dict[str, str | None]:
    assert all(set(one) == {"code", "message", "path"} for one in warned)
    return {one["code"]: one["path"] for one in warned}


def test_a_warning_names_the_field_whose_change_would_help() -> None:
    later = [at for at in ONE_MONTH if not 5 * DAY < at - JANUARY < 9 * DAY]
    asked = asking(warmup=10, grids=[block("ma.sma", "long", 12)])
    assert paths(of_coverage(asked, covered(asked, later))) == {
        "coverage_partial": "time_range",
        "coverage_gap": "time_range",
        "warmup_missing": "time_range.start",
    }
    early = [JANUARY - 50 * HOUR + hour * HOUR for hour in range(24 * 400)]
    assert paths(of_coverage(asked, covered(asked, early))) == {"warmup_missing": "warmup_bars"}
    assert paths([coverage_unknown("it is away")]) == {"coverage_unknown": None}


@pytest.mark.parametrize(
    ("axes", "path"),
    [
        (("sl",), "template.risk_grid.sl"),
        (("tsl",), "template.risk_grid.tsl"),
        (("sl", "tp"), "template.risk_grid"),
    ],
)
def test_a_warning_of_idle_levels_names_their_axis(axes: tuple[str, ...], path: str) -> None:
    request = asking(risk_grid={axis: explicit(90, 1) for axis in axes}, execution=COSTLESS)
    assert paths(of_levels(request, prices(80.0, 100.0))) == {"levels_cannot_trigger": path}
