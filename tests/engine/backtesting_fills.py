"""backtesting.py on our signals with stops inside bars, and which trades it cannot have."""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import pandas as pd

from tests.engine.simulator import LONG, Prices
from tests.engine.test_differential import (
    CASH,
    FIXED,
    UNITS_OF_A_POSITION,
    Deal,
    Left,
    Outcome,
    Rules,
    wanted_positions,
)


def trade(library: Any, signals: list[int], prices: Prices, rules: Rules) -> Outcome:
    """Return the trades of `backtesting.Backtest`, and the final money."""
    wanted = wanted_positions(signals, rules.direction)
    next_open = rules.entry_fill == "next_open"
    money = FIXED if rules.sizing == "fixed_quote" else CASH
    scale = 2.0 ** np.round(np.log2(money / max(prices.close) / UNITS_OF_A_POSITION))
    # It first looks at bar 1, and fills what the last bar asks for on the next one.
    first, end = prices.open[0], prices.close[-1]
    columns = [
        scale * np.array([first, *column, end])
        for column in (prices.open, prices.high, prices.low, prices.close)
    ]
    frame = pd.DataFrame(dict(zip(("Open", "High", "Low", "Close"), columns, strict=True)))
    raw = columns[0][2:] if next_open else columns[3][1:]  # where a decision fills
    no_entry = len(wanted) - (2 if next_open else 1)
    turned: set[int] = set()

    class Follow(library.Strategy):  # type: ignore[misc, name-defined]
        def init(self) -> None:
            self.best = 0.0

        def next(self) -> None:
            bar = len(self.data) - 2
            if bar >= len(wanted):
                return
            now, before = wanted[bar], wanted[bar - 1] if bar else 0
            self.trail()
            if self.position and now != np.sign(self.position.size):
                self.position.close()
                turned.add(bar)
            if now and now != before and bar < no_entry:
                self.enter(now, raw[bar])

        def trail(self) -> None:
            for held in self.trades if rules.tsl else ():
                way = 1 if held.is_long else -1
                edge = self.data.High[-1] if held.is_long else self.data.Low[-1]
                self.best = max(self.best * way, edge * way) * way
                held.sl = self.best * (1 - way * rules.tsl / 100)

        def enter(self, way: int, price: float) -> None:
            self.best = price
            stop, target = rules.sl or rules.tsl, rules.tp
            order = {
                "sl": price * (1 - way * stop / 100) if stop else None,
                "tp": price * (1 + way * target / 100) if target else None,
            }
            if rules.sizing != "all_in":
                order["size"] = FIXED // price
            with contextlib.suppress(ValueError):  # refused
                (self.buy if way == LONG else self.sell)(**order)

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        stats = library.Backtest(
            frame,
            Follow,
            cash=CASH,
            commission=rules.fee_pct / 100,
            trade_on_close=not next_open,
        ).run()

    def left_on(entry: int, exit_: int) -> int:
        """Return the bar on which a trade's exit was decided, or on which its stop filled."""
        waited = next_open and exit_ - 2 in turned and exit_ != entry
        return exit_ - 2 if waited else exit_ - 1

    deals = [
        Deal(
            entry_bar=int(row["EntryBar"]) - (2 if next_open else 1),
            exit_bar=left_on(int(row["EntryBar"]), int(row["ExitBar"])),
            direction=int(np.sign(row["Size"])),
            entry_price=row["EntryPrice"] / scale,
            exit_price=row["ExitPrice"] / scale,
            quantity=abs(row["Size"]) * scale,
            fees=row["Commission"],
            net=row["PnL"],
        )
        for _, row in stats["_trades"].sort_values(["EntryBar", "ExitBar"]).iterrows()
    ]
    return deals, stats["Equity Final [$]"] / CASH


def is_refused(deal: Deal, _before: Left | None, prices: Prices, rules: Rules) -> bool:
    """Return whether the last close before an entry is beyond the stop or target of its fill."""
    way, price, last_close = deal.direction, deal.entry_price, prices.close[deal.entry_bar]
    stop, target = rules.sl or rules.tsl, rules.tp
    stopped = bool(stop) and way * last_close <= way * price * (1 - way * (stop or 0) / 100)
    return stopped or (bool(target) and way * last_close >= way * price * (1 + way * target / 100))
