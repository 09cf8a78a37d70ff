"""A slow and obvious simulator of the execution rules, bar by bar, in plain Python.

It is the reference for the engine's kernels and shares nothing with them: no packed planes, no
shortcuts from one signal change to the next, no reciprocal closes. Every traded bar is visited in
order and the rules below are applied to it in order. The numbers in the code are rule numbers.

 1. One bar, one decision moment: its close. One position at a time.
 2. The signal of a bar is +1 (wants to be long), -1 (wants to be short) or 0 (wants to be flat).
    In long-only mode -1 counts as 0, in short-only mode +1 counts as 0: the forbidden direction
    still closes a position but never opens one.
 3. On every bar, in this order: risk exit, signal exit, ruin, entry, forced close on the last bar.
 4. Risk exit: an open position that was entered on an *earlier* bar is compared, on raw closes,
    with its stop loss, then its trailing stop, then its take profit; the first that is hit closes
    it. Levels are measured from the entry fill (stop loss, take profit) or from the best raw close
    since and including the entry bar (trailing stop): the highest for a long, the lowest for a
    short. Levels stand 1e-12 nearer to the price than their percent says, so that a close that
    equals one in decimals hits it whatever the products round to. With p = percent / 100, x the
    fill or the best close, and products taken from left to right:
        long:   stop loss   close <= x * (1 - p) * (1 + 1e-12)
                trailing    close <= x * (1 - p) * (1 + 1e-12)
                take profit close >= x * (1 + p) * (1 - 1e-12)
        short:  stop loss   close >= x * (1 + p) * (1 - 1e-12)
                trailing    close >= x * (1 + p) * (1 - 1e-12)
                take profit close <= x * (1 - p) * (1 + 1e-12)
 5. Signal exit: a position closes when the signal no longer equals its direction.
 6. Entry: only when flat, only on an edge (the signal differs from the previous traded bar's; the
    bar before the first counts as 0), only when the signal is not 0, never on the last bar, and
    never with available money of no more than 1e-9 of the initial cash. So after a risk exit
    nothing reopens while the signal stays the same, and an exit of either kind may share its bar
    with the opposite entry.
 7. Fills: buying costs close * (1 + slippage), selling brings close * (1 - slippage). A long buys
    at entry and sells at exit, a short the other way round.
 8. The quote amount Q put into an entry. "As much as possible" is what leaves the entry fee
    payable: most = available / (1 + fee).
        all_in, strategy_compound, strategy_compound_profit_lock   Q = most
        fixed_quote                                                Q = min(fixed, most)
    Quantity = Q / entry fill, entry fee = Q * fee. Both Q and the fee leave the available money;
    an entry of `most` leaves exactly 0.
 9. Exit: value = quantity * exit fill, exit fee = value * fee. Gross profit: long value - Q, short
    Q - value. Net profit = gross - entry fee - exit fee. What returns to the available money is
    Q + gross - exit fee. A short that loses more than Q makes this negative.
10. A trade with |net| <= 1e-12 * Q is neither a win nor a loss. With profit lock, safe_profit of a
    winning trade's net profit moves from the available money to the safe at once (before an entry
    on the same bar) and never comes back.
11. Forced close: a position that is still open at the end of the last bar is closed there.
12. Equity of a bar, after all its actions: available + safe + value of the open position, which is
    quantity * close for a long and Q + (Q - quantity * close) for a short.
13. Total return [%] = (final equity / initial cash - 1) * 100.
14. Ruin: a short is ruined when the close reaches (available + safe + 2 * Q) / Q * entry fill, with
    the money there is while it is open: all there is would be lost. It closes there. A variant is
    ruined when a position closes at such a close, whatever closed it, or when available + safe are
    at most 0 after a trade. It enters nothing more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LONG, SHORT, NEUTRAL = 1, -1, 0


@dataclass(frozen=True, slots=True)
class Execution:
    """The money rules in human percents, as a request states them."""

    init_cash: float = 10_000.0
    fee_pct: float = 0.0
    slippage_pct: float = 0.0
    fixed_quote: float = 100.0
    safe_profit_percent: float = 0.0
    direction_mode: str = "long-short"
    sizing_mode: str = "all_in"


@dataclass(frozen=True, slots=True)
class RiskLevels:
    """Stop loss, take profit and trailing stop in percent; None is off."""

    sl: float | None = None
    tp: float | None = None
    tsl: float | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    entry_bar: int
    exit_bar: int
    direction: int
    quote: float
    quantity: float
    entry_fill: float
    exit_fill: float
    entry_fee: float
    exit_fee: float
    gross: float
    net: float
    reason: str  # signal_exit, sl, tsl, tp, ruin or forced_close
    available: float  # after the trade, and after the safe took its share
    safe: float


@dataclass(frozen=True, slots=True)
class Run:
    trades: list[Trade]
    equity: list[float]  # one value per traded bar
    total_return_pct: float
    ruined: bool


@dataclass(slots=True)
class Position:
    direction: int
    entry_bar: int
    quote: float
    quantity: float
    entry_fill: float
    entry_fee: float
    best_close: float
    ruin_close: float  # the lowest close that ruins; infinite for a long

    def value_at(self, close: float) -> float:
        if self.direction == LONG:
            return self.quantity * close
        return self.quote + (self.quote - self.quantity * close)  # 12


class Account:
    """Money, the open position and the trades so far; knows rules 6 to 10 and 14."""

    def __init__(self, execution: Execution) -> None:
        self.rules = execution
        self.fee = execution.fee_pct / 100
        self.slippage = execution.slippage_pct / 100
        self.available = execution.init_cash
        self.safe = 0.0
        self.position: Position | None = None
        self.trades: list[Trade] = []
        self.ruined = False

    def buy_fill(self, close: float) -> float:
        return close * (1 + self.slippage)  # 7

    def sell_fill(self, close: float) -> float:
        return close * (1 - self.slippage)  # 7

    def open(self, direction: int, bar: int, close: float) -> None:
        if self.ruined or self.available <= 1e-9 * self.rules.init_cash:  # 14, 6
            return
        most = self.available / (1 + self.fee)  # 8
        quote = most
        if self.rules.sizing_mode == "fixed_quote":
            quote = min(self.rules.fixed_quote, most)
        entry_fee = quote * self.fee
        if quote == most:
            self.available = 0.0
        else:
            self.available = self.available - quote - entry_fee
        if direction == LONG:
            entry_fill, ruin_close = self.buy_fill(close), math.inf
        else:
            entry_fill = self.sell_fill(close)
            ruin_close = (self.available + self.safe + 2 * quote) / quote * entry_fill  # 14
        self.position = Position(
            direction=direction,
            entry_bar=bar,
            quote=quote,
            quantity=quote / entry_fill,
            entry_fill=entry_fill,
            entry_fee=entry_fee,
            best_close=close,
            ruin_close=ruin_close,
        )

    def close(self, bar: int, close: float, reason: str) -> None:
        position = self.position
        assert position is not None
        long = position.direction == LONG
        exit_fill = self.sell_fill(close) if long else self.buy_fill(close)
        value = position.quantity * exit_fill  # 9
        exit_fee = value * self.fee
        gross = value - position.quote if long else position.quote - value
        net = gross - position.entry_fee - exit_fee
        self.available = self.available + position.quote + gross - exit_fee
        won = net > 1e-12 * position.quote  # 10
        if won and self.rules.sizing_mode == "strategy_compound_profit_lock":
            locked = net * (self.rules.safe_profit_percent / 100)
            self.available = self.available - locked
            self.safe = self.safe + locked
        if close >= position.ruin_close or self.available + self.safe <= 0:  # 14
            self.ruined = True
        self.position = None
        self.trades.append(
            Trade(
                entry_bar=position.entry_bar,
                exit_bar=bar,
                direction=position.direction,
                quote=position.quote,
                quantity=position.quantity,
                entry_fill=position.entry_fill,
                exit_fill=exit_fill,
                entry_fee=position.entry_fee,
                exit_fee=exit_fee,
                gross=gross,
                net=net,
                reason=reason,
                available=self.available,
                safe=self.safe,
            )
        )

    def equity_at(self, close: float) -> float:
        held = 0.0 if self.position is None else self.position.value_at(close)
        return self.available + self.safe + held  # 12


def risk_hit(position: Position, close: float, risk: RiskLevels) -> str | None:
    """Which level the close hits, if any (rule 4); `best_close` already includes this close."""
    fill, best = position.entry_fill, position.best_close
    if position.direction == LONG:
        if risk.sl is not None and close <= fill * (1 - risk.sl / 100) * (1 + 1e-12):
            return "sl"
        if risk.tsl is not None and close <= best * (1 - risk.tsl / 100) * (1 + 1e-12):
            return "tsl"
        if risk.tp is not None and close >= fill * (1 + risk.tp / 100) * (1 - 1e-12):
            return "tp"
    else:
        if risk.sl is not None and close >= fill * (1 + risk.sl / 100) * (1 - 1e-12):
            return "sl"
        if risk.tsl is not None and close >= best * (1 + risk.tsl / 100) * (1 - 1e-12):
            return "tsl"
        if risk.tp is not None and close <= fill * (1 - risk.tp / 100) * (1 + 1e-12):
            return "tp"
    return None


def allowed(signal: int, direction_mode: str) -> int:
    """Return the signal as the direction mode lets it count (rule 2)."""
    if direction_mode == "long-only" and signal == SHORT:
        return NEUTRAL
    if direction_mode == "short-only" and signal == LONG:
        return NEUTRAL
    return signal


def simulate(
    signals: Sequence[int],
    closes: Sequence[float],
    execution: Execution,
    risk: RiskLevels = RiskLevels(),
) -> Run:
    """Run one variant over the traded bars: `signals[i]` and `closes[i]` belong to bar i."""
    assert len(signals) == len(closes) > 0
    account = Account(execution)
    equity: list[float] = []
    last = len(closes) - 1
    previous = NEUTRAL
    for bar, close in enumerate(closes):
        signal = allowed(signals[bar], execution.direction_mode)

        position = account.position
        if position is not None:
            better = max if position.direction == LONG else min
            position.best_close = better(position.best_close, close)
            reason = risk_hit(position, close, risk)  # entered on an earlier bar, by construction
            if reason is not None:
                account.close(bar, close, reason)

        if account.position is not None and signal != account.position.direction:
            account.close(bar, close, "signal_exit")  # 5

        if account.position is not None and close >= account.position.ruin_close:
            account.close(bar, close, "ruin")  # 14; entries come below

        edge = signal != previous
        if account.position is None and edge and signal != NEUTRAL and bar != last:
            account.open(signal, bar, close)  # 6

        if account.position is not None and bar == last:
            account.close(bar, close, "forced_close")  # 11

        equity.append(account.equity_at(close))
        previous = signal
    final = equity[-1]
    return Run(
        trades=account.trades,
        equity=equity,
        total_return_pct=(final / execution.init_cash - 1) * 100,
        ruined=account.ruined,
    )
