"""One variant with its trades: what the sweep computed, written out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.kernels.account import AT_LIMIT, AT_STOP, BY_LIQUIDATION, BY_RUIN, Market
from engine.kernels.inputs import allowed_planes, costs_of, levels_of, market_of
from engine.kernels.rules import LONG_ONLY, SHORT_ONLY, ExecutionRules
from engine.kernels.variant import Ends, trade_variant

Bits = NDArray[np.uint64]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int8 = NDArray[np.int8]

# Name of each value of `Trades.reason`.
REASONS = ("signal_exit", "sl", "tsl", "tp", "ruin", "forced_close", "liquidation")
SIGNAL_EXIT, SL, TSL, TP, RUIN, FORCED_CLOSE, LIQUIDATION = range(7)


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trades of one variant in time order, as a structure of arrays of one length.

    Bars are traded-bar numbers: those at whose close entry and exit were decided, or in which a
    stop filled. `quote` is the entry budget Q, `margin` what of it is the trader's own; fees, carry
    and pnl are quote amounts (`net` = `gross` less both fees and carry), fills are prices; what
    overflowed is infinite or NaN. `available` and `safe` are the cash after the trade; before the
    first one they are the initial cash and 0. At closes the position is there on bars from
    `held_from` to before `flat_from`. `exit_price` is before slippage, `way` how the exit filled.
    """

    entry_bar: Int64
    exit_bar: Int64
    direction: Int8  # +1 long, -1 short
    quote: Float64
    quantity: Float64
    entry_fill: Float64
    exit_fill: Float64
    entry_fee: Float64
    exit_fee: Float64
    gross: Float64
    net: Float64
    reason: Int8  # position in REASONS
    available: Float64
    safe: Float64
    held_from: Int64
    flat_from: Int64
    exit_price: Float64
    way: Int8  # AT_MARKET to BY_LIQUIDATION
    margin: Float64
    carry: Float64

    def __len__(self) -> int:
        return len(self.entry_bar)


def simulate(
    long: Bits,
    short: Bits,
    closes: Float64,
    rules: ExecutionRules,
    sl: float | None = None,
    tp: float | None = None,
    tsl: float | None = None,
    *,
    market: Market | None = None,
    exits: tuple[Bits, Bits] | None = None,
) -> Trades:
    """Trade one variant: planes uint64[W], traded closes float64[n], risk levels in percent.

    `market` is `market_of(closes, costs, ...)`: whoever trades many variants makes it once. Rules
    by which not everything fills at closes need one.
    The last traded bar's own signal may be set: it opens nothing, and tells a forced close from a
    signal exit. Of positions that are held, `exits` are what any exit block says.
    """
    costs = costs_of(rules)
    if market is None:
        market = market_of(closes, costs)
    closing = np.zeros((2, len(long)), np.uint64) if exits is None else np.stack(exits)
    entries, ends_at, is_long, ends, ledger = trade_variant(
        long,
        short,
        closing,
        allowed_planes(len(closes), rules),
        levels_of((sl,), (tp,), (tsl,)),
        market,
        costs,
        rules.hold,
        rules.pause,
    )
    count = len(entries)
    entry, exit_ = entries.astype(np.int64), ends_at.astype(np.int64)
    quote, net = ledger.quote[:count].copy(), ledger.net[:count].copy()
    price, way = ledger.price[:count].copy(), ledger.way[:count].copy()
    margin = quote if costs.margin == 1.0 else quote * costs.margin
    gone = way == BY_LIQUIDATION
    with np.errstate(all="ignore"):  # what overflows is infinite, and its difference NaN
        entry_fill = market.entry[entry] * np.where(is_long, costs.buy, costs.sell)
        slipped = np.where(is_long, costs.sell, costs.buy)
        exit_fill = price * np.where(way == AT_LIMIT, 1.0, slipped)
        level = entry_fill * np.where(is_long, costs.liquid_long, costs.liquid_short)
        exit_fill = np.where(gone, level, exit_fill)
        quantity = quote / entry_fill
        value = quantity * exit_fill
        entry_fee, exit_fee = quote * costs.fee, np.where(gone, 0.0, value * costs.fee)
        gross = np.where(gone, -margin, np.where(is_long, value - quote, quote - value))
        carry = np.where(gone, 0.0, quote * _carried(entry, exit_, is_long, way, market))
    return Trades(
        entry_bar=entry,
        exit_bar=exit_,
        direction=np.where(is_long, 1, -1).astype(np.int8),
        quote=quote,
        quantity=quantity,
        entry_fill=entry_fill,
        exit_fill=exit_fill,
        entry_fee=entry_fee,
        exit_fee=exit_fee,
        gross=gross,
        net=net,
        reason=_reasons(
            exit_, ends, way, _kept_on(long, short, closing, len(closes), rules), is_long, market
        ),
        available=ledger.cash[1 : count + 1].copy(),
        safe=ledger.safe[1 : count + 1].copy(),
        held_from=entry + market.delay,
        flat_from=ledger.flat[:count].astype(np.int64),
        exit_price=price,
        way=way,
        margin=margin,
        carry=carry,
    )


def _carried(
    entry: Int64, exit_: Int64, is_long: NDArray[np.bool_], way: Int8, market: Market
) -> Float64:
    """Return what holding each trade has cost, as a share of Q."""
    if not market.carry.entry.size:
        return np.zeros(len(entry))
    side = np.where(is_long, 0, 1)
    inside = (way == AT_STOP) | (way == AT_LIMIT)
    until = np.select(
        [inside, way == BY_RUIN],
        [market.carry.inside[side, exit_], market.carry.close[side, exit_]],
        default=market.carry.exit[side, exit_],
    )
    return until - market.carry.entry[side, entry]


def _kept_on(
    long: Bits, short: Bits, exits: Bits, bars: int, rules: ExecutionRules
) -> tuple[int, bool, bool]:
    """Return the last traded bar, and whether a long and a short would be kept there."""
    word, bit = divmod(bars - 1, 64)
    is_long, is_short, closes_short, closes_long = (
        bool(int(plane[word]) >> bit & 1) for plane in (long, short, *exits)
    )
    if rules.hold:
        return bars - 1, not (closes_long or is_short), not (closes_short or is_long)
    return (
        bars - 1,
        is_long and rules.direction != SHORT_ONLY,
        is_short and rules.direction != LONG_ONLY,
    )


def _reasons(
    exits: Int64,
    ends: Ends,
    way: Int8,
    kept_on: tuple[int, bool, bool],
    is_long: NDArray[np.bool_],
    market: Market,
) -> Int8:
    """Return why each trade ended, the first of: SL, TSL, TP, signal, ruin, forced close.

    A liquidation is one whatever else the bar has.

    Ruin comes before those where an order would have filled at the next open only.
    """
    last, long_kept, short_kept = kept_on
    sl, tp, tsl = (ends.hits[:, column] == exits for column in range(3))
    held_on = (exits == last) & np.where(is_long, long_kept, short_kept)
    ruin = way == BY_RUIN
    return np.select(
        [
            way == BY_LIQUIDATION,
            ruin & (market.delay > 0),
            *(sl, tsl, tp),
            (ends.natural == exits) & ~held_on,
            ruin,
        ],
        [LIQUIDATION, RUIN, SL, TSL, TP, SIGNAL_EXIT, RUIN],
        default=FORCED_CLOSE,
    ).astype(np.int8)
