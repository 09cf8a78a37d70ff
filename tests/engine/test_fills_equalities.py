"""Where fills at the next open, and stops inside bars, must be what happens at closes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.candles import Candles
from engine.metric_names import METRICS
from engine.ranking import TopList
from engine.sweep import Sweep
from tests.engine.plain_outcomes import signals_of
from tests.engine.small_sweeps import NO_RISK, RISK, TWO, candles, request
from tests.engine.test_sweep import last, ranking, scores_by_index
from tests.engine.worlds import with_gaps

FAR: dict[str, list[float | None]] = {"sl": [90.0], "tp": [None, 900.0], "tsl": [95.0, None]}
every_entry = pytest.mark.parametrize("entry_fill", ["close", "next_open"])
WAYS = [
    ("all_in", "long-short"),
    ("fixed_quote", "short-only"),
    ("strategy_compound_profit_lock", "long-only"),
]
every_way = pytest.mark.parametrize(("sizing", "direction"), WAYS)
every_metric = pytest.mark.parametrize("metric", METRICS)


def stages(
    market: Candles,
    fills: tuple[str, str],
    metric: str = "total_return_pct",
    risk: dict[str, list[float | None]] = NO_RISK,
    slippage_pct: float = 0.01,
    **changes: Any,
) -> tuple[TopList, TopList]:
    """Return the lists of both stages, with all variants that the shortlist has room for."""
    named = dict(zip(("entry_fill", "stop_fill"), fills, strict=True))
    combinations = math.prod(map(len, risk.values()))
    wanted = request(
        *TWO,
        primary=metric,
        execution={**named, "slippage_pct": slippage_pct},
        risk=risk,
        preselect=168,
        top_k=min(168 * combinations, 1000),
        **changes,
    )
    run = Sweep(wanted, market)
    first = last(run.stage_a()).top
    return first, last(run.stage_b(first.indexes()[:40], twins=first.twins()[:40])).top


def gapped() -> Candles:
    return with_gaps(candles(), 1)


def still() -> Candles:
    """Return candles on which every price of a bar is its close."""
    market = candles()
    return replace(market, open=market.close, high=market.close, low=market.close)


def unbroken() -> Candles:
    """Return candles that open where the bar before closed."""
    market = candles()
    opened = np.concatenate((market.open[:1], market.close[:-1]))
    return replace(
        market,
        open=opened,
        high=np.maximum(market.high, opened),
        low=np.minimum(market.low, opened),
    )


def same(one: tuple[TopList, TopList], other: tuple[TopList, TopList]) -> bool:
    return [ranking(top) for top in one] == [ranking(top) for top in other]


@every_entry
@every_metric
def test_without_levels_it_does_not_matter_where_stops_are_seen(
    metric: str, entry_fill: str
) -> None:
    closes, inside = (
        stages(gapped(), (entry_fill, stop_fill), metric) for stop_fill in ("close", "intrabar")
    )
    assert same(closes, inside)


@every_entry
@every_way
def test_stage_a_has_no_stops_wherever_they_are_seen(
    sizing: str, direction: str, entry_fill: str
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction, "risk": RISK}
    (first, second), (inside, other) = (
        stages(gapped(), (entry_fill, stop_fill), **how) for stop_fill in ("close", "intrabar")
    )
    assert ranking(first) == ranking(inside)
    assert ranking(second) != ranking(other)


@every_entry
@every_way
def test_levels_beyond_all_highs_and_lows_change_nothing(
    sizing: str, direction: str, entry_fill: str
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction}
    fills = entry_fill, "intrabar"
    _, off = stages(gapped(), fills, **how)
    _, far = stages(gapped(), fills, risk=FAR, **how)
    # The combinations of a variant are twins: its first one stands for all.
    assert far.indexes().tolist() == [4 * index for index in off.indexes().tolist()]
    assert far.twins().tolist() == [4 * twins for twins in off.twins().tolist()]
    assert far.scores()[0].tobytes() == off.scores()[0].tobytes()


@every_way
@pytest.mark.parametrize("metric", ["total_return_pct", "sqn", "sharpe"])
@pytest.mark.parametrize(
    ("risk", "slippage_pct"),
    [(RISK, 0.0), ({**RISK, "tp": [None]}, 0.2)],
    ids=["no slippage", "no target, which would not slip"],
)
def test_on_bars_of_one_price_stops_inside_them_are_those_at_their_closes(
    risk: dict[str, list[float | None]],
    slippage_pct: float,
    metric: str,
    sizing: str,
    direction: str,
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction}
    closes, inside = (
        stages(still(), ("close", stop_fill), metric, risk, slippage_pct, **how)
        for stop_fill in ("close", "intrabar")
    )
    assert same(closes, inside)


# Equity at closes differs: what is bought at the next open has not paid its costs before.
OF_TRADES = (
    "total_return_pct",
    "num_trades",
    "profit_factor",
    "win_rate_pct",
    "expectancy_pct",
    "sqn",
)


@every_way
@pytest.mark.parametrize("metric", OF_TRADES)
def test_where_bars_open_at_the_close_before_trades_of_next_open_fills_are_those_at_closes(
    metric: str, sizing: str, direction: str
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction, "distinct": False}
    closes, opens = (
        [scores_by_index(top) for top in stages(unbroken(), (entry, "close"), metric, **how)]
        for entry in ("close", "next_open")
    )
    run = Sweep(request(*TWO, **how), unbroken())
    kept = {
        base for base in range(run.grid.base_total) if not begins_on_the_last_but_one(run, base)
    }
    assert len(kept) > 100
    for one, other in zip(closes, opens, strict=True):
        assert {k: v for k, v in one.items() if k in kept} == {
            k: v for k, v in other.items() if k in kept
        }


def begins_on_the_last_but_one(run: Sweep, base: int) -> bool:
    """Return whether a signal begins where nothing is entered at an open any more."""
    before, there, _ = signals_of(run, base)[-3:]
    return there not in (0, before)
