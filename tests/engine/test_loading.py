"""What is read for a request, and what an instrument cannot give."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.candles import Candles, NoMarketData
from engine.coverage import Coverage, Presence
from engine.loading import Known, Ordinary, load, refuse, volume_readers
from engine.request import Request, RequestError, complete, parse
from engine.request.warnings import of_coverage, of_levels
from engine.timeframes import TIMEFRAMES
from tests.engine.markets import DAY, HOUR, ms, priced, reading, stock_hours, working_days
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit

STOCK = Ordinary(timeframe_ms=HOUR, sessions=True)
HOURS = stock_hours((2023, 1, 2), (2024, 12, 31))
SMA = {"indicator_id": "ma.sma", "params": {"window": explicit(2)}}


def asking(
    start: str, end: str, timeframe: str = "1h", warmup: int = 0, *grids: dict[str, Any]
) -> Request:
    whole = document()
    whole["time_range"] = {"start": start, "end": end}
    whole["warmup_bars"] = warmup
    whole["template"] |= {"timeframe": timeframe, "indicator_grids": list(grids) or [SMA]}
    return parse(complete(whole, DEFAULTS, LIMITS))


def loaded(request: Request, opens: list[int], known: Known = STOCK) -> Candles:
    return load(request, reading(priced(opens)), lambda *_: known)


def said(request: Request, opens: list[int]) -> tuple[Coverage, dict[str, str]]:
    candles = loaded(request, opens)
    coverage = Coverage.of_candles(request, candles)
    warned = [*of_coverage(request, coverage), *of_levels(request, Presence.of(candles))]
    return coverage, {one["code"]: one["message"] for one in warned}


YEAR = "2024-01-01", "2025-01-01"


def test_bars_of_a_market_that_closes_are_those_that_there_are() -> None:
    candles = loaded(asking(*YEAR), HOURS)

    assert candles.ts_open.tolist() == [at for at in HOURS if at >= ms(2024, 1, 1)]
    assert len(candles.filled) == 0
    assert np.isin(candles.close, priced(HOURS).close).all()


@pytest.mark.parametrize("warmup", [3, 100, 2_000])
def test_warm_up_counts_bars_however_far_back_they_are(warmup: int) -> None:
    first = ms(2024, 11, 4, 15)  # a Monday: the warm-up is the week before, and further back
    candles = loaded(asking("2024-11-04", "2024-12-01", "1h", warmup), HOURS)

    before = HOURS.index(first)
    assert candles.first == warmup
    assert candles.ts_open[: warmup + 1].tolist() == HOURS[before - warmup : before + 1]


def test_warm_up_is_found_behind_many_closed_hours() -> None:
    opens = [at + 15 * HOUR for at in working_days(ms(2020, 1, 1), ms(2024, 12, 31))]

    candles = loaded(asking("2024-06-03", "2024-12-01", "1h", 900), opens)

    assert candles.first == 900
    assert candles.ts_open[0] == opens[opens.index(ms(2024, 6, 3, 15)) - 900]


def test_where_there_are_fewer_bars_before_the_range_all_of_them_warm_up() -> None:
    candles = loaded(asking("2023-01-03", "2023-03-01", "1h", 500), HOURS)

    assert candles.first == 6
    assert candles.ts_open[0] == HOURS[0]


def test_a_range_that_begins_in_the_night_warms_up_even_if_no_bar_lacks_inside() -> None:
    candles = loaded(asking("2024-06-04T14:00:00Z", "2024-06-04T18:00:00Z", "1h", 3), HOURS)

    assert candles.first == 3
    assert len(candles.ts_open) == 7


def test_a_bar_that_ends_after_the_range_is_not_traded() -> None:
    candles = loaded(asking("2024-06-04", "2024-06-04T16:30:00Z"), HOURS)

    assert candles.ts_open.tolist() == [ms(2024, 6, 4, 14), ms(2024, 6, 4, 15)]


def test_a_range_of_closed_hours_alone_has_no_data() -> None:
    with pytest.raises(NoMarketData, match="no 1h bar lies between"):
        loaded(asking("2024-06-08", "2024-06-10"), HOURS)


def test_without_sessions_gaps_are_filled_as_ever() -> None:
    candles = loaded(asking("2024-06-03", "2024-06-08"), HOURS, Ordinary(timeframe_ms=HOUR))

    assert (np.diff(candles.ts_open) == HOUR).all()
    assert len(candles.filled) > 60


PHASE = HOUR // 2
LATE = [at + PHASE for at in range(ms(2024, 1, 1), ms(2024, 6, 1), HOUR)]


@pytest.mark.parametrize(("timeframe", "step"), [("1h", HOUR), ("4h", 4 * HOUR)])
def test_bars_that_open_at_half_past_are_traded_from_the_first_in_the_range(
    timeframe: str, step: int
) -> None:
    opens = [at for at in LATE if (at - PHASE) % step == 0]
    lacking = [at for at in opens if at != ms(2024, 2, 5, 12) + PHASE]
    known = Ordinary(timeframe_ms=step, phase_ms=PHASE)

    candles = loaded(asking("2024-02-01", "2024-03-01", timeframe, 5), opens, known)
    with_a_gap = loaded(asking("2024-02-01", "2024-03-01", timeframe, 5), lacking, known)

    first = next(at for at in opens if at >= ms(2024, 2, 1))
    assert candles.first == with_a_gap.first == 5
    assert candles.ts_open[5] == with_a_gap.ts_open[5] == first
    assert candles.close_time()[-1] <= ms(2024, 3, 1) < candles.close_time()[-1] + step
    assert len(candles.filled) == 0
    assert with_a_gap.ts_open[with_a_gap.filled].tolist() == [ms(2024, 2, 5, 12) + PHASE]


@pytest.mark.parametrize("warmup", [0, 5])
def test_a_range_may_begin_between_two_bars_that_open_at_half_past(warmup: int) -> None:
    request = asking("2024-02-01T10:15:00Z", "2024-02-02", "1h", warmup)

    candles = loaded(request, LATE, Ordinary(timeframe_ms=HOUR, phase_ms=PHASE))

    assert candles.first == warmup
    assert candles.ts_open[warmup] == ms(2024, 2, 1, 10) + PHASE


def test_coverage_counts_bars_that_open_at_half_past() -> None:
    request = asking("2024-02-01", "2024-02-02", "1h", 5)
    candles = loaded(request, LATE, Ordinary(timeframe_ms=HOUR, phase_ms=PHASE))
    coverage = Coverage.of_candles(request, candles)

    # From 00:30 to 23:30 before the last bar would end the next day.
    assert (coverage.bars_expected, coverage.bars_present) == (23, 23)
    assert (coverage.warmup_bars, coverage.warmup_present) == (5, 5)
    assert coverage.traded_start_ms == ms(2024, 2, 1) + PHASE
    assert of_coverage(request, coverage) == []


def test_bars_that_open_elsewhere_than_is_known_are_an_error() -> None:
    with pytest.raises(ValueError, match="not ascending multiples"):
        loaded(asking("2024-02-01", "2024-02-02"), LATE, Ordinary(timeframe_ms=HOUR))


def test_bars_without_a_gap_have_one_hash_whatever_is_known() -> None:
    opens = list(range(ms(2024, 1, 1), ms(2024, 2, 1), HOUR))
    request = asking("2024-01-10", "2024-01-20", "1h", 48)

    hashes = {loaded(request, opens, one).content_hash() for one in (STOCK, Ordinary())}

    assert len(hashes) == 1


def test_nothing_is_asked_where_every_bar_is_there_and_nobody_reads_volume() -> None:
    opens = list(range(ms(2024, 1, 1), ms(2024, 2, 1), HOUR))

    def must_not_be_asked(*_: object) -> Known:
        raise AssertionError

    load(asking("2024-01-10", "2024-01-20"), reading(priced(opens)), must_not_be_asked)


# ----------------------------------------------------------------------------- coverage


def test_a_year_with_nights_and_weekends_is_covered_whole() -> None:
    coverage, warned = said(asking(*YEAR), HOURS)

    assert coverage.bars_expected == coverage.bars_present == 262 * 6
    assert coverage.longest_gap_bars == 0
    assert "coverage_partial" not in warned
    assert "coverage_gap" not in warned


def test_an_outage_is_a_gap_of_the_bars_that_should_be_there() -> None:
    opens = [at for at in HOURS if not ms(2024, 6, 4, 18) <= at < ms(2024, 6, 18)]

    coverage, warned = said(asking(*YEAR), opens)

    assert coverage.bars_expected == 262 * 6
    assert coverage.bars_expected - coverage.bars_present == 2 + 9 * 6
    assert coverage.longest_gap_bars == 2 + 9 * 6
    assert coverage.longest_gap_start_ms == ms(2024, 6, 4, 18)
    assert warned["coverage_gap"] == (
        "56 bars in a row are missing from 2024-06-04T18:00:00Z on, closed hours left out"
    )
    assert warned["coverage_partial"].startswith("candles cover 1516 of 1572 bars: 2024-01-01")


def test_warm_up_that_is_there_is_counted_in_bars() -> None:
    coverage, _ = said(asking("2023-01-03", "2023-03-01", "1h", 500), HOURS)

    assert (coverage.warmup_present, coverage.warmup_bars) == (6, 500)
    assert coverage.traded_start_ms == ms(2023, 1, 3, 15)


# ----------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("timeframe", "base", "possible"),
    [
        ("15m", "1h", "1h, 2h, 4h, 6h, 12h, 1d"),
        ("3m", "5m", "5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d"),
        ("6h", "4h", "4h, 12h, 1d"),
        ("12h", "1d", "1d"),
    ],
)
def test_a_timeframe_that_stored_bars_cannot_make_is_refused_with_those_they_can(
    timeframe: str, base: str, possible: str
) -> None:
    known = Ordinary(timeframe_ms=TIMEFRAMES[base])

    with pytest.raises(RequestError) as caught:
        loaded(asking("2024-06-01", "2024-06-08", timeframe), [], known)

    (error,) = caught.value.errors
    assert error.path == "template.timeframe"
    assert error.message == (
        f"is {timeframe}, but BTCUSDT is stored as {base} bars: choose one of {possible}"
    )


@pytest.mark.parametrize(
    "grid",
    [
        {"indicator_id": "volume.obv", "signals": {}},
        {"indicator_id": "volume.volume_sma", "params": {"window": explicit(5)}},
        {"indicator_id": "ma.vwma", "params": {"window": explicit(5)}},
    ],
)
def test_who_reads_volume_is_refused_where_there_is_none(grid: dict[str, Any]) -> None:
    opens = list(range(ms(2024, 1, 1), ms(2024, 2, 1), HOUR))
    without = Ordinary(timeframe_ms=HOUR, has_volume=False)
    if grid["indicator_id"] == "volume.obv":
        grid = grid | {
            "signals": {"long_delta_periods": explicit(1), "short_delta_periods": explicit(1)}
        }
    request = asking("2024-01-10", "2024-01-20", "1h", 0, SMA, grid)

    with pytest.raises(RequestError) as caught:
        loaded(request, opens, without)

    (error,) = caught.value.errors
    assert error.path == "template.indicator_grids"
    assert error.message == (
        f"{grid['indicator_id']} read volume, and BTCUSDT was imported without: leave them out or "
        "choose another instrument"
    )
    assert len(loaded(request, opens, Ordinary(timeframe_ms=HOUR)).ts_open) == 240


def test_exit_blocks_that_read_volume_are_refused_where_there_is_none() -> None:
    vwma = {"indicator_id": "ma.vwma", "params": {"window": explicit(5)}}
    for grids, path, names in (
        ([SMA], "template.exit_grids", "exit ma.vwma"),
        ([SMA, vwma], "template.indicator_grids", "ma.vwma, exit ma.vwma"),
    ):
        held = document()
        held["template"] |= {"indicator_grids": grids, "position": "hold", "exit_grids": [vwma]}
        request = parse(complete(held, DEFAULTS, LIMITS))
        with pytest.raises(RequestError) as caught:
            refuse(request, Ordinary(has_volume=False))
        (error,) = caught.value.errors
        assert error.path == path
        assert error.message.startswith(f"{names} read volume, and BTCUSDT was imported without")


def test_a_rule_that_compares_with_volume_reads_it_whatever_its_indicator_reads() -> None:
    # As an indicator of somebody else's may.
    grid = {"indicator_id": "volume.volume_sma", "params": {"window": explicit(5)}}
    request = asking(*YEAR, "1h", 0, SMA, grid)
    blocks = [
        replace(block, indicator=replace(block.indicator, inputs=("close",)))
        for block in request.blocks
    ]

    assert volume_readers(replace(request, blocks=tuple(blocks))) == ("volume.volume_sma",)


def test_who_reads_no_volume_needs_none() -> None:
    opens = working_days(ms(2023, 1, 2), ms(2024, 12, 31))
    currency = Ordinary(timeframe_ms=DAY, sessions=True, has_volume=False)

    assert len(loaded(asking(*YEAR, "1d"), opens, currency).ts_open) == 262
