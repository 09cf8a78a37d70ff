"""No signal of the whole pipeline knows the future: a prefix of candles gives a prefix of it."""

import random
from dataclasses import replace
from typing import Any

import pytest

from engine.candles import Candles
from engine.report import reports
from engine.request import Request
from engine.sweep import Sweep
from tests.engine.adapter import signals_from
from tests.engine.hold_shapes import SHAPES
from tests.engine.worlds import World, block_menu, explicit

BLOCKS = {
    f"{block['indicator_id']} {block['output']} {variant}": block
    for variant in range(2)
    for block in block_menu(random.Random(variant))
}


def prefix(candles: Candles, traded: int) -> Candles:
    """Return the candles up to and including the given number of traded bars."""
    stop = candles.first + traded
    names = ("ts_open", "open", "high", "low", "close", "volume")
    return replace(candles, **{name: getattr(candles, name)[:stop].copy() for name in names})


def all_signals(request: Request, candles: Candles, bases: int) -> list[list[int]]:
    sweep = Sweep(request, candles)
    return [signals_from(*sweep.planes_of(base), candles.traded_bars) for base in range(bases)]


def assert_causal(world: World) -> None:
    request, bases = world.request(), len(world.bases)
    whole = all_signals(request, world.candles, bases)
    assert any(any(signals) for signals in whole), "no signal at all proves nothing"
    count = world.candles.traded_bars
    for traded in {1, 2, 40, 63, 64, 65, count - 65, count - 64, count - 1} & set(range(1, count)):
        part = all_signals(request, prefix(world.candles, traded), bases)
        assert part == [signals[:traded] for signals in whole], f"{traded} of {count} bars"


@pytest.mark.parametrize("name", BLOCKS)
def test_one_blocks_signals_on_a_prefix_are_the_prefix_of_its_signals(name: str) -> None:
    assert_causal(World(11, blocks=[BLOCKS[name] | {"name": "only"}]))


@pytest.mark.parametrize("seed", range(4))
def test_a_strategys_signals_on_a_prefix_are_the_prefix_of_its_signals(seed: int) -> None:
    assert_causal(World(seed))


def test_changing_the_future_changes_no_signal_of_the_past() -> None:
    world = World(2)
    count, cut = world.candles.traded_bars, world.candles.traded_bars // 2
    columns = {}
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(world.candles, name).copy()
        column[world.candles.first + cut :] = column[world.candles.first + cut :][::-1].copy()
        columns[name] = column
    other = replace(world.candles, **columns)
    assert count > cut > 10
    bases = len(world.bases)
    before = all_signals(world.request(), world.candles, bases)
    after = all_signals(world.request(), other, bases)
    assert [signals[:cut] for signals in after] == [signals[:cut] for signals in before]
    assert after != before


# --- positions that are held -----------------------------------------------------------------


def trades_of(request: Request, candles: Candles) -> dict[int, list[dict[str, Any]]]:
    """Return the trades of every fifth variant of a request, with and without a stop."""
    sweep = Sweep(request, candles)
    variants = range(0, sweep.grid.base_total * sweep.grid.risk_total, 5)
    rows = reports(sweep, variants, top_trades_n=len(variants), result_bytes=2**40)
    return {row.variant_index: row.trades or [] for row in rows}


def decided(trades: list[dict[str, Any]], times: list[str]) -> list[Any]:
    """Return what was known of trades by the last of some times: exits are, or are to come."""
    known: list[Any] = []
    for trade in trades:
        if trade["entry_time"] > times[-1]:
            break
        entry = {
            name: trade[name] for name in ("direction", "entry_time", "entry_price", "quantity")
        }
        known.append(trade if trade["exit_time"] <= times[-1] else entry)
    return known


@pytest.mark.parametrize(
    ("fills", "pause"), [(("close", "close"), 3), (("next_open", "intrabar"), 0)]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_trades_of_held_positions_on_a_prefix_are_those_on_all_candles(
    shape: str, fills: tuple[str, str], pause: int
) -> None:
    entries, exits, _ = SHAPES[shape]
    world = World(5, blocks=entries, exits=exits, fills=fills, pause=pause)
    world.template["risk_grid"] = {"sl": explicit(None, 1.5), "tp": explicit(4.0), "tsl": None}
    request = world.request()
    whole = trades_of(request, world.candles)
    count, closed = world.candles.traded_bars, 0
    for traded in (count // 2, 64, count - 1):
        part = prefix(world.candles, traded)
        # What is decided on the last two bars of a prefix is not what it is with bars after them.
        ends = part.close_time()[part.first : -2]
        times = [f"{end.astype('datetime64[ms]').astype('datetime64[s]')}Z" for end in ends]
        for variant, trades in trades_of(request, part).items():
            known = decided(trades, times)
            assert known == decided(whole[variant], times), (variant, traded)
            closed += len(known)
    assert closed > 50, "few trades prove little"
