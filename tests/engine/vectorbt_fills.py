"""vectorbt on our signals where fills are not all at closes, and which trades it cannot have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.engine.simulator import LONG, SHORT, Prices
from tests.engine.test_differential import (
    CASH,
    FIXED,
    PERCENT,
    Deal,
    Left,
    Outcome,
    Rules,
    wanted_positions,
)


@dataclass(frozen=True, slots=True)
class Orders:
    """What vectorbt is given: signals and prices of its bars, and which of ours they are."""

    frame: pd.DataFrame  # price, close, and open, high and low where stops look at them
    wanted: NDArray[np.int64]  # the position to be in after each of its bars
    no_entry: NDArray[np.bool_]  # bool: bars on which nothing is entered any more
    split: bool  # whether each of our bars is two of its bars

    def decided_on(self, bar: int, turns: set[int]) -> int:
        """Return the bar on which we decide what it does on one of its bars.

        `turns` are those of its bars on which the wanted position changes.
        """
        if not self.split:
            return bar
        return bar // 2 - 1 if bar in turns else bar // 2


def whole_bars(wanted: Sequence[int], prices: Prices, rules: Rules) -> Orders:
    close = np.array(prices.close)
    next_open = rules.entry_fill == "next_open"
    columns = {"price": np.append(prices.open[1:], close[-1]) if next_open else close}
    if rules.stop_fill == "intrabar":
        columns |= {"open": prices.open, "high": prices.high, "low": prices.low}
    bars = np.arange(len(close))
    no_entry = bars >= len(close) - (2 if next_open else 1)
    frame = pd.DataFrame({**columns, "close": close})
    return Orders(frame, np.array(wanted), no_entry, split=False)


def is_split(rules: Rules) -> bool:
    return (rules.entry_fill, rules.stop_fill) == ("next_open", "intrabar")


def split_bars(wanted: Sequence[int], prices: Prices, _rules: Rules) -> Orders:
    """Give each bar as its open, where what was decided before fills, and then whole.

    An open has no range, so that it moves no peak: only whole bars do.
    """
    o, h, low, c = (
        np.array(column) for column in (prices.open, prices.high, prices.low, prices.close)
    )
    none = np.full(len(o), np.inf)
    halves = ((o, o), (-none, h), (none, low), (o, c))
    two = [np.append(np.column_stack(pair).ravel(), c[-1]) for pair in halves]
    frame = pd.DataFrame(dict(zip(("open", "high", "low", "close"), two, strict=True)))
    frame["price"] = frame["open"]
    decided = np.append([0, 0], np.repeat(wanted, 2))[: len(frame)]
    bars = np.arange(len(frame)) // 2
    return Orders(frame, decided, bars >= len(c) - 1, split=True)


def trade(library: Any, signals: list[int], prices: Prices, rules: Rules) -> Outcome:
    """Return the trades of `vectorbt.Portfolio.from_signals`, and the final money."""
    positions = wanted_positions(signals, rules.direction)
    orders = (split_bars if is_split(rules) else whole_bars)(positions, prices, rules)
    wanted, before = orders.wanted, np.concatenate(([0], orders.wanted[:-1]))
    long, short = ((wanted == way) & (before != way) & ~orders.no_entry for way in (LONG, SHORT))
    slippage = rules.slippage_pct / 100
    fills = orders.frame["price"] * np.where(short, 1 - slippage, 1 + slippage)
    money: dict[str, Any] = {"size": np.inf, "lock_cash": True}  # shorts no more than it has
    if rules.sizing == "fixed_quote":
        money = {"size": FIXED, "size_type": "value", "val_price": fills}
    if rules.sizing == "percent":  # of what it has, the fee of the entry included
        money = {"size": PERCENT / 100 * (1 + rules.fee_pct / 100), "size_type": "percent"}
    portfolio = library.Portfolio.from_signals(
        **{name: orders.frame[name] for name in orders.frame},
        entries=long,
        exits=(before == LONG) & (wanted != LONG),
        short_entries=short,
        short_exits=(before == SHORT) & (wanted != SHORT),
        init_cash=CASH,
        fees=rules.fee_pct / 100,
        slippage=slippage,
        upon_opposite_entry="reverse",
        sl_stop=(rules.sl or rules.tsl or np.nan) / 100,
        sl_trail=rules.tsl is not None,
        tp_stop=(rules.tp or np.nan) / 100,
        stop_entry_price="price" if rules.tsl else "fillprice",
        stop_exit_price=where_stops_fill(rules),
        **money,
    )
    records = portfolio.trades.records.sort_values("entry_idx")
    turns = set(np.flatnonzero(wanted != before).tolist())
    deals = [
        Deal(
            entry_bar=orders.decided_on(int(row["entry_idx"]), turns),
            exit_bar=orders.decided_on(int(row["exit_idx"]), turns),
            direction=(LONG, SHORT)[int(row["direction"])],
            entry_price=row["entry_price"],
            exit_price=row["exit_price"],
            quantity=row["size"],
            fees=row["entry_fees"] + row["exit_fees"],
            net=row["pnl"],
        )
        for _, row in records.iterrows()
    ]
    return deals, 1 + float(portfolio.total_return())


def where_stops_fill(rules: Rules) -> str:
    if rules.stop_fill == "close":
        return "price"
    return "stoplimit" if rules.tp and not (rules.sl or rules.tsl) else "stopmarket"


def is_ignored(deal: Deal, before: Left | None, prices: Prices, rules: Rules) -> bool:
    """Return whether a trade begins on a bar of vectorbt's on which it sees a stop."""
    if before is None or before.deal.exit_bar != deal.entry_bar:
        return False
    if not is_split(rules):
        return before.stopped
    return not before.stopped and opens_beyond(before.deal, prices, rules)


def opens_beyond(deal: Deal, prices: Prices, rules: Rules) -> bool:
    """Return whether the open at which a trade leaves on a signal is beyond one of its levels."""
    way, filled, left = deal.direction, deal.entry_bar + 1, deal.exit_bar + 1
    if left >= len(prices.open):
        return False
    edges = (prices.high if way == LONG else prices.low)[filled:left]
    best = max(way * price for price in (prices.open[filled], *edges))
    at, fill = way * prices.open[left], way * deal.entry_price
    return (
        (rules.sl is not None and at <= fill * (1 - way * rules.sl / 100))
        or (rules.tsl is not None and at <= best * (1 - way * rules.tsl / 100))
        or (rules.tp is not None and at >= fill * (1 + way * rules.tp / 100))
    )
