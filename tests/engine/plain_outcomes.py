"""What variants of a sweep do, by the slow simulator, and which of them do the same."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache

from engine.sweep import Sweep
from tests.engine.adapter import Exits, bars_of_plane, signals_from
from tests.engine.rederive import traded_prices
from tests.engine.simulated_signals import HoldSignals
from tests.engine.simulator import NEUTRAL, Execution, Prices, RiskLevels, Run, allowed, simulate

OFF = RiskLevels()


def signals_of(run: Sweep, base: int) -> list[int]:
    """Return the signal of each traded bar of a base variant."""
    return signals_from(*run.planes_of(base), len(run.closes))


def exits_of(run: Sweep, base: int) -> Exits:
    """Return what the exit blocks of a base variant say on each traded bar."""
    planes = run.exit_planes_of(base)
    if planes is None:
        return None
    return list(zip(*(bars_of_plane(plane, len(run.closes)) for plane in planes), strict=True))


def execution_of(run: Sweep) -> Execution:
    """Return the request's rules in the simulator's terms."""
    rules, asked = run.rules, run.request.execution
    return Execution(
        init_cash=rules.init_cash,
        fee_pct=100 * rules.fee,
        slippage_pct=100 * rules.slippage,
        fixed_quote=rules.fixed_quote,
        safe_profit_percent=100 * rules.safe_fraction,
        direction_mode=run.request.direction_mode,
        sizing_mode=run.request.sizing_mode,
        entry_fill=asked.entry_fill,
        stop_fill=asked.stop_fill,
        position=run.request.position,
        reentry_after_bars=asked.reentry_after_bars,
        percent=asked.percent,
        risk_per_trade_pct=asked.risk_per_trade_pct,
        leverage=asked.leverage,
        funding_pct_per_8h=asked.funding_pct_per_8h,
        borrow_pct_per_year=asked.borrow_pct_per_year,
    )


def simulated(run: Sweep, base: int, risk: RiskLevels = OFF) -> Run:
    """Return the trades of one variant, bar by bar."""
    signals, prices, exits = _traded(run, base)
    return simulate(signals, prices.close, execution_of(run), risk, prices, exits)


@lru_cache(maxsize=1)  # of a base variant all combinations are simulated one after the other
def _traded(run: Sweep, base: int) -> tuple[list[int], Prices, Exits]:
    return signals_of(run, base), traded_prices(run.candles), exits_of(run, base)


def positions_of(run: Sweep, base: int) -> tuple[int, ...]:
    """Return what a variant without levels wants to hold after each bar: stage A's identity.

    What would begin where nothing is entered any more is nothing.
    """
    if run.rules.hold:
        asked = signals_of(run, base), exits_of(run, base), execution_of(run)
        return held_and_starts(*asked)
    mode = run.request.direction_mode
    wanted = [allowed(signal, mode) for signal in signals_of(run, base)]
    wanted[-1] = NEUTRAL
    if run.rules.next_open and len(wanted) > 1 and [0, *wanted][-3] != wanted[-2]:
        wanted[-2] = NEUTRAL
    return tuple(wanted)


def held_and_starts(signals: Sequence[int], exits: Exits, execution: Execution) -> tuple[int, ...]:
    """Return what a variant without levels holds after each bar, and on which bars one may open.

    Starts inside a holding count, for a stop makes entries of them.
    """
    count = len(signals)
    said = [(False, False)] * count if exits is None else exits
    asked = HoldSignals(signals, said, execution.direction_mode)
    late = 2 if execution.entry_fill == "next_open" else 1
    starts = [asked.opens(bar) if bar < count - late else NEUTRAL for bar in range(count)]
    held, position = [], NEUTRAL
    for bar, start in enumerate(starts):
        if position != NEUTRAL and (asked.closes(bar, position) or bar == count - 1):
            position = NEUTRAL
        position = position or start
        held.append(position)
    return (*held, *starts)


def trades_of(run: Sweep, base: int, risk: RiskLevels) -> tuple[tuple[int, int, int, float], ...]:
    """Return entry, exit, direction and exit price of each trade: the identity of stage B."""
    return tuple(
        (trade.entry_bar, trade.exit_bar, trade.direction, trade.exit_fill)
        for trade in simulated(run, base, risk).trades
    )


def groups(variants: Iterable[tuple[int, int, Hashable]]) -> dict[int, int]:
    """Return lowest index and twins of each outcome of variants (index, weight, identity)."""
    members: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
    for index, weight, identity in variants:
        members[identity].append((index, weight))
    return {min(group)[0]: sum(weight for _, weight in group) for group in members.values()}
