"""A slow and obvious simulator of the execution rules, bar by bar, in plain Python.

It is the reference for the engine's kernels and shares nothing with them: no packed planes, no
shortcuts from one signal change to the next, no reciprocal closes. Every traded bar is visited in
order and the rules are applied to it in order. The numbers in the code are rule numbers: what
signals ask for is rules 1 to 6 in `simulated_signals`, the story of a bar 10 to 19 here, levels and
what reaches them 20 to 25 in `simulated_stops`, money 30 to 41 in `simulated_account`.

10. Everything is decided at the close of a bar. There is one position at a time. The bars of a
    trade are those of its decisions; of a stop that fills inside a bar, that bar.
11. What happens to a bar, in this order: at its open the exit that is due, then the entry that is
    due; inside it the stops; at its close the stops, the signal exit, ruin, the decision to enter
    and, on the last bar, the forced close. With entry fill `close` nothing is due at an open; stops
    are looked at either inside the bar (stop fill `intrabar`) or at the close (`close`). With entry
    fill `next_open` ruin comes before everything else at the close.
12. Entry fill `close`: what is decided at a close fills there. `next_open`: it fills at the open of
    the next bar, dated with its open time, and an exit keeps the reason it was decided for. An exit
    that is decided on the last bar fills at its close.
13. Stops inside the bar are looked at for a position that is there when the bar opens, or fills at
    its open. They fill at once, dated with the bar's close.
14. Stops at the close are looked at for a position decided on an earlier bar. A liquidation closes
    there and then; the others fill by rule 12. So does ruin close there and then.
15. Entry: only when flat, or when an exit has been decided. Nothing is decided to be entered on the
    last bar; with `next_open` nor on the last but one. An edge on which nothing opens is lost.
16. After a risk exit (liquidation, stop, target) on a bar its direction does not reopen on that
    bar; the opposite does. With reentry_after_bars N > 0 nothing is entered on that bar and the N
    bars after it. What counts is why an exit was decided: an exit by signal that fills as a
    liquidation at the next open is no risk exit here.
17. A position that is still open at the end of the last bar is closed at its close.
18. Equity is marked at each close, after all of rule 11. A position that leaves at the next open is
    still open there.
19. Total return [%] = (final equity / initial cash - 1) * 100.
"""

from collections.abc import Sequence

from tests.engine.simulated_account import Account
from tests.engine.simulated_signals import HoldSignals, StateSignals, allowed
from tests.engine.simulated_stops import fill_inside, hit_at_close, hit_inside
from tests.engine.simulated_terms import (
    LONG,
    NEUTRAL,
    OFF,
    SHORT,
    Execution,
    Exit,
    Position,
    Prices,
    RiskLevels,
    Run,
    Trade,
    flat_bars,
)

__all__ = [
    "LONG",
    "NEUTRAL",
    "SHORT",
    "Execution",
    "Prices",
    "RiskLevels",
    "Run",
    "Trade",
    "allowed",
    "simulate",
]


class Simulation:
    """One variant: its signals, its account, and what was decided and has not filled yet."""

    def __init__(
        self,
        signals: StateSignals | HoldSignals,
        prices: Prices,
        rules: Execution,
        risk: RiskLevels,
    ) -> None:
        self.signals, self.prices = signals, prices
        self.rules, self.risk = rules, risk
        self.at_next_open = rules.entry_fill == "next_open"
        self.inside = rules.stop_fill == "intrabar"
        self.account = Account(rules)
        self.last = len(prices.close) - 1
        self.leaving: str | None = None  # why the position closes at the next open
        self.entering = NEUTRAL  # what opens at the next open
        self.risk_exit: tuple[int, int] | None = None  # bar and direction of the latest one

    def live_through(self, bar: int) -> None:
        """Let happen what happens to one bar, in the order of rule 11."""
        if self.at_next_open:
            self.fill_what_is_due(bar)
        if self.account.position is not None:
            self.hold_through(bar)
        self.enter(bar)
        if bar == self.last:
            self.close_on_the_last_bar(bar)

    def hold_through(self, bar: int) -> None:
        """Let happen what happens to an open position."""
        if self.inside:
            self.stop_inside(bar)
        if self.at_next_open:
            self.ruin(bar)
        if not self.inside:
            self.stop_at_close(bar)
        self.exit_by_signal(bar)
        if not self.at_next_open:
            self.ruin(bar)

    def fill_what_is_due(self, bar: int) -> None:
        at, raw = self.prices.open_ms[bar], self.prices.open[bar]
        if self.leaving is not None:
            self.account.close(Exit(bar - 1, self.leaving, raw, at))  # 12
            self.leaving = None
        if self.entering != NEUTRAL:
            self.account.open(self.entering, bar - 1, raw, at, self.stop_loss())
            self.entering = NEUTRAL

    def stop_inside(self, bar: int) -> None:
        position = self.account.position
        if position is None:
            return
        level = hit_inside(position, self.prices.high[bar], self.prices.low[bar], self.risk)
        if level is None:
            return
        self.risk_exit = bar, position.direction
        raw = fill_inside(level, self.prices.open[bar])
        at, limit = self.prices.close_ms[bar], level.reason == "tp"
        self.account.close(Exit(bar, level.reason, raw, at, inside=True, limit=limit))  # 13

    def stop_at_close(self, bar: int) -> None:
        position = self.account.position
        if position is None:
            return
        level = hit_at_close(position, self.prices.close[bar], self.risk)
        if level is None:
            return
        self.risk_exit = bar, position.direction
        if level.reason == "liquidation":
            self.close_now(bar, level.reason)  # 14
        else:
            self.leave(bar, level.reason)

    def exit_by_signal(self, bar: int) -> None:
        position = self.staying()
        if position is not None and self.signals.closes(bar, position.direction):
            self.leave(bar, "signal_exit")

    def ruin(self, bar: int) -> None:
        position = self.account.position
        if position is not None and self.prices.close[bar] >= position.ruin_price:
            self.close_now(bar, "ruin")  # 14

    def enter(self, bar: int) -> None:
        direction = self.signals.opens(bar)
        if direction == NEUTRAL or self.staying() is not None:
            return
        last = self.last - 1 if self.at_next_open else self.last  # 15
        if bar >= last:
            return
        if self.waits_after_a_risk_exit(bar, direction):
            return
        if self.at_next_open:
            self.entering = direction
        else:
            raw, at = self.prices.close[bar], self.prices.close_ms[bar]
            self.account.open(direction, bar, raw, at, self.stop_loss())

    def close_on_the_last_bar(self, bar: int) -> None:
        if self.account.position is not None:
            self.close_now(bar, "forced_close")  # 17

    def leave(self, bar: int, reason: str) -> None:
        """Decide at this bar's close that the position closes (rule 12)."""
        if self.at_next_open and bar != self.last:
            self.leaving = reason
        else:
            self.close_now(bar, reason)

    def close_now(self, bar: int, reason: str) -> None:
        raw, at = self.prices.close[bar], self.prices.close_ms[bar]
        self.account.close(Exit(bar, reason, raw, at))

    def staying(self) -> Position | None:
        """Return the open position, unless its exit has been decided."""
        return None if self.leaving is not None else self.account.position

    def waits_after_a_risk_exit(self, bar: int, direction: int) -> bool:
        if self.risk_exit is None:
            return False
        exit_bar, exit_direction = self.risk_exit
        pause = self.rules.reentry_after_bars
        if pause > 0 and bar <= exit_bar + pause:
            return True
        return bar == exit_bar and direction == exit_direction  # 16

    def stop_loss(self) -> float | None:
        """Return the stop loss by which a position is sized (rule 32)."""
        return self.risk.sl if self.rules.sizing_sl is None else self.rules.sizing_sl


def simulate(
    signals: Sequence[int],
    closes: Sequence[float],
    execution: Execution,
    risk: RiskLevels = OFF,
    prices: Prices | None = None,
    exits: Sequence[tuple[bool, bool]] | None = None,
) -> Run:
    """Run one variant over the traded bars: what has index i belongs to bar i.

    `exits[i]` says whether any exit block is LONG and whether any is SHORT; only with hold.
    Without `prices` every price of a bar is its close, and bars of four hours begin at the epoch.
    """
    assert prices is None or list(prices.close) == list(closes)
    bars = flat_bars(closes) if prices is None else prices
    assert len(signals) == len(closes) == len(bars.open) > 0
    asked: StateSignals | HoldSignals
    if execution.position == "hold":
        exits = [(False, False)] * len(closes) if exits is None else exits
        asked = HoldSignals(signals, exits, execution.direction_mode)
    else:
        assert exits is None
        asked = StateSignals(signals, execution.direction_mode)
    simulation = Simulation(asked, bars, execution, risk)
    account = simulation.account
    equity: list[float] = []
    for bar, close in enumerate(closes):
        simulation.live_through(bar)
        equity.append(account.equity_at(close, bars.close_ms[bar]))  # 18
    return Run(
        trades=account.trades,
        equity=equity,
        total_return_pct=(equity[-1] / execution.init_cash - 1) * 100,  # 19
        ruined=account.ruined,
    )
