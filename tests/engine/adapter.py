"""From the simulator's terms to the engine's and back."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from engine import kernels
from engine.funding import Funding
from engine.kernels import DIRECTIONS, REASONS, SIZINGS, ExecutionRules, Trades
from engine.kernels.account import Market
from engine.kernels.charges import carry_between
from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import (
    Fills,
    allowed_planes,
    costs_of,
    levels_of,
    market_of,
    order_of,
    room_for,
    sizes_of,
)
from engine.kernels.measures import WORST_TIER, Found
from engine.metrics import equity_curve
from tests.engine.simulated_terms import flat_bars
from tests.engine.simulator import LONG, NEUTRAL, SHORT, Execution, Prices, RiskLevels, Run, Trade

Bits = NDArray[np.uint64]
Exits = Sequence[tuple[bool, bool]] | None
FLOATS = (
    "quote",
    "quantity",
    "entry_fill",
    "exit_fill",
    "entry_fee",
    "exit_fee",
    "gross",
    "net",
    "available",
    "safe",
    "margin",
    "carry",
)


def rules_of(execution: Execution, sl: float | None = None) -> ExecutionRules:
    """Return the engine's rules; `sl` sizes the trades where nothing else does."""
    sizing_sl = execution.sizing_sl if execution.sizing_sl is not None else sl
    return ExecutionRules(
        fee=execution.fee_pct / 100,
        slippage=execution.slippage_pct / 100,
        direction=DIRECTIONS.index(execution.direction_mode),
        sizing=SIZINGS.index(execution.sizing_mode),
        init_cash=execution.init_cash,
        fixed_quote=execution.fixed_quote,
        safe_fraction=execution.safe_profit_percent / 100,
        next_open=execution.entry_fill == "next_open",
        inside=execution.stop_fill == "intrabar",
        hold=execution.position == "hold",
        pause=execution.reentry_after_bars,
        percent=execution.percent / 100,
        risk=execution.risk_per_trade_pct / 100,
        stop=(sizing_sl or 0.0) / 100,
        leverage=execution.leverage,
        funding=execution.funding_pct_per_8h / 100,
        borrow=execution.borrow_pct_per_year / 100,
        stored_funding=execution.funding_rates is not None,
    )


def plane(signals: Sequence[int], wanted: int) -> Bits:
    """Pack the bars whose signal is `wanted`: bar i is bit i % 64 of word i // 64."""
    bits = np.zeros(64 * -(-len(signals) // 64), dtype=bool)
    bits[: len(signals)] = np.array(signals) == wanted
    return np.packbits(bits, bitorder="little").view("<u8")


def bars_of_plane(words: Bits, count: int) -> list[bool]:
    """Unpack a plane into one flag per bar."""
    bits = np.unpackbits(words.view(np.uint8), count=count, bitorder="little")
    flags: list[bool] = bits.astype(bool).tolist()
    return flags


def signals_from(long: Bits, short: Bits, count: int) -> list[int]:
    """Unpack two planes into one signal per bar."""
    assert not (long & short).any()
    flags = zip(bars_of_plane(long, count), bars_of_plane(short, count), strict=True)
    return [LONG if up else SHORT if down else NEUTRAL for up, down in flags]


def trade_list(trades: Trades) -> list[Trade]:
    exact = (trades.entry_bar, trades.exit_bar, trades.direction, trades.reason)
    amounts = [getattr(trades, name).tolist() for name in FLOATS]
    return [
        Trade(
            entry_bar=entry_bar,
            exit_bar=exit_bar,
            direction=direction,
            reason=REASONS[reason],
            **dict(zip(FLOATS, row, strict=True)),
        )
        for entry_bar, exit_bar, direction, reason, *row in zip(
            *(column.tolist() for column in exact), *amounts, strict=True
        )
    ]


def market_for(
    closes: Sequence[float], execution: Execution, prices: Prices | None = None
) -> Market:
    """Return what orders fill at; without `prices` every price of a bar is its close."""
    rules, bars = rules_of(execution, 1.0), np.array(closes, dtype=np.float64)
    times = np.arange(len(bars)) if prices is None else np.array(prices.open_ms, np.int64)
    bars_of = flat_bars(closes) if prices is None else prices
    at = (np.array(column, np.int64) for column in (bars_of.open_ms, bars_of.close_ms))
    carry = carry_between(rules, *at, funding_of(execution))
    fills = None
    if rules.next_open or rules.inside:
        columns = (bars,) * 3
        if prices is not None:
            columns = tuple(map(np.array, (prices.open, prices.high, prices.low)))
        fills = Fills(*columns, rules.next_open, rules.inside)
    return market_of(bars, costs_of(rules), times, fills, carry)


def funding_of(execution: Execution) -> Funding | None:
    """Return the payments of the simulator as the engine takes them."""
    if execution.funding_rates is None:
        return None
    times, rates = ([payment[part] for payment in execution.funding_rates] for part in (0, 1))
    return Funding(np.array(times, np.int64), np.array(rates, np.float64))


def engine_trades(
    signals: Sequence[int],
    closes: Sequence[float],
    execution: Execution,
    risk: RiskLevels,
    prices: Prices | None = None,
    exits: Exits = None,
    market: Market | None = None,
) -> Trades:
    """Run the engine's single-variant simulation on the simulator's input.

    `market` is that of the prices, where the caller has made it.
    """
    return kernels.simulate(
        plane(signals, LONG),
        plane(signals, SHORT),
        np.array(closes, dtype=np.float64),
        rules_of(execution, risk.sl),
        risk.sl,
        risk.tp,
        risk.tsl,
        market=market or market_for(closes, execution, prices),
        exits=exit_planes(exits, len(signals)),
    )


def exit_planes(exits: Exits, count: int) -> tuple[Bits, Bits]:
    """Pack what exit blocks say: the bars on which any is LONG, and those on which any is SHORT."""
    asked = [(False, False)] * count if exits is None else exits
    long, short = ([LONG if bar[side] else NEUTRAL for bar in asked] for side in (0, 1))
    return plane(long, LONG), plane(short, LONG)


Axis = Sequence[float | None]


def engine_scores(
    signals: Sequence[int],
    closes: Sequence[float],
    execution: Execution,
    axes: tuple[Axis, Axis, Axis],
    secondary: str | None = None,
    prices: Prices | None = None,
    exits: Exits = None,
    market: Market | None = None,
) -> Found:
    """Return the scores of one variant in stage B under every combination of sl, tp and tsl.

    With a `secondary` metric of trades each of them is recorded, else only balances are kept.
    `market` is that of the prices, where the caller has made it.
    """
    rules = rules_of(execution)
    combinations = prod(map(len, axes))
    found = room_for(combinations)
    rows = exit_planes(exits, len(signals))
    costs, shares = sizes_of(rules, axes[0])
    if execution.sizing_sl is not None:  # all are sized by the same stop
        costs, shares = costs_of(rules), np.empty(0)
    kept = expand_risk(
        np.stack((plane(signals, LONG), rows[0])),
        np.stack((plane(signals, SHORT), rows[1])),
        allowed_planes(len(closes), rules),
        np.array([[0, 1]] if rules.hold else [[0]]),
        np.zeros(1, np.int64),
        RiskTile(0, 0, 0, len(axes[1]), len(axes[2]), combinations, rules.hold, 1, rules.pause),
        levels_of(*axes),
        market or market_for(closes, execution, prices),
        costs,
        shares,
        order_of("total_return_pct", secondary, 0, WORST_TIER, np.inf),
        found,
    )
    assert found.variant[:kept].tolist() == list(range(combinations))
    return Found(*(column[:kept] for column in found))


def engine_run(
    signals: Sequence[int],
    closes: Sequence[float],
    execution: Execution,
    risk: RiskLevels,
    prices: Prices | None = None,
    exits: Exits = None,
) -> Run:
    """Return the engine's run in the simulator's terms."""
    market = market_for(closes, execution, prices)
    trades = engine_trades(signals, closes, execution, risk, prices, exits, market)
    curve = equity_curve(trades, market.closes, rules_of(execution, risk.sl), market=market)
    equity = curve.tolist()
    axes = (risk.sl,), (risk.tp,), (risk.tsl,)
    scored = engine_scores(
        signals, closes, execution, axes, prices=prices, exits=exits, market=market
    )
    return Run(
        trades=trade_list(trades),
        equity=equity,
        total_return_pct=(equity[-1] / execution.init_cash - 1) * 100,
        ruined=bool(scored.ruined[0]),
    )


def close_to(ours: float, reference: float, made_of: float = 0.0) -> bool:
    """Return whether two numbers agree to 1e-9, relative above 1 and absolute below.

    `made_of` is the size of the amounts whose difference is compared: float64 resolves that
    difference no finer than they are, so eight roundings of them are allowed on top.
    """
    tolerance = 1e-9 * max(1.0, abs(reference)) + 8 * 2.0**-52 * abs(made_of)
    return abs(ours - reference) <= tolerance


def difference(ours: Run, reference: Run) -> str | None:
    """Describe the first disagreement of two runs, or return None."""
    for number, (mine, theirs) in enumerate(zip(ours.trades, reference.trades, strict=False)):
        exact = ("entry_bar", "exit_bar", "direction", "reason")
        wrong = [n for n in exact if getattr(mine, n) != getattr(theirs, n)]
        wrong += [
            name
            for name in FLOATS
            if not close_to(getattr(mine, name), getattr(theirs, name), theirs.quote)
        ]
        if wrong:
            return f"trade {number}: {wrong} differ\n  engine    {mine}\n  simulator {theirs}"
    if len(ours.trades) != len(reference.trades):
        return f"{len(ours.trades)} trades instead of {len(reference.trades)}"
    for bar, (mine_at, theirs_at) in enumerate(zip(ours.equity, reference.equity, strict=True)):
        if not close_to(mine_at, theirs_at):
            return f"equity of bar {bar}: {mine_at!r} instead of {theirs_at!r}"
    if not close_to(ours.total_return_pct, reference.total_return_pct):
        return f"return {ours.total_return_pct!r} instead of {reference.total_return_pct!r}"
    if ours.ruined != reference.ruined:
        return f"ruined: {ours.ruined} instead of {reference.ruined}"
    return None
