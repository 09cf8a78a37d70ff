"""Statistics of a search: counted in plain Python they are the same, and quantiles are near."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.outcomes import BINS, Outcomes, edge, quantile
from engine.sweep import Sweep
from tests.engine.plain_metrics import measure
from tests.engine.plain_outcomes import simulated
from tests.engine.simulator import Run
from tests.engine.small_sweeps import TWO, candles, request, ruinous_candles
from tests.engine.test_sweep import last

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
Distribution = dict[str, Any]


def outcomes_of(run: Sweep) -> Distribution:
    last(run.stage_a())
    assert run.outcomes is not None
    return run.outcomes.document()


def assert_holds(distribution: Distribution, values: list[float]) -> None:
    """Check that each value lies in a bin of its own, between that edge and the next."""
    finite = [value for value in values if math.isfinite(value)]
    assert distribution["undefined"] == sum(map(math.isnan, values))
    assert distribution["infinite"] == values.count(math.inf)
    bins = [bin_ for bin_, _ in distribution["bins"]]
    assert bins == sorted(set(bins))
    for bin_, count in distribution["bins"]:
        assert count == sum(edge(bin_) <= value < edge(bin_ + 1) for value in finite)
    assert sum(count for _, count in distribution["bins"]) == len(finite)


@pytest.mark.parametrize("market", [candles, ruinous_candles], ids=["calm", "ruinous"])
@pytest.mark.parametrize("metric", ["total_return_pct", "profit_factor", "win_rate_pct"])
def test_every_base_variant_is_counted(market: Any, metric: str) -> None:
    bars = market()
    run = Sweep(request(*TWO, primary=metric, min_trades=20, preselect=1), bars)
    found = outcomes_of(run)
    runs = [simulated(run, base) for base in range(run.grid.base_total)]
    returns = [each.total_return_pct for each in runs]
    closes = run.closes.tolist()
    buy_and_hold = 100 * (closes[-1] / closes[0] - 1)
    assert found["tried"] == len(runs) == 168
    assert found["eligible"] == sum(len(each.trades) >= 20 for each in runs)
    assert found["profitable"] == sum(value > 0 for value in returns)
    assert found["beat_benchmark"] == sum(value > buy_and_hold for value in returns)
    assert found["ruined"] == sum(map(is_ruined, runs))
    assert found["benchmark_return_pct"] == buy_and_hold
    assert_holds(found["total_return_pct"], returns)
    assert found["primary"]["metric"] == metric
    cash, times = run.rules.init_cash, run.open_times.tolist()
    assert_holds(found["primary"], [measure(each, cash, times).metrics[metric] for each in runs])


def is_ruined(run: Run) -> bool:
    return any(trade.available + trade.safe <= 0 for trade in run.trades)


def test_infinite_and_undefined_figures_are_counted_apart() -> None:
    always_long = {
        "indicator_id": "momentum.rsi",
        "params": {"window": {"mode": "explicit", "values": [5]}},
        "signals": {
            "long_threshold": {"mode": "explicit", "values": [0, 100]},
            "short_threshold": {"mode": "explicit", "values": [101]},
        },
    }
    rising = replace(candles(), close=np.linspace(100.0, 200.0, len(candles().close)))
    run = Sweep(request(always_long, primary="profit_factor"), rising)
    found = outcomes_of(run)["primary"]
    returns = [simulated(run, base) for base in range(2)]
    assert [len(each.trades) for each in returns] == [0, 1]
    assert returns[1].total_return_pct > 0
    assert (found["bins"], found["undefined"], found["infinite"]) == ([], 1, 1)


def test_there_are_no_outcomes_before_stage_a_has_ended() -> None:
    run = Sweep(request(*TWO), candles())
    next(run.stage_a())
    assert run.outcomes is None


def test_outcomes_of_different_searches_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different searches"):
        Outcomes("sqn", 1.0).merge(Outcomes("sqn", 2.0))


def test_a_document_is_plain_json() -> None:
    document = Outcomes("sqn", None).document()
    assert json.loads(json.dumps(document)) == document
    assert document["benchmark_return_pct"] is None


def test_stored_outcomes_are_read_without_a_compiler() -> None:
    code = "import sys, engine.outcomes; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(NUMBERS)
def test_a_bin_is_at_most_a_sixty_fourth_of_its_value_wide(value: float) -> None:
    lowest, highest = 0, BINS - 1
    while lowest < highest:  # the last bin that does not begin above the value
        middle = (lowest + highest + 1) // 2
        reached = edge(middle)
        if math.isnan(reached):  # beyond infinity, of either sign
            reached = math.inf if middle > BINS // 2 else -math.inf
        lowest, highest = (middle, highest) if reached <= value else (lowest, middle - 1)
    begin, end = edge(lowest), edge(lowest + 1)
    assert begin <= value < end
    if 1e-300 < abs(value) < 1e300:
        assert end - begin <= abs(value) / 64 * (1 + 1e-9)


def test_zero_is_where_the_positive_numbers_begin() -> None:
    assert (edge(BINS // 2), edge(BINS // 2 - 1) < 0.0) == (0.0, True)


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=1),
    st.integers(0, 3),
    st.floats(0, 1),
)
def test_a_quantile_is_within_a_bin_of_the_value_of_that_rank(
    values: list[float], infinite: int, share: float
) -> None:
    bins = np.array([bin_of(value) for value in values])
    distribution = {
        "bins": [[int(bin_), int((bins == bin_).sum())] for bin_ in np.unique(bins)],
        "undefined": 5,
        "infinite": infinite,
    }
    ordered = sorted([*values, *[math.inf] * infinite])
    exact = share * len(ordered)
    if abs(exact - round(exact)) < 1e-6 * len(ordered):
        exact = round(exact)
    expected = ordered[max(0, math.ceil(exact) - 1)]
    found = quantile(distribution, share)
    assert found is not None
    if math.isinf(expected):
        assert found == math.inf
    else:
        assert found <= expected <= found + abs(expected) / 63


def bin_of(value: float) -> int:
    """Return a bin by arithmetic on mantissa and exponent."""
    if value == 0.0:
        return BINS // 2
    fraction, exponent = math.frexp(abs(value))
    place = (exponent + 1022) * 64 + math.floor(128 * fraction) - 64
    return BINS // 2 + place if value > 0.0 else BINS // 2 - 1 - place


def test_the_median_of_nothing_defined_is_none() -> None:
    assert quantile({"bins": [], "undefined": 3, "infinite": 0}, 0.5) is None


def test_a_share_of_a_tenth_of_thirty_is_the_third() -> None:
    bins = [[bin_of(float(2**n)), 1] for n in range(30)]
    assert quantile({"bins": bins, "undefined": 0, "infinite": 0}, 0.1) == 4.0


def test_a_share_is_between_0_and_1() -> None:
    with pytest.raises(ValueError, match=r"share is 50; it must lie between 0 and 1"):
        quantile({"bins": [], "undefined": 0, "infinite": 0}, 50)
