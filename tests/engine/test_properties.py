"""Laws that hold for every sweep, looked for at random over the whole catalogue of indicators.

Elsewhere: the same laws for one variant of given signals are in `test_execution.py`; stage B whose
only risk combination is "off" repeats stage A bit for bit in `test_execution_sweep.py` and
`test_sweep.py`, where chosen requests are also divided between threads, budgets and ranges.
"""

from dataclasses import replace
from itertools import pairwise, product
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import memory, work
from engine.candles import Candles
from engine.indicators.registry import Indicator, Output
from engine.kernels import Trades, simulate
from engine.ranking import TopList
from engine.sweep import Sweep
from engine.work import Part
from tests.engine.properties_mirror import mirror_index, mirrored
from tests.engine.properties_sweeps import (
    BY_RETURN,
    BY_TRADES,
    IDS,
    MONEY,
    OFF,
    OUTPUTS,
    Small,
    block_of,
    blocks,
    both_stages,
    last,
    law,
    named,
    ranked,
    sweeps,
    walks,
)


def trades_of(run: Sweep, base: int) -> Trades:
    return simulate(*run.planes_of(base), run.closes, run.rules)


def scores_of_stage_a(run: Sweep) -> dict[int, float]:
    """Return the primary metric of every base variant, in index order."""
    top = last(run.stage_a())
    return dict(sorted(zip(top.indexes().tolist(), top.scores()[0].tolist(), strict=True)))


def signals_of(run: Sweep, base: int) -> NDArray[np.int8]:
    """Return 1, -1 or 0 for each traded bar."""
    long, short = (
        np.unpackbits(plane.view(np.uint8), bitorder="little")[: len(run.closes)].astype(np.int8)
        for plane in run.planes_of(base)
    )
    return long - short


@pytest.mark.parametrize(
    "drawn", [sweeps(), mirrored().map(lambda pair: pair[0])], ids=["any", "mirrored"]
)
def test_most_sweeps_that_the_laws_are_tried_on_trade(drawn: st.SearchStrategy[Small]) -> None:
    trading: list[bool] = []

    @settings(law(100), derandomize=True, database=None)
    @given(drawn)
    def count(small: Small) -> None:
        trades = scores_of_stage_a(replace(small, ranking=BY_TRADES).sweep())
        trading.append(float(np.median(list(trades.values()))) >= 3)

    count()
    assert np.mean(trading) > 0.5


# --- names of blocks -------------------------------------------------------------------------

together = sweeps().filter(lambda small: len(small.blocks) > 1)
other_orders = st.sampled_from(((1, 0, 2), (2, 0, 1), (2, 1, 0)))


def renamed(small: Small, order: tuple[int, ...]) -> Small:
    """Give the blocks new names, which put them into another order."""
    parts = [
        {**block, "name": f"block{place}"}
        for block, place in zip(small.blocks, order, strict=False)
    ]
    return replace(small, blocks=parts)


def former_index(former: Sweep, now: Sweep, order: tuple[int, ...], index: int) -> int:
    """Return the index that a variant of the renamed sweep had before."""
    base, risk = now.grid.split(index)
    digits = now.grid.block_variants(base)
    count = len(digits)
    place = {name: rank for rank, name in enumerate(sorted(order[:count]))}
    before = former.grid.base_index(tuple(digits[place[order[block]]] for block in range(count)))
    return before * former.grid.risk_total + risk


@law(40)
@given(together, other_orders)
def test_renaming_blocks_changes_no_score(small: Small, order: tuple[int, ...]) -> None:
    former, now = small.sweep(), renamed(small, order).sweep()
    before, after = both_stages(former)[1], both_stages(now)[1]
    expected = dict(zip(before.indexes().tolist(), rows_of_scores(before), strict=True))
    for index, scores in zip(after.indexes().tolist(), rows_of_scores(after), strict=True):
        assert scores == expected.pop(former_index(former, now, order, index))
    assert not expected


def rows_of_scores(top: TopList) -> list[bytes]:
    """Return primary and secondary score of each rank, to the last bit."""
    return [row.tobytes() for row in np.stack(top.scores(), axis=1)]


@law(40)
@given(together, other_orders, st.integers(1, 40))
def test_renaming_blocks_reorders_exact_ties_only(
    small: Small, order: tuple[int, ...], kept: int
) -> None:
    cut = replace(small, top_k=kept)
    before, after = (both_stages(s.sweep()) for s in (cut, renamed(cut, order)))
    for one, other in zip(before, after, strict=True):
        assert rows_of_scores(one) == rows_of_scores(other)


# --- the AND over blocks ---------------------------------------------------------------------


def with_block(small: Small, block: dict[str, Any], name: str) -> Small:
    return replace(small, blocks=[*small.blocks, {**block, "name": name}])


def without_block(run: Sweep, name: str, base: int) -> tuple[int, ...]:
    """Return the block variants of a base index but for those of one block."""
    numbers = zip(run.grid.blocks, run.grid.block_variants(base), strict=True)
    return tuple(number for block, number in numbers if block.name != name)


@law(40)
@given(sweeps(), blocks(), st.sampled_from(("a", "b", "z")))
def test_a_further_block_can_only_remove_signal_bars(
    small: Small, block: dict[str, Any], name: str
) -> None:
    few, more = small.sweep(), with_block(small, block, name).sweep()
    last(few.stage_a())  # holds the signals
    for base in scores_of_stage_a(more):
        fewer = few.grid.base_index(without_block(more, name, base))
        for stricter, former in zip(more.planes_of(base), few.planes_of(fewer), strict=True):
            assert not (stricter & ~former).any()


@law(40)
@given(sweeps())
def test_every_run_of_the_combined_signal_is_one_trade(small: Small) -> None:
    """Each block is swept alone; a run that would start on the last bar is none."""
    rich = {"init_cash_quote": 1e9, "fixed_quote": 1.0, "fee_pct": 0.1, "slippage_pct": 0.1}
    small = replace(
        small, execution=rich, sizing="fixed_quote", direction="long-short", ranking=BY_TRADES
    )
    alone = [replace(small, blocks=[block]).sweep() for block in small.blocks]
    signals = [[signals_of(run, base) for base in scores_of_stage_a(run)] for run in alone]
    whole = small.sweep()
    for base, trades in scores_of_stage_a(whole).items():
        numbers = zip(signals, whole.grid.block_variants(base), strict=True)
        said = np.array([of_block[number] for of_block, number in numbers])
        agreed = np.where((said == said[0]).all(axis=0), said[0], 0)
        started = (agreed != 0) & (agreed != np.concatenate(([0], agreed[:-1])))
        assert trades == started[:-1].sum()


# --- units of money --------------------------------------------------------------------------


def in_other_units(small: Small, power: int) -> Small:
    """Multiply prices and money by a power of two, which rounds nothing."""
    factor = 2.0**power
    prices = {
        name: getattr(small.candles, name) * factor for name in ("open", "high", "low", "close")
    }
    money = {name: small.execution[name] * factor for name in ("init_cash_quote", "fixed_quote")}
    return replace(
        small,
        candles=replace(small.candles, **prices),
        execution={**small.execution, **money},
    )


@law(40)
@given(sweeps(), st.sampled_from((-5, -1, 1, 2, 7)))
def test_prices_and_money_in_other_units_reorder_exact_ties_of_stage_b_only(
    small: Small, power: int
) -> None:
    """There the prices are part of what tells outcomes with equal figures apart."""
    once, other = (both_stages(s.sweep()) for s in (small, in_other_units(small, power)))
    assert ranked(other[0]) == ranked(once[0])
    assert rows_of_scores(other[1]) == rows_of_scores(once[1])


@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_prices_in_other_units_change_no_signal(indicator: Indicator, output: Output) -> None:
    signals = 0

    @settings(law(8), derandomize=True, database=None)
    @given(block_of(indicator, output), walks(), st.sampled_from((-20, -1, 1, 20)))
    def compare(block: dict[str, Any], candles: Candles, power: int) -> None:
        nonlocal signals
        once = Small(candles, named([block]), MONEY, BY_RETURN, OFF)
        run, other = once.sweep(), in_other_units(once, power).sweep()
        last(other.stage_a())
        for base in scores_of_stage_a(run):
            long, short = run.planes_of(base)
            assert [p.tobytes() for p in other.planes_of(base)] == [long.tobytes(), short.tobytes()]
            signals += int(long.any()) + int(short.any())

    compare()
    assert signals, "no signal at all proves nothing"


# --- costs -----------------------------------------------------------------------------------


@law(40)
@given(
    sweeps(),
    st.sampled_from(((0.02, 0.0), (0.0, 0.02), (0.5, 0.0), (0.0, 0.5), (0.3, 0.1))),
)
def test_higher_costs_cost_whoever_trades_and_stays_solvent(
    small: Small, rise: tuple[float, float]
) -> None:
    cheap = replace(small, risk=OFF, ranking=BY_RETURN)
    fee, slippage = (small.execution[name] for name in ("fee_pct", "slippage_pct"))
    dearer = {"fee_pct": fee + rise[0], "slippage_pct": slippage + rise[1]}
    costly = replace(cheap, execution={**small.execution, **dearer})
    run = costly.sweep()
    returns, reduced = scores_of_stage_a(cheap.sweep()), scores_of_stage_a(run)
    for base in range(run.grid.base_total):
        trades = trades_of(run, base)
        if (trades.available > 1e-6 * run.rules.init_cash).all():
            assert reduced[base] < returns[base] if len(trades) else reduced[base] == 0


# --- long and short --------------------------------------------------------------------------


@law(40)
@given(mirrored())
def test_short_on_the_negated_signal_loses_what_long_gains_trade_by_trade(
    pair: tuple[Small, Small],
) -> None:
    long, short = pair[0].sweep(), pair[1].sweep()
    gains, losses = scores_of_stage_a(long), scores_of_stage_a(short)
    for base in range(long.grid.base_total):
        other = mirror_index(long, short, base)
        bought, sold = trades_of(long, base), trades_of(short, other)
        assert bought.entry_bar.tolist() == sold.entry_bar.tolist()
        assert bought.exit_bar.tolist() == sold.exit_bar.tolist()
        assert (bought.quote == 1.0).all()
        assert (sold.quote == 1.0).all()
        np.testing.assert_allclose(sold.net, -bought.net, rtol=1e-9, atol=1e-15)
        assert losses[other] == pytest.approx(-gains[base], rel=1e-9, abs=1e-12)


# --- stage B and stage A ---------------------------------------------------------------------


@law(40)
@given(sweeps())
def test_off_among_the_levels_of_a_risk_grid_repeats_stage_a_bit_for_bit(small: Small) -> None:
    run = small.sweep()
    shortlist, top = both_stages(run)
    combinations = [run.grid.risk_at(risk) for risk in range(run.grid.risk_total)]
    off = combinations.index((None, None, None))
    places = np.flatnonzero(top.indexes() % run.grid.risk_total == off)
    # Ties go by signature before the index, and the two stages sign different things.
    bases = (top.indexes()[places] // run.grid.risk_total).tolist()
    rows = rows_of_scores(top)
    expanded = dict(zip(bases, (rows[place] for place in places), strict=True))
    assert expanded == dict(
        zip(shortlist.indexes().tolist(), rows_of_scores(shortlist), strict=True)
    )
    for after, before in zip(top.scores(), shortlist.scores(), strict=True):
        assert after[places].tobytes() == before.tobytes()


# --- division of the work --------------------------------------------------------------------


def parts_of(total: int, cuts: list[float]) -> list[range]:
    borders = [0, *sorted(round(cut * total) for cut in cuts), total]
    return [range(start, stop) for start, stop in pairwise(borders)]


def merged_in_any_order(lists: list[TopList], order: Any) -> TopList:
    """Merge lists two by two, whichever two, until one is left."""
    while len(lists) > 1:
        order.shuffle(lists)
        one, other, *lists = lists
        one.merge(other)
        lists.append(one)
    return lists[0]


cut_points = st.lists(st.sampled_from([n / 16 for n in range(17)]), min_size=1, max_size=5)
shares_kept = st.floats(0.02, 1)


@law(40)
@given(sweeps(), cut_points, shares_kept, st.randoms(use_true_random=False))
def test_any_parts_of_stage_a_merge_to_one_list_in_any_grouping(
    small: Small, cuts: list[float], kept: float, order: Any
) -> None:
    total = small.sweep().grid.base_total
    run = replace(small, preselect=ceil(kept * total), top_k=1, distinct=True).sweep()
    sides = [parts_of(len(side), cuts) for side in run.division.whole]
    parts = [Part(*pair) for pair in product(*sides)]
    merged = merged_in_any_order([last(run.stage_a(part)) for part in parts], order)
    assert ranked(merged) == ranked(last(run.stage_a()))


@law(40)
@given(sweeps(), cut_points, shares_kept, st.randoms(use_true_random=False))
def test_any_ranges_of_the_shortlist_merge_to_one_list_in_any_grouping(
    small: Small, cuts: list[float], kept: float, order: Any
) -> None:
    grid = small.sweep().grid
    places = ceil(kept * grid.base_total * grid.risk_total)
    run = replace(small, top_k=places, distinct=True).sweep()
    shortlist = last(run.stage_a()).indexes()
    ranges = parts_of(len(shortlist), cuts)
    merged = merged_in_any_order([last(run.stage_b(shortlist, part)) for part in ranges], order)
    assert ranked(merged) == ranked(last(run.stage_b(shortlist)))


@law(40)
@given(sweeps(), st.sampled_from((1, 2)), st.integers(1, 2**13), st.integers(1, 5))
def test_no_thread_and_no_memory_budget_changes_a_ranking(
    small: Small, threads: int, memory_bytes: int, rows: int
) -> None:
    limited = replace(small, preselect=20, top_k=20, distinct=True)
    whole = [ranked(top) for top in both_stages(limited.sweep())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "MIN_ROWS", rows)  # the least that is held, whatever the budget
        patch.setattr(work, "PIECE_VARIANTS", 2 * rows)
        run = limited.sweep(threads=threads, memory_bytes=memory_bytes)
        assert [ranked(top) for top in both_stages(run)] == whole
