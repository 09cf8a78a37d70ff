"""Where holding a position must be what is done without it, or without a block more."""

from typing import Any

import pytest

from engine.metric_names import METRICS
from engine.ranking import TopList
from engine.request import Request
from engine.sweep import Sweep
from tests.engine.hold_shapes import average, strength
from tests.engine.plain_outcomes import exits_of, signals_of
from tests.engine.small_sweeps import NO_RISK, RISK, candles, request
from tests.engine.test_execution_sweep import bits_by_index
from tests.engine.test_fills_equalities import WAYS
from tests.engine.test_hold_sweep import FILLS
from tests.engine.test_sweep import last, ranking
from tests.engine.worlds import with_gaps

Stages = tuple[TopList, TopList]
every_fill = pytest.mark.parametrize("fills", FILLS, ids=" ".join)
every_way = pytest.mark.parametrize(("sizing", "direction"), WAYS)
every_metric = pytest.mark.parametrize("metric", METRICS)

# These are never NEUTRAL once their averages are known; no two of the prices are equal.
ALWAYS = average("always", 3, 5, 8, 20)
OFTEN = strength("often", (4, 7), (44.4,), (55.3, 61.9))
ONCE = strength("often", (4,), (44.4,), (55.3,))
CLOSES = strength("closes", (3, 5), (30.1,), (66.6, 58.4, 75.2))
SILENT = strength("silent", (14,), (0.0,), (100.0,))


def asked(
    entries: list[Any],
    exits: list[Any] | None,
    fills: tuple[str, str] = FILLS[0],
    metric: str = "total_return_pct",
    pause: int = 0,
    risk: dict[str, list[float | None]] = RISK,
    **changes: Any,
) -> Request:
    """Make a request that keeps all variants; with `exits`, of any number, positions are held."""
    held = {} if exits is None else {"position": "hold", "exit_grids": exits}
    named = {"entry_fill": fills[0], "stop_fill": fills[1], "reentry_after_bars": pause}
    return request(
        *entries,
        primary=metric,
        execution=named,
        risk=risk,
        preselect=1000,
        top_k=1000,
        **held,
        **changes,
    )


def stages(wanted: Request) -> Stages:
    run = Sweep(wanted, with_gaps(candles(), 1))
    first = last(run.stage_a()).top
    return first, last(run.stage_b(first.indexes(), twins=first.twins())).top


def same(one: Stages, other: Stages) -> bool:
    return [ranking(top) for top in one] == [ranking(top) for top in other]


@every_metric
def test_a_signal_that_is_never_neutral_is_held_as_it_is_followed(metric: str) -> None:
    state, hold = (stages(asked([ALWAYS], exits, metric=metric)) for exits in (None, []))
    assert same(state, hold)


@every_fill
@every_way
def test_it_is_however_orders_fill_and_whatever_may_be_traded(
    sizing: str, direction: str, fills: tuple[str, str]
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction}
    run = Sweep(asked([ALWAYS], [], fills, **how), with_gaps(candles(), 1))
    assert all(0 not in signals_of(run, base) for base in range(run.grid.base_total))
    for pause in (0, 5):
        state, hold = (
            stages(asked([ALWAYS], exits, fills, pause=pause, **how)) for exits in (None, [])
        )
        assert same(state, hold)


@every_fill
@every_way
def test_an_exit_block_that_says_nothing_changes_nothing(
    sizing: str, direction: str, fills: tuple[str, str]
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction}
    silent = asked([OFTEN], [SILENT], fills, **how)
    run = Sweep(silent, with_gaps(candles(), 1))
    assert not any(any(said) for base in range(4) for said in exits_of(run, base) or ())
    assert same(stages(silent), stages(asked([OFTEN], [], fills, **how)))


@every_fill
@every_way
def test_an_exit_block_that_says_nothing_beside_another_changes_nothing(
    sizing: str, direction: str, fills: tuple[str, str]
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction}
    one, other = (
        stages(asked([OFTEN], exits, fills, **how)) for exits in ([CLOSES], [CLOSES, SILENT])
    )
    assert same(one, other)
    assert not same(one, stages(asked([OFTEN], [], fills, **how)))


@pytest.mark.parametrize("pause", [0, 3])
@every_fill
def test_the_same_exit_block_twice_closes_as_it_does_alone(
    fills: tuple[str, str], pause: int
) -> None:
    again = CLOSES | {"name": "again"}
    once, twice = (
        stages(asked([ONCE], exits, fills, pause=pause, distinct=False))
        for exits in ([CLOSES], [CLOSES, again])
    )
    # Of the 36 combinations of both blocks, number 7 * n is that of variant n of either.
    for alone, both, combinations in zip(once, twice, (1, 24), strict=True):
        equal = {
            7 * base * combinations + risk: score
            for index, score in bits_by_index(alone).items()
            for base, risk in (divmod(index, combinations),)
        }
        found = bits_by_index(both)
        assert equal.items() <= found.items()
        assert len(equal) == 6 * combinations


@every_fill
@every_way
def test_the_only_entry_block_as_an_exit_block_closes_what_it_closes_anyway(
    sizing: str, direction: str, fills: tuple[str, str]
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction}
    alone, closing = (stages(asked([ONCE], exits, fills, **how)) for exits in ([], [ONCE]))
    assert same(alone, closing)


@every_fill
@every_way
def test_a_pause_changes_nothing_where_no_level_ends_a_trade(
    sizing: str, direction: str, fills: tuple[str, str]
) -> None:
    how = {"sizing_mode": sizing, "direction_mode": direction}
    for exits in (None, [], [CLOSES]):
        at_once, later = (
            stages(asked([OFTEN], exits, fills, pause=pause, risk=NO_RISK, **how))
            for pause in (0, 7)
        )
        assert same(at_once, later)
        stopped, paused = (
            stages(asked([OFTEN], exits, fills, pause=pause, **how)) for pause in (0, 7)
        )
        assert ranking(stopped[0]) == ranking(paused[0])
        assert ranking(stopped[1]) != ranking(paused[1])


@every_fill
def test_after_a_pause_longer_than_the_bars_a_level_ends_the_last_trade(
    fills: tuple[str, str],
) -> None:
    how = {"risk": {"sl": [0.05], "tp": [0.05], "tsl": [None]}, "metric": "num_trades"}
    for exits in (None, [], [CLOSES]):
        _, paused = stages(asked([OFTEN], exits, fills, pause=10**6, distinct=False, **how))
        _, at_once = stages(asked([OFTEN], exits, fills, pause=0, distinct=False, **how))
        assert max(paused.scores()[0]) < 5 < max(at_once.scores()[0])
