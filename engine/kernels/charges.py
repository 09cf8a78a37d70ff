"""What leverage and holding bring with them, of every bar: liquidations, funding, borrowing."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.funding import Funding
from engine.kernels.account import MARGIN, Bars32, Carry, Costs
from engine.kernels.reaching import first_reaching
from engine.kernels.rules import ExecutionRules

if TYPE_CHECKING:
    from engine.candles import Candles

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

FUNDING_MS = 8 * 3_600_000  # funding is due at 00, 08 and 16 UTC
YEAR_MS = 365 * 24 * 3_600_000


def liquidations(entry: Float64, low: Float64, high: Float64, costs: Costs) -> Bars32:
    """Return uint32[2, n]: the bar that liquidates a long, and a short, entered on each bar.

    `entry` float64[n] are the prices at which entries fill, `low` and `high` those that are looked
    at from the next bar on. The same levels, with the same margin, as the kernels compare with.
    """
    with np.errstate(over="ignore"):
        below = entry * costs.buy * costs.liquid_long * (1.0 + MARGIN)
        above = entry * costs.sell * costs.liquid_short * (1.0 - MARGIN)
    return np.stack((first_reaching(-low, -below)[0], first_reaching(high, above)[0]))


def carries(rules: ExecutionRules) -> bool:
    """Whether holding a position may cost something."""
    return rules.stored_funding or rules.funding != 0.0 or rules.borrow != 0.0


def carry_on(rules: ExecutionRules, candles: "Candles") -> Carry | None:
    """Return what holding costs under `rules` on the traded bars; None where it is nothing."""
    traded = slice(candles.first, None)
    times = candles.ts_open[traded], candles.close_time()[traded]
    return carry_between(rules, *times, candles.funding)


def carry_between(
    rules: ExecutionRules, opens: Int64, closes: Int64, funding: Funding | None = None
) -> Carry | None:
    """Return it of bars that open and close at these times, int64[n] in ms.

    Raises ValueError where the rules want a series and there is no `funding`.
    """
    if not carries(rules):
        return None
    fills = np.append(opens[1:], closes[-1]) if rules.next_open else closes
    begin, due = opens[0], _due_since(rules, opens[0], funding)

    def accrued(times: Int64, *, inside: bool = False) -> Float64:
        """Return float64[2, n]: longs pay funding, shorts receive it and pay for what they owe."""
        paid, borrow = due(times - int(inside)), rules.borrow * (times - begin) / YEAR_MS
        return np.stack((paid, borrow - paid))

    return Carry(accrued(fills), accrued(fills), accrued(closes), accrued(closes, inside=True))


def _due_since(
    rules: ExecutionRules, begin: int, funding: Funding | None
) -> Callable[[Int64], Float64]:
    """Return what tells the shares of Q that are due after `begin`, and at each of its times."""
    if not rules.stored_funding:
        before = begin // FUNDING_MS
        return lambda times: rules.funding * (times // FUNDING_MS - before).astype(np.float64)
    if funding is None:
        raise ValueError("these candles were loaded without the funding rates that are wanted")
    later = Funding.within(funding, begin, int(np.iinfo(np.int64).max))
    total = np.append(0.0, np.cumsum(later.rates / 100.0))
    return lambda times: total[np.searchsorted(later.times, times, side="right")]


NO_CARRY = Carry(*(np.empty((2, 0)) for _ in range(4)))
