"""What is recorded of every base variant is what the slow simulator's equity says."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev

import numpy as np
import pytest

from engine.sweep import Sweep
from engine.validation import GROWTH_UNIT
from engine.validation.recording import Recorded, blocks_of, new_records, record
from tests.engine.plain_metrics import daily_equity
from tests.engine.simulator import Run
from tests.engine.test_money_sweep import MONEY, world_of
from tests.engine.worlds import World

WORLDS = {
    "default": lambda: World(3),
    "short only": lambda: World(4, direction="short-only", leaps=True),
    "at opens": lambda: World(5, fills=("next_open", "close")),
    "held": lambda: World(6, exits=[], pause=2),
    **{way: lambda way=way: world_of(way) for way in MONEY},
}


def recorded(world: World, stride: int = 1, primary: str = "sqn") -> Recorded:
    sweep = Sweep(world.request(primary, min_trades=3), world.candles, threads=2)
    records = new_records(-(-sweep.grid.base_total // stride), stride)
    for _ in sweep.record(blocks_of(len(sweep.closes)), records):
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


def entered(run: Run, bars: int, blocks: int) -> list[int]:
    """How many trades begin in each block."""
    return [
        sum(
            block * bars // blocks <= trade.entry_bar < (block + 1) * bars // blocks
            for trade in run.trades
        )
        for block in range(blocks)
    ]


@pytest.mark.parametrize("name", WORLDS)
def test_growth_entries_and_figures_are_those_of_the_simulator(name: str) -> None:
    world = WORLDS[name]()
    found = recorded(world).records
    cash = world.template["execution"]["init_cash_quote"]
    opens = world.candles.ts_open[world.candles.first :].tolist()

    traded = 0
    for base, reference in world.stage_a.items():
        run = reference.run
        traded += len(run.trades)
        assert found.trades[base] == len(run.trades)
        assert bool(found.ruined[base]) == run.ruined
        assert found.total_return[base] == pytest.approx(run.total_return_pct, rel=1e-9, abs=1e-9)
        assert found.entries[base].tolist() == entered(run, len(opens), 16)
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
    records.growth[:] = 7
    records.growth[5, 3] = 8
    records.entries[:] = 1
    found = Recorded.of(records, 3)
    assert found.eligible.tolist() == [True, True, False, False, False, True]
    assert found.outcomes.tolist() == [0, 5]
    records.entries[1, 0] = 0
    assert Recorded.of(records, 3).outcomes.tolist() == [0, 1, 5]


@pytest.mark.parametrize(("bars", "blocks"), [(100, 16), (16, 16), (17, 8), (5, 8), (1, 8)])
def test_blocks_divide_the_bars_into_like_parts(bars: int, blocks: int) -> None:
    found = blocks_of(bars, blocks)
    lengths = np.bincount(found.of, minlength=blocks)
    assert lengths.sum() == bars
    assert lengths.max() - lengths.min() <= 1
    assert found.ends[-1] == bars - 1
    assert (np.diff(found.of.astype(int)) >= 0).all()


def test_progress_is_told_up_to_the_last_variant() -> None:
    world = World(3)
    told: list[int] = []
    record(Sweep(world.request(), world.candles), 8, told.append)
    assert told[-1] == len(world.bases)
