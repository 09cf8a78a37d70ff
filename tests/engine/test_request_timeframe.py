"""Blocks on a timeframe of their own: in the request, the keys, the warm-up and the coverage."""

from typing import Any

import pytest

from engine.candles import Candles
from engine.coverage import Coverage
from engine.grid import Variants, estimate
from engine.indicators.compute import Prepared
from engine.larger import Larger
from engine.loading import Ordinary, load, refuse
from engine.one_variant import variant_by_index
from engine.request import (
    RequestError,
    canonical_json,
    complete,
    parse,
    request_hash,
    saved_document,
)
from engine.request.block_timeframe import larger_timeframes
from engine.request.model import Request
from engine.request.warnings import of_coverage
from engine.synthetic import bars
from engine.timeframes import TIMEFRAMES
from tests.engine.markets import HOUR, priced, reading, stock_hours
from tests.engine.requests import DEFAULTS, LIMITS, document, refusal_at, refused
from tests.engine.test_request_hold import holding

RSI = {"indicator_id": "momentum.rsi", "params": {"window": [7, 14]}}
PATH = "template.indicator_grids[0].timeframe"


def on(timeframe: Any, template: str = "15m", **block: Any) -> dict[str, Any]:
    request = document()
    grid = RSI | {"timeframe": timeframe} | block
    request["template"] |= {"timeframe": template, "indicator_grids": [grid]}
    return request


def read(request: dict[str, Any]) -> Request:
    return parse(complete(request, DEFAULTS, LIMITS))


@pytest.mark.parametrize("timeframe", ["30m", "1h", "2h", "4h", "6h", "12h", "1d"])
def test_a_block_may_be_on_every_multiple_of_the_timeframe(timeframe: str) -> None:
    (block,) = read(on(timeframe)).blocks
    assert (block.timeframe, block.timeframe_ms) == (timeframe, TIMEFRAMES[timeframe])
    assert block.title == f"momentum.rsi {timeframe}"


def test_the_multiples_are_those_of_arithmetic() -> None:
    assert larger_timeframes("4h") == ["12h", "1d"]
    assert larger_timeframes("3m") == ["15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]
    assert larger_timeframes("1d") == []


@pytest.mark.parametrize(
    ("timeframe", "template", "message"),
    [
        (
            "5m",
            "15m",
            "is 5m, shorter than template.timeframe (15m): choose one of 30m, 1h, 2h, 4h, 6h, 12h, "
            "1d, or leave it out",
        ),
        (
            "6h",
            "4h",
            "is 6h, no multiple of template.timeframe (4h): choose one of 12h, 1d, or leave it out",
        ),
        ("12h", "1d", "is 12h, shorter than template.timeframe (1d): leave it out"),
        (
            "7m",
            "1m",
            'unknown timeframe "7m"; known: 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d',
        ),
        (60, "1m", "must be a string, the timeframe, got 60"),
    ],
)
def test_another_timeframe_is_refused_by_name(timeframe: Any, template: str, message: str) -> None:
    assert refusal_at(PATH, on(timeframe, template)) == message


def test_beside_a_template_without_a_timeframe_only_that_is_refused() -> None:
    (error,) = refused(on("1h", "17m")).errors
    assert error.path == "template.timeframe"


@pytest.mark.parametrize("timeframe", [None, "15m"])
def test_the_timeframe_of_the_template_is_stored_as_none(timeframe: str | None) -> None:
    plain = on(None)
    del plain["template"]["indicator_grids"][0]["timeframe"]
    usual, named = (complete(each, DEFAULTS, LIMITS) for each in (plain, on(timeframe)))
    assert canonical_json(named) == canonical_json(usual)
    assert request_hash(named) == request_hash(usual)
    assert "timeframe" not in named["template"]["indicator_grids"][0]
    variant = Variants.of(parse(named)).variant(0)
    assert "timeframe" not in variant["blocks"][0]


def test_a_larger_timeframe_is_stored_and_stays() -> None:
    once = complete(on("1h"), DEFAULTS, LIMITS)
    assert once["template"]["indicator_grids"][0]["timeframe"] == "1h"
    assert complete(once, DEFAULTS, LIMITS) == once
    assert parse(once).document == once


def test_exit_blocks_have_timeframes_too() -> None:
    request = read(holding(RSI | {"timeframe": "4h"}, indicator_grids=[RSI | {"timeframe": "1h"}]))
    assert list(request.titled_blocks) == ["momentum.rsi 1h", "exit momentum.rsi 4h"]
    variant = Variants.of(request).variant(0)
    assert [block["timeframe"] for block in variant["blocks"]] == ["1h"]
    assert [block["timeframe"] for block in variant["exit_blocks"]] == ["4h"]
    assert "exit_grids[0].timeframe" in str(refused(holding(RSI | {"timeframe": "1m"})))


def test_a_timeframe_is_part_of_the_keys_of_a_variant() -> None:
    plain, hour, day = (Variants.of(read(on(each))) for each in (None, "1h", "1d"))
    assert len({each.variant_key(0) for each in (plain, hour, day)}) == 3
    assert len({each.indicator_variant_key(0) for each in (plain, hour, day)}) == 3


def test_a_variant_is_a_request_of_its_own_on_the_same_timeframe() -> None:
    parent = read(holding(RSI | {"timeframe": "4h"}, indicator_grids=[RSI | {"timeframe": "1h"}]))
    one = variant_by_index(parent.document, 3)
    alone = Variants.of(read(one.request))
    assert alone.variant(0) == one.payload == Variants.of(parent).variant(3)
    assert alone.variant_key(0) == one.variant_key


def test_a_saved_strategy_that_is_run_on_the_timeframe_of_a_block_is_on_one() -> None:
    template = complete(on("1h"), DEFAULTS, LIMITS)["template"]
    patch = {"time_range": document()["time_range"], "template": {"timeframe": "1h"}}
    effective = complete(saved_document(template, patch), DEFAULTS, LIMITS)["template"]
    assert "timeframe" not in effective["indicator_grids"][0]
    patch["template"] = {"timeframe": "4h"}
    with pytest.raises(RequestError, match=r"shorter than template\.timeframe"):
        complete(saved_document(template, patch), DEFAULTS, LIMITS)


def test_blocks_without_volume_are_named_with_their_timeframe() -> None:
    request = read(on("1h", indicator_id="volume.mfi", signals=BAND))
    with pytest.raises(RequestError, match=r"indicator_grids: volume\.mfi 1h read volume"):
        refuse(request, Ordinary(has_volume=False))


BAND = {"long_threshold": 20, "short_threshold": 80}
SMA = {"indicator_id": "ma.sma", "params": {"window": [10]}}


def warmed(timeframe: str, start: str, warmup: int | None) -> Request:
    request = on(timeframe, **SMA) | {"warmup_bars": warmup}
    request["time_range"] = {"start": start, "end": "2024-02-01"}
    return read(request)


def candles_of(request: Request, phase_ms: int = 0) -> Candles:
    """Bars of the whole range and its warm-up; with a phase they open so much later."""
    step = request.timeframe_ms
    first = -(-(request.start_ms - phase_ms) // step) * step + phase_ms
    made = bars(1, 10, step, start_ms=first - phase_ms, warmup_bars=request.warmup_bars)
    made.ts_open[:] += phase_ms
    return made


def defined_at_once(request: Request, candles: Candles) -> bool:
    """Whether the block has a value on the first traded bar, asked of its kernel."""
    (block,) = request.blocks
    larger = Larger.of(candles, block.timeframe_ms or 0)
    if larger.begins[0] > 0:
        return False
    prepared = Prepared.of(block.indicator, block.output, larger.candles, "close")
    values = prepared.values(Variants.of(request).blocks[0].compute.rows())  # type: ignore[union-attr]
    return bool(values[0, larger.candles.first] == values[0, larger.candles.first])


STARTS = [f"2024-01-{10 + hour // 24:02}T{hour % 24:02}:{minute:02}:00Z"
          for hour in (0, 1, 3, 5, 23) for minute in (0, 15, 30, 45)]  # fmt: skip


@pytest.mark.parametrize("phase_ms", [0, 5 * 60_000])
@pytest.mark.parametrize("timeframe", ["30m", "1h", "6h"])
def test_with_the_warm_up_a_larger_block_is_defined_wherever_a_range_begins(
    timeframe: str, phase_ms: int
) -> None:
    ratio = TIMEFRAMES[timeframe] // TIMEFRAMES["15m"]
    for start in STARTS:
        request = warmed(timeframe, start, None)
        assert request.warmup_bars == 9 * ratio + 2 * (ratio - 1)
        candles = candles_of(request, phase_ms)
        assert defined_at_once(request, candles)
        assert Coverage.of_candles(request, candles).undefined == ()


@pytest.mark.parametrize("phase_ms", [0, 5 * 60_000])
def test_coverage_names_a_larger_block_exactly_where_it_is_undefined(phase_ms: int) -> None:
    found = set()
    for start in STARTS:
        for warmup in range(36, 47):
            request = warmed("1h", start, warmup)
            candles = candles_of(request, phase_ms)
            defined = defined_at_once(request, candles)
            undefined = Coverage.of_candles(request, candles).undefined
            assert undefined == (() if defined else ("ma.sma 1h",)), (start, warmup)
            found.add(defined)
    assert found == {True, False}


def test_the_warning_says_how_many_bars_of_the_template_a_larger_block_needs() -> None:
    request = warmed("1h", "2024-01-10", 20)
    coverage = Coverage.of_candles(request, candles_of(request))
    (warning,) = [one for one in of_coverage(request, coverage) if one["code"] == "warmup_missing"]
    assert (
        "ma.sma 1h have no value on the first traded bar: they need 42 bars" in warning["message"]
    )


def test_the_longest_warm_up_counts_in_bars_of_the_template() -> None:
    both = on("1h", **SMA)
    both["template"]["indicator_grids"].append(SMA | {"name": "slow", "params": {"window": [60]}})
    assert read(both | {"warmup_bars": None}).warmup_bars == 59
    both["template"]["indicator_grids"][0]["timeframe"] = "4h"
    assert read(both | {"warmup_bars": None}).warmup_bars == 9 * 16 + 30


def test_an_estimate_has_room_for_larger_bars() -> None:
    plain, larger = (estimate(read(on(each))) for each in (None, "1h"))
    assert plain.stage_a_variants == larger.stage_a_variants
    assert larger.bytes > plain.bytes
    assert complete_size(on("1h")) == larger.bytes


def complete_size(request: dict[str, Any]) -> int:
    """The bytes by which a request is held to its limits."""
    from dataclasses import replace

    error = refused(request, replace(LIMITS, max_compute_bytes_total=1))
    return int(str(error).partition("needs about ")[2].partition(" bytes")[0])


@pytest.mark.parametrize("warmup", [9, 20, 40, 45, 46, 60])
def test_where_a_market_closes_a_larger_block_is_never_taken_for_defined_when_it_is_not(
    warmup: int,
) -> None:
    request = on("4h", "1h", **SMA) | {"warmup_bars": warmup}
    request["time_range"] = {"start": "2024-02-01", "end": "2024-03-01"}
    wanted = read(request)
    hours = priced(stock_hours((2023, 10, 1), (2024, 3, 1)))
    candles = load(wanted, reading(hours), lambda *_: Ordinary(HOUR, sessions=True))
    named = Coverage.of_candles(wanted, candles).undefined == ("ma.sma 4h",)
    assert named or defined_at_once(wanted, candles)
    assert named == (warmup < 9 * 4 + 2 * 3)  # four hours of a stock are three bars at most
