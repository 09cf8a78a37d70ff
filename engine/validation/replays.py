"""The trades of one variant again, in other orders and at other places: what was luck in them.

Every replay goes through the account of the variant: each trade keeps its growth factor, what it
makes of one unit of committed cash, and sizes, caps, the safe and the end of trading at no cash are
settled anew. R replays of each kind:

- *Shuffles*: all trades in a random order. Median and 95 % quantile of the worst drawdown, beside
  that of the order they came in. All are drawdowns at closes of trades, the peak starts at the
  initial cash: the drawdown of a report, which looks at every bar, is the larger one.
- *Bootstraps* (B. Efron 1979, Bootstrap methods: another look at the jackknife): as many trades,
  drawn from them with replacement. 5, 50 and 95 % quantiles of the total return, and the share of
  losses. Trades are taken for independent of each other.
- *Random entries*: as many trades, of the same lengths and directions, at random places: any order
  of them and any division of the free bars between them is as likely. Naive p = (1 + number of
  replays at least as good) / (R + 1), by total return (B. V. North, D. Curtis, P. C. Sham 2002, A
  note on the calculation of empirical p values from Monte Carlo procedures). It is *not* corrected
  for the search: of a million variants the best has a small one without any edge.

What random entries leave out: they have no stop levels. They enter and leave as market orders, by
the costs of the variant, after as many bars as the trade had, whatever closed it then. Liquidation,
ruin and carry befall them as any trade. They may enter on a bar on which rules would not: while
a pause lasts, or to fill at the last open.

A quantile is the smallest value that at least this share of the replays does not exceed. The same
seed gives the same replays, whatever is computed beside them.

Edge cases: without a trade there is nothing to replay: `Unknown`. An account that overflows has
drawdowns and returns that are no numbers: None.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.kernels import ExecutionRules, Trades, simulate
from engine.kernels.account import Market
from engine.kernels.inputs import costs_of, market_of
from engine.kernels.replaying import factors_of, replay_anywhere, replay_drawn, replay_in_order
from engine.validation import Floats, Unknown
from engine.validation.seeding import words

DEFAULT_RUNS = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Replays:
    """The trades as they came, and all replays: float64[runs] each, in no order."""

    trades: int
    return_pct: float
    drawdown_pct: float  # at trade closes
    shuffled_drawdowns_pct: Floats
    bootstrapped_returns_pct: Floats
    random_returns_pct: Floats

    @property
    def as_good(self) -> int:
        """How many random entries did not make less, those included of which that is unknown."""
        return int(np.count_nonzero(~(self.random_returns_pct < self.return_pct)))

    @property
    def naive_p(self) -> float:
        """The share of random entries that are as good, the variant itself among them."""
        return (1 + self.as_good) / (len(self.random_returns_pct) + 1)

    def document(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "runs": len(self.random_returns_pct),
            "trades": self.trades,
            "return_pct": _finite(self.return_pct),
            "drawdown_at_trades_pct": _finite(self.drawdown_pct),
            "shuffles": {
                "drawdown_at_trades_pct": _quantiles(self.shuffled_drawdowns_pct, 50, 95),
            },
            "bootstraps": {
                "return_pct": _quantiles(self.bootstrapped_returns_pct, 5, 50, 95),
                "loss_share": float(np.mean(self.bootstrapped_returns_pct < 0.0)),
            },
            "random_entries": {
                "return_pct": _quantiles(self.random_returns_pct, 5, 50, 95),
                "as_good": self.as_good,
                "naive_p": self.naive_p,
            },
        }


def replays(
    trades: Trades,
    market: Market,
    rules: ExecutionRules,
    *,
    seed: int,
    runs: int = DEFAULT_RUNS,
) -> Replays | Unknown:
    """Replay trades that `simulate` made under these rules, sized as the variant is."""
    if runs < 1:
        raise ValueError(f"runs is {runs}; it must be 1 at least")
    count = len(trades)
    if count == 0:
        return Unknown("The variant made no trade.")
    costs = costs_of(rules)
    is_up = trades.direction > 0
    factors = factors_of(
        trades.entry_bar, trades.exit_bar, is_up, trades.exit_price, trades.way, market, costs
    )
    balance, drawdown = replay_in_order(factors, costs)
    balances, drawdowns = np.empty((3, runs)), np.empty((2, runs))
    for row, kind in enumerate(("shuffles", "bootstraps")):
        states = words(seed, kind, runs)
        replay_drawn(factors, row == 1, costs, states, balances[row], drawdowns[row])
    lengths = trades.exit_bar - trades.entry_bar
    states = words(seed, "random entries", runs)
    replay_anywhere(lengths, is_up, market, costs, states, balances[2])
    with np.errstate(over="ignore", invalid="ignore"):
        returns = (balances / costs.init_cash - 1.0) * 100.0
    return Replays(
        trades=count,
        return_pct=(balance / costs.init_cash - 1.0) * 100.0,
        drawdown_pct=100.0 * drawdown,
        shuffled_drawdowns_pct=100.0 * drawdowns[0],
        bootstrapped_returns_pct=returns[1],
        random_returns_pct=returns[2],
    )


def preload_kernels() -> None:
    """Compile, or load from the disk cache, what replays are made with."""
    rules = ExecutionRules(
        fee=0.0, slippage=0.0, direction=0, sizing=0, init_cash=1.0, fixed_quote=1.0,
        safe_fraction=0.0,
    )  # fmt: skip
    closes, planes = np.array([1.0, 2.0, 3.0]), np.array([[1], [0]], np.uint64)
    market = market_of(closes, costs_of(rules))
    trades = simulate(planes[0], planes[1], closes, rules, market=market)
    replays(trades, market, rules, seed=0, runs=1)


def _quantiles(values: Floats, *percents: int) -> dict[str, float | None]:
    """Return quantiles by name, as `p95`; none of values of which one is no number."""
    if np.isnan(values).any():
        return {f"p{percent}": None for percent in percents}
    ordered = np.sort(values)
    return {
        f"p{percent}": _finite(float(ordered[-(-percent * len(values) // 100) - 1]))
        for percent in percents
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
