"""What is recorded of every base variant is what the slow simulator's equity says."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from engine.kernels.periods import identity_of
from engine.sweep import Sweep
from engine.validation import GROWTH_UNIT, MOST_BLOCKS
from engine.validation.recording import (
    Recorded,
    edges_of,
    first_of_each,
    new_records,
    periods_of,
    record,
)
from tests.engine.plain_metrics import daily_equity
from tests.engine.simulator import Run
from tests.engine.test_money_sweep import MONEY, world_of
from tests.engine.test_session_sweep import swept
from tests.engine.worlds import World, explicit, steps

# The first two thresholds are never reached: combinations of them are twins.
LIKE_PREFIXES = [
    {
        "indicator_id": "momentum.rsi",
        "output": "rsi",
        "source": explicit("close"),
        "params": {"window": explicit(3, 5)},
        "signals": {"long_threshold": explicit(99.0, 99.5, 60.0), "short_threshold": explicit(30)},
    },
    {
        "indicator_id": "ma.sma",
        "output": "ma",
        "source": explicit("close"),
        "params": {"window": steps(2, 9, 1)},
    },
]
WORLDS = {
    "default": lambda: World(3),
    "twins": lambda: World(9, blocks=LIKE_PREFIXES),
    "fewer bars than blocks": lambda: World(9, blocks=LIKE_PREFIXES, traded=9),
    "short only": lambda: World(4, direction="short-only", leaps=True),
    "at opens": lambda: World(5, fills=("next_open", "close")),
    "held": lambda: World(6, exits=[], pause=2),
    **{way: lambda way=way: world_of(way) for way in MONEY},
}


def recorded(world: World, stride: int = 1, primary: str = "sqn") -> Recorded:
    sweep = Sweep(world.request(primary, min_trades=3), world.candles, threads=2)
    records = new_records(-(-sweep.grid.base_total // stride), stride)
    for _ in sweep.record(
        periods_of(len(sweep.closes), MOST_BLOCKS, sweep.market.day_ends), records
    ):
        pass
    return Recorded.of(records, 3)


def growths(equity: Sequence[float], cash: float, blocks: int) -> list[float]:
    """The growth of each block, as a logarithm; equity of a millionth of the cash is the least."""
    found, before = [], cash
    for block in range(blocks):
        begin, end = block * len(equity) // blocks, (block + 1) * len(equity) // blocks
        after = max(equity[end - 1], 1e-6 * cash) if end > begin else before
        found.append(math.log(after / before))
        before = after
    return found


def entered(run: Run, bars: int, blocks: int, delay: int) -> list[int]:
    """How many entries fill in each block, so many bars after they are decided."""
    return [
        sum(
            block * bars // blocks <= trade.entry_bar + delay < (block + 1) * bars // blocks
            for trade in run.trades
        )
        for block in range(blocks)
    ]


@pytest.mark.parametrize("name", WORLDS)
def test_growth_entries_and_figures_are_those_of_the_simulator(name: str) -> None:
    world = WORLDS[name]()
    found = recorded(world).records
    by_balance = recorded(world, primary="total_return_pct").records
    for name in set(found._fields) - {"stride", "primary"}:
        assert getattr(by_balance, name).tobytes() == getattr(found, name).tobytes(), name
    assert by_balance.primary.tobytes() == found.total_return.tobytes()
    cash = world.template["execution"]["init_cash_quote"]
    delay = int(world.template["execution"].get("entry_fill") == "next_open")
    opens = world.candles.ts_open[world.candles.first :].tolist()

    traded = 0
    for base, reference in world.stage_a.items():
        run = reference.run
        traded += len(run.trades)
        assert found.trades[base] == len(run.trades)
        assert bool(found.ruined[base]) == run.ruined
        assert found.total_return[base] == pytest.approx(run.total_return_pct, rel=1e-9, abs=1e-9)
        assert found.entries[base].tolist() == entered(run, len(opens), 16, delay)
        wanted = growths(run.equity, cash, 16)
        assert found.growth[base] / GROWTH_UNIT == pytest.approx(wanted, abs=1.01 / GROWTH_UNIT)
        daily = [cash, *daily_equity(run.equity, opens)]
        if run.ruined or len(run.trades) < 3 or min(daily) <= 0:  # it is not to be chosen
            assert math.isnan(found.sharpe[base])
            continue
        returns = [after / before - 1 for before, after in pairwise(daily)]
        if len(returns) > 1 and stdev(returns) > 1e-9:
            assert found.sharpe[base] == pytest.approx(fmean(returns) / stdev(returns), rel=1e-7)
    assert traded


def test_the_growths_of_all_blocks_are_the_total_return() -> None:
    found = recorded(World(3)).records
    made = 100.0 * np.expm1(found.growth.sum(axis=1) / GROWTH_UNIT)
    assert made == pytest.approx(found.total_return, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("metric", ["total_return_pct", "sharpe", "max_drawdown_pct"])
def test_the_primary_metric_is_the_one_that_ranks(metric: str) -> None:
    world = World(7)
    found = recorded(world, primary=metric).records
    sweep = Sweep(world.request(metric, preselect=100), world.candles)
    for batch in sweep.stage_a():
        top = batch.top
    best = top.indexes()
    assert len(best) > 3
    ranked = best[(found.trades[best] > 0) & ~np.isnan(found.primary[best])]
    keys = found.primary[ranked] * (1 if metric == "max_drawdown_pct" else -1)
    assert (np.diff(keys) >= 0).all()


def test_every_so_many_are_recorded_as_all_of_them() -> None:
    world = World(8)
    every, some = recorded(world).records, recorded(world, stride=5).records
    for name in ("ruined", "trades", "primary", "total_return", "sharpe", "growth", "entries"):
        assert getattr(some, name).tobytes() == getattr(every, name)[::5].tobytes(), name


def test_who_may_be_chosen_and_which_are_one_outcome() -> None:
    records = new_records(6, 1, 8)
    records.ruined[:] = [False, False, False, True, False, False]
    records.trades[:] = [5, 5, 2, 5, 5, 5]
    records.total_return[:] = [1.0, 1.0, 1.0, -100.0, np.nan, 1.0]
    records.identity[:] = [7, 7, 7, 7, 7, 2]
    found = Recorded.of(records, 3)
    assert found.eligible.tolist() == [True, True, False, False, False, True]
    assert found.outcomes.tolist() == [0, 5]
    records.identity[1] = 2**64 - 1
    assert Recorded.of(records, 3).outcomes.tolist() == [0, 1, 5]


def test_outcomes_are_one_that_grew_and_entered_alike_in_every_block() -> None:
    found = recorded(WORLDS["twins"]())
    records = found.records
    first: dict[bytes, int] = {}
    for place in np.flatnonzero(found.eligible).tolist():
        first.setdefault(records.growth[place].tobytes() + records.entries[place].tobytes(), place)
    assert found.outcomes.tolist() == sorted(first.values())
    assert 8 < len(first) < found.eligible.sum()


@njit
def identity(growth: Any, entries: Any) -> Any:
    return identity_of(growth, entries)


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.integers(-2, 2), min_size=8, max_size=8), st.integers(0, 7), st.booleans())
def test_whatever_differs_in_one_block_is_another_outcome(
    numbers: list[int], block: int, entered: bool
) -> None:
    figures = np.array([numbers, numbers[::-1]], np.int32)
    others = figures.copy()
    others[int(entered), block] += 1
    assert identity(*figures) == identity(*figures.copy())
    assert identity(*figures) != identity(*others)


def test_days_without_a_bar_have_a_return_of_0() -> None:
    sweep, found = swept("a bar a week", "sharpe", ("close", "close"))
    assert len(sweep.market.day_ends) > len(sweep.closes)
    records = record(sweep, 16, lambda _: None).records
    compared = 0
    for report in found:
        base, risk = sweep.grid.split(report.variant_index)
        if sweep.grid.risk_at(risk) == (None, None, None):
            assert records.primary[base] == report.metrics["sharpe"]
            assert records.sharpe[base] * 365**0.5 == pytest.approx(report.metrics["sharpe"])
            compared += 1
    assert compared


@given(st.lists(st.integers(0, 4)))
def test_the_first_of_each_key_stands_for_it(keys: list[int]) -> None:
    scattered = np.array(keys, np.uint64) * np.uint64(2**62 + 1)
    wanted = sorted({key: keys.index(key) for key in keys}.values())
    assert first_of_each(scattered).tolist() == wanted


@pytest.mark.parametrize(("bars", "blocks"), [(100, 16), (16, 16), (17, 8), (5, 8), (1, 8)])
def test_blocks_divide_the_bars_into_like_parts(bars: int, blocks: int) -> None:
    edges = edges_of(bars, blocks)
    assert (edges[0], edges[-1]) == (0, bars)
    assert np.ptp(np.diff(edges)) <= 1


@pytest.mark.parametrize(("bars", "blocks"), [(100, 16), (17, 8), (5, 8), (1, 8)])
@pytest.mark.parametrize("day", [1, 4, 7, 1000])
def test_periods_end_where_a_block_or_a_day_does(bars: int, blocks: int, day: int) -> None:
    day_ends = [min(at + day, bars) - 1 for at in range(0, bars, day)]
    day_ends.insert(1, day_ends[0])  # a day without a bar
    found = periods_of(bars, blocks, np.array(day_ends))
    block_ends = [(block + 1) * bars // blocks - 1 for block in range(blocks)]
    assert found.ends.tolist() == sorted({*day_ends, *block_ends} - {-1})
    assert found.ends[found.days].tolist() == day_ends
    assert [found.ends[at] if at >= 0 else -1 for at in found.blocks] == block_ends
    first = [min(end for end in found.ends if end >= bar) for bar in range(bars)]
    assert found.ends[found.of].tolist() == first


def test_progress_is_told_up_to_the_last_variant() -> None:
    world = World(3)
    told: list[int] = []
    record(Sweep(world.request(), world.candles), 8, told.append)
    assert told[-1] == len(world.bases)
