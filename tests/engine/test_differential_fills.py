"""Next-open fills and stops inside bars: trades equal those of vectorbt and of backtesting.py.

As `test_differential`, trade by trade on real bars: signals come from plain formulas; entry and
exit bar, prices, quantity, fees and profit are compared, and the final money. Where the rules of
the others differ from ours, trades are left out by a rule, and counted:

- vectorbt ignores all signals of the bar on which a stop fills. Where our position turns round on
  such a bar, it has no trade (`vectorbt_fills.is_ignored`). Every trade has the same amount there,
  so that those after it are not changed.
- vectorbt tests no stop on the bar on which a position is entered, which with next-open fills is a
  whole bar. It is given each bar as two: its open, on which orders fill, and then all of it. Then
  it turns round after a stop inside a bar as we do; what it still ignores is a signal that fills
  at an open which is beyond the stop (the exit is the same there, the entry is left out).
- vectorbt has one stop, fixed or trailing: there is no case of `sl` with `tsl`. It measures stop
  and target from one price, where we have the entry fill for `sl` and `tp` and the raw price for
  `tsl`: there is no case of `tsl` with `tp` and slippage.
- vectorbt's percent is what an entry takes with its fee, ours is what it buys for: vectorbt is told
  ours with the fee on top. It has no percent where positions turn round: it is compared long-only.
- In vectorbt targets that fill inside a bar slip as stops do, or neither does: there is no case of
  a stop with a target and slippage.
- backtesting.py takes stops as prices, before the fill is known: they are made of the open of the
  next bar, which its strategy is told. Where that bar opens so far away that the last close is
  beyond them, it refuses the order (`backtesting_fills.is_refused`).
- backtesting.py has no trailing stop in percent: the strategy moves the stop after each bar. Its
  spread is paid at entries only: there is no case of it with slippage. It trades whole units, for
  which `test_differential` has a remedy.

Neither has our margin of 1e-12 at levels. No price here is so near to one, or a trade would differ.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.candles import Candles
from tests.engine import backtesting_fills, vectorbt_fills
from tests.engine.rederive import Signals, traded_prices
from tests.engine.simulator import Prices
from tests.engine.test_differential import (
    RSI_THRESHOLDS,
    SMA_CROSS,
    WHY_MISSING,
    Deal,
    Left,
    Outcome,
    Rules,
    engine_outcomes,
    unequal,
)
from tests.engine.test_report_real_data import real_candles

Peer = Callable[[list[int], Prices, Rules], Outcome]
FILES = {
    "perpetual 15m": ("btc-perp-1m-2022-01.csv", "timestamp"),
    "spot 15m with gaps": ("unittest-btc-1m-gappy.csv.gz", "date"),
}
STOPS = ("sl", "tsl", "tp")


@pytest.fixture(scope="module", params=FILES)
def candles(request: pytest.FixtureRequest, market_data: Path) -> Candles:
    name, time_column = FILES[request.param]
    return real_candles(market_data / name, time_column, "15m")


@pytest.fixture(scope="module")
def vectorbt() -> Peer:
    logging.getLogger("vectorbt").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("vectorbt", reason=f"vectorbt {WHY_MISSING}")
    return partial(vectorbt_fills.trade, library)


@pytest.fixture(scope="module")
def backtesting_py() -> Peer:
    library = pytest.importorskip("backtesting", reason=f"backtesting.py {WHY_MISSING}")
    return partial(backtesting_fills.trade, library)


# --- the comparison --------------------------------------------------------------------------


@dataclass(slots=True)
class Compared:
    """How many trades were compared and left out, and the largest relative differences."""

    trades: int = 0
    left_out: int = 0
    stopped: int = 0  # of those that were compared
    price: float = 0.0
    result: float = 0.0  # of net / paid, in terms of what was paid

    def take(self, ours: Deal, theirs: Deal) -> None:
        assert unequal(ours, theirs) == [], f"\nours   {ours}\ntheirs {theirs}"
        pairs = (ours.entry_price, theirs.entry_price), (ours.exit_price, theirs.exit_price)
        self.price = max(self.price, *(abs(a / b - 1) for a, b in pairs))
        paid = theirs.quantity * theirs.entry_price
        self.result = max(self.result, abs(ours.net - theirs.net) / paid)
        self.trades += 1

    def check(self, levels: dict[str, float]) -> None:
        """Raise if little was compared, much left out, or more than roundings differ."""
        assert self.trades >= 50
        assert self.left_out <= self.trades / 10
        assert bool(self.stopped) == bool(levels)
        assert self.price <= 1e-15
        assert self.result <= 1e-14


# Whether a trade is left out, after the last one that both have.
LeftOut = Callable[[Deal, Left | None, Prices, Rules], bool]


def compare(
    candles: Candles,
    plain: Signals,
    block: dict[str, Any],
    rules: Rules,
    peer: Peer,
    left_out: LeftOut,
) -> Compared:
    """Compare every variant of a block, but for the trades that a rule leaves out."""
    prices, found = traded_prices(candles), Compared()
    for report, (deals, final) in engine_outcomes(candles, block, rules):
        signals, doubtful = plain.of(report.payload["blocks"])
        assert not doubtful, "choose other parameters: a signal hangs on rounding"
        assert report.trades is not None
        kept: list[Deal] = []
        before: Left | None = None
        for deal, trade in zip(deals, report.trades, strict=True):
            if not left_out(deal, before, prices, rules):
                kept.append(deal)
                before = Left(deal, trade["exit_reason"] in STOPS)
                found.stopped += before.stopped
        expected, expected_final = peer(signals, prices, rules)
        for ours, theirs in zip(kept, expected, strict=False):
            found.take(ours, theirs)
        assert len(kept) == len(expected)
        found.left_out += len(deals) - len(kept)
        if len(kept) == len(deals):
            assert final == pytest.approx(expected_final, rel=1e-9, abs=0)
    return found


@pytest.fixture(scope="module")
def plain(candles: Candles) -> Signals:
    return Signals(candles)


FILLS = [("close", "intrabar"), ("next_open", "close"), ("next_open", "intrabar")]
# Name: block, direction, sizing, slippage, levels.
Case = tuple[dict[str, Any], str, str, float, dict[str, float]]
VECTORBT: dict[str, Case] = {
    "long-only, no levels": (SMA_CROSS, "long-only", "all_in", 0.02, {}),
    "long-only, sl": (SMA_CROSS, "long-only", "all_in", 0.02, {"sl": 0.4}),
    "long-only, percent, sl": (SMA_CROSS, "long-only", "percent", 0.02, {"sl": 0.4}),
    "short-only, tp": (SMA_CROSS, "short-only", "all_in", 0.02, {"tp": 0.7}),
    "short-only, tsl": (SMA_CROSS, "short-only", "all_in", 0.02, {"tsl": 0.5}),
    "long-short, sl": (RSI_THRESHOLDS, "long-short", "fixed_quote", 0.02, {"sl": 0.4}),
    "long-short, tsl": (RSI_THRESHOLDS, "long-short", "fixed_quote", 0.02, {"tsl": 0.5}),
    "long-short, sl tp": (
        *(RSI_THRESHOLDS, "long-short", "fixed_quote", 0.0),
        {"sl": 0.4, "tp": 0.7},
    ),
    "long-short, tsl tp": (
        *(RSI_THRESHOLDS, "long-short", "fixed_quote", 0.0),
        {"tsl": 0.5, "tp": 0.7},
    ),
}


def fills_of(entry_fill: str, stop_fill: str) -> dict[str, Any]:
    return {"entry_fill": entry_fill, "stop_fill": stop_fill}


@pytest.mark.parametrize("fills", FILLS, ids=" ".join)
@pytest.mark.parametrize("case", VECTORBT)
def test_trades_equal_those_of_vectorbt(
    candles: Candles, plain: Signals, case: str, fills: tuple[str, str], vectorbt: Peer
) -> None:
    block, direction, sizing, slippage, levels = VECTORBT[case]
    rules = Rules(direction, sizing, 0.075, slippage, **levels, **fills_of(*fills))
    found = compare(candles, plain, block, rules, vectorbt, vectorbt_fills.is_ignored)
    found.check(levels)


BACKTESTING: dict[str, Case] = {
    "long-short, no levels": (RSI_THRESHOLDS, "long-short", "all_in", 0.0, {}),
    "long-short, sl tp": (RSI_THRESHOLDS, "long-short", "fixed_quote", 0.0, {"sl": 0.4, "tp": 0.7}),
    "long-short, tsl": (RSI_THRESHOLDS, "long-short", "fixed_quote", 0.0, {"tsl": 0.5}),
}


@pytest.mark.parametrize("entry_fill", ["close", "next_open"])
@pytest.mark.parametrize("case", BACKTESTING)
def test_trades_equal_those_of_backtesting_py(
    candles: Candles, plain: Signals, case: str, entry_fill: str, backtesting_py: Peer
) -> None:
    block, direction, sizing, slippage, levels = BACKTESTING[case]
    rules = Rules(direction, sizing, 0.075, slippage, **levels, **fills_of(entry_fill, "intrabar"))
    found = compare(candles, plain, block, rules, backtesting_py, backtesting_fills.is_refused)
    found.check(levels)
