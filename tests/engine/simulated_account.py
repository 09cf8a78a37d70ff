"""Money: what an entry takes, what an exit returns. Rules 30 to 41 of the simulator.

30. Fills: buying costs raw * (1 + slippage), selling brings raw * (1 - slippage). A long buys at
    entry and sells at exit, a short the other way round. A take profit that fills inside a bar is a
    limit order: it fills at its raw price. So does a liquidation.
31. Q is the quote amount of a position, its margin M what it takes from the available money A
    beside the entry fee Q * fee. Without leverage M = Q; with leverage L, Q = M * L.
32. "As much as possible" is what leaves the entry fee payable: most = A / (1 + L * fee), where L is
    1 without leverage. An entry of `most` leaves exactly 0. Equity is A + safe, for nothing is
    open.
        all_in, strategy_compound, strategy_compound_profit_lock   M = most
        fixed_quote      M = min(fixed, most)
        percent          M = min(equity * (percent / 100), most)
        risk_per_trade   M = min(equity * risk / stop loss / L, most), both in percent: where the
                         stop is hit, risk percent of the equity are lost, before costs
    A percent or a risk that asks for `most` but for a share of 1e-12, as roundings make, gets it.
33. No entry with A <= 1e-9 of the initial cash, whatever the safe holds, and none once ruined. It
    is the money at the fill that counts. Quantity = Q / entry fill.
34. Exit: value = quantity * exit fill, exit fee = value * fee. Gross profit: long value - Q, short
    Q - value. Net profit = gross - entry fee - exit fee - carry. What returns to the available
    money is M + gross - exit fee - carry. A short that loses more than Q makes this negative.
35. Liquidation, with leverage only: whatever fills at a raw price that reaches the liquidation
    level (rules 20 and 21) is one, whyever the position closes. It returns nothing: gross = -M, no
    exit fee, no carry; the exit fill is the level as written.
36. A trade with |net| <= 1e-12 * Q is neither a win nor a loss. With profit lock, safe_profit of a
    winning trade's net profit moves from the available money to the safe at once (before an entry
    at the same moment) and never comes back.
37. Carry is funding + borrowing, for as long as the position is held, on the Q of the entry.
38. Funding is due at 00, 08 and 16 UTC, at each such T with entry time < T <= exit time (T < exit
    time for an exit inside a bar, which is dated with the bar's close): a long pays
    Q * percent / 100, a short receives it. A negative percent turns this round. With a series of
    payments these are the times T, each with a percent of its own; where none is known, none is
    due.
39. Borrowing costs a short Q * percent / 100 * (exit time - entry time) / 365 days.
40. Equity at a close: A + safe + what the open position is worth there, less the carry up to then.
    A long is worth quantity * close - (Q - M), a short M + (Q - quantity * close).
41. Ruin, without leverage only: a short is ruined when the raw price reaches
    (A + safe + 2 * Q) / Q * entry fill, with the money there is while it is open: all there is
    would be lost. A variant is ruined when a short closes at such a price, whatever closes it, or
    when A + safe are at most 0 after a trade (with leverage too). It enters nothing more.
"""

import math
from bisect import bisect_right

from tests.engine.simulated_stops import liquidation_of, liquidation_price
from tests.engine.simulated_terms import LONG, Execution, Exit, Position, Trade

EIGHT_HOURS = 8 * 3_600_000
YEAR = 365 * 24 * 3_600_000


class Account:
    """The available money, the safe, the open position and the trades so far."""

    def __init__(self, execution: Execution) -> None:
        self.rules = execution
        self.fee = execution.fee_pct / 100
        self.slippage = execution.slippage_pct / 100
        self.due_ms = [due_ms for due_ms, _ in execution.funding_rates or ()]
        self.available = execution.init_cash
        self.safe = 0.0
        self.position: Position | None = None
        self.trades: list[Trade] = []
        self.ruined = False

    def buy_fill(self, raw: float) -> float:
        return raw * (1 + self.slippage)  # 30

    def sell_fill(self, raw: float) -> float:
        return raw * (1 - self.slippage)

    def open(
        self, direction: int, bar: int, raw: float, at_ms: int, stop_loss: float | None
    ) -> None:
        if self.ruined or self.available <= 1e-9 * self.rules.init_cash:  # 33
            return
        leverage = self.rules.leverage
        times = 1 if leverage is None else leverage
        most = self.available / (1 + times * self.fee)  # 32
        margin = min(self.wanted_margin(most, times, stop_loss), most)
        quote = margin * times  # 31
        entry_fee = quote * self.fee
        if margin == most:
            self.available = 0.0
        else:
            self.available = self.available - margin - entry_fee
        entry_fill = self.buy_fill(raw) if direction == LONG else self.sell_fill(raw)
        ruin_price, liquidation = math.inf, None
        if leverage is not None:
            liquidation = liquidation_price(direction, entry_fill, leverage)
        elif direction != LONG:
            ruin_price = (self.available + self.safe + 2 * quote) / quote * entry_fill  # 41
        self.position = Position(
            direction=direction,
            entry_bar=bar,
            entry_ms=at_ms,
            margin=margin,
            quote=quote,
            quantity=quote / entry_fill,
            entry_fill=entry_fill,
            entry_fee=entry_fee,
            best=raw,
            ruin_price=ruin_price,
            liquidation=liquidation,
        )

    def wanted_margin(self, most: float, times: float, stop_loss: float | None) -> float:
        """Return the margin that the sizing asks for, however much there is (rule 32)."""
        equity = self.available + self.safe
        if self.rules.sizing_mode == "fixed_quote":
            return self.rules.fixed_quote
        wanted = most
        if self.rules.sizing_mode == "percent":
            wanted = equity * (self.rules.percent / 100)
        if self.rules.sizing_mode == "risk_per_trade":
            assert stop_loss is not None
            wanted = equity * self.rules.risk_per_trade_pct / stop_loss / times
        return most if wanted > most * (1 - 1e-12) else wanted  # 32

    def close(self, leaving: Exit) -> None:
        position = self.position
        assert position is not None
        level = liquidation_of(position)
        if level is not None and level.reached_by(leaving.raw):  # 35
            reason, exit_fill, exit_fee, carry = "liquidation", level.price, 0.0, 0.0
            gross = -position.margin
        else:
            reason = leaving.reason
            exit_fill = self.exit_fill(position, leaving)
            value = position.quantity * exit_fill  # 34
            exit_fee = value * self.fee
            carry = self.carry(position, leaving.at_ms, leaving.inside)
            long = position.direction == LONG
            gross = value - position.quote if long else position.quote - value
        net = gross - position.entry_fee - exit_fee - carry
        self.available = self.available + position.margin + gross - exit_fee - carry
        won = net > 1e-12 * position.quote  # 36
        if won and self.rules.sizing_mode == "strategy_compound_profit_lock":
            locked = net * (self.rules.safe_profit_percent / 100)
            self.available = self.available - locked
            self.safe = self.safe + locked
        if leaving.raw >= position.ruin_price or self.available + self.safe <= 0:  # 41
            self.ruined = True
        self.position = None
        self.trades.append(
            Trade(
                entry_bar=position.entry_bar,
                exit_bar=leaving.bar,
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
                margin=position.margin,
                carry=carry,
            )
        )

    def exit_fill(self, position: Position, leaving: Exit) -> float:
        if leaving.limit:
            return leaving.raw  # 30
        if position.direction == LONG:
            return self.sell_fill(leaving.raw)
        return self.buy_fill(leaving.raw)

    def carry(self, position: Position, until_ms: int, inside: bool = False) -> float:
        """Return what holding the position has cost up to a time (rules 37 to 39)."""
        total = 0.0
        last_ms = until_ms - 1 if inside else until_ms
        if self.rules.funding_rates is not None:
            paid = bisect_right(self.due_ms, position.entry_ms)  # up to the entry
            for _, percent in self.rules.funding_rates[paid : bisect_right(self.due_ms, last_ms)]:
                total += position.direction * position.quote * percent / 100
        elif self.rules.funding_pct_per_8h != 0:
            stamps = last_ms // EIGHT_HOURS - position.entry_ms // EIGHT_HOURS
            total += (
                position.direction * position.quote * self.rules.funding_pct_per_8h / 100 * stamps
            )
        if self.rules.borrow_pct_per_year != 0 and position.direction != LONG:
            held_ms = until_ms - position.entry_ms
            total += position.quote * self.rules.borrow_pct_per_year / 100 * held_ms / YEAR
        return total

    def equity_at(self, close: float, at_ms: int) -> float:
        held = 0.0
        if self.position is not None:
            held = self.worth(self.position, close) - self.carry(self.position, at_ms)
        return self.available + self.safe + held  # 40

    def worth(self, position: Position, close: float) -> float:
        if position.direction != LONG:
            return position.margin + (position.quote - position.quantity * close)
        if self.rules.leverage is None:  # nothing is borrowed, also where Q is infinite
            return position.quantity * close
        return position.quantity * close - (position.quote - position.margin)
