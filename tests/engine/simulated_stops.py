"""Levels of an open position, and which of them a price reaches. Rules 20 to 25 of the simulator.

20. Levels are measured from the entry fill (liquidation, stop loss, take profit) or from the best
    raw price so far (trailing stop): the highest for a long, the lowest for a short. With
    p = percent / 100, products taken from left to right:
        long:   liquidation fill * (1 - 1 / leverage)   reached from above
                stop loss   fill * (1 - p)              reached from above
                trailing    best * (1 - p)              reached from above
                take profit fill * (1 + p)              reached from below
        short:  the same with the other sign, reached from the other side.
21. A price reaches a level from above when price <= level * (1 + 1e-12), from below when
    price >= level * (1 - 1e-12). So a price that equals a level in decimals reaches it, whatever
    the products round to. Fills are at the level as written.
22. The first level that is reached counts, in this order: liquidation, stop loss, trailing stop,
    take profit.
23. Stops seen at closes: the price is the close. The best price takes in this close before the
    trailing level is made.
24. Stops inside the bar: a level that is reached from above is compared with the low, one that is
    reached from below with the high. The order of rule 22 holds wherever the bar opens, also beyond
    the target. The trailing level is made of the best price before this bar, which takes in the
    bar's high (long) or low (short) afterwards.
25. A stop that is reached inside the bar fills at its level, or at the open where the bar opens
    beyond it: worse for a stop, better for a take profit. What a liquidation fills at is rule 35.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tests.engine.simulated_terms import LONG, Position, RiskLevels


class Level(NamedTuple):
    reason: str
    price: float
    from_above: bool

    def reached_by(self, price: float) -> bool:
        if self.from_above:
            return price <= self.price * (1 + 1e-12)  # 21
        return price >= self.price * (1 - 1e-12)


def liquidation_price(direction: int, entry_fill: float, leverage: float) -> float:
    if direction == LONG:
        return entry_fill * (1 - 1 / leverage)  # 20
    return entry_fill * (1 + 1 / leverage)


def liquidation_of(position: Position) -> Level | None:
    if position.liquidation is None:
        return None
    return Level("liquidation", position.liquidation, position.direction == LONG)


def levels_of(position: Position, risk: RiskLevels) -> Iterator[Level]:
    """Yield the levels there are, in the order in which they count (rules 20 and 22)."""
    long = position.direction == LONG
    liquidation = liquidation_of(position)
    if liquidation is not None:
        yield liquidation
    if risk.sl is not None:
        yield Level("sl", moved(position.entry_fill, risk.sl, down=long), from_above=long)
    if risk.tsl is not None:
        yield Level("tsl", moved(position.best, risk.tsl, down=long), from_above=long)
    if risk.tp is not None:
        yield Level("tp", moved(position.entry_fill, risk.tp, down=not long), from_above=not long)


def moved(price: float, percent: float, down: bool) -> float:
    if down:
        return price * (1 - percent / 100)
    return price * (1 + percent / 100)


def note_best(position: Position, highest: float, lowest: float) -> None:
    if position.direction == LONG:
        position.best = max(position.best, highest)
    else:
        position.best = min(position.best, lowest)


def hit_at_close(position: Position, close: float, risk: RiskLevels) -> Level | None:
    """Return the level that the close reaches, after the best price took it in (rule 23)."""
    note_best(position, close, close)
    for level in levels_of(position, risk):
        if level.reached_by(close):
            return level
    return None


def hit_inside(position: Position, high: float, low: float, risk: RiskLevels) -> Level | None:
    """Return the level that the bar reaches, and let the best price take in the bar (rule 24)."""
    levels = list(levels_of(position, risk))
    note_best(position, high, low)
    for level in levels:
        if level.reached_by(low if level.from_above else high):
            return level
    return None


def fill_inside(level: Level, bar_open: float) -> float:
    """Return the raw price at which a level that was reached inside the bar fills (rule 25)."""
    if level.from_above:
        return min(level.price, bar_open)
    return max(level.price, bar_open)
