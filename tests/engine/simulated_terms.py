"""What goes into the slow simulator and what comes out of it: rules, prices, trades."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

LONG, SHORT, NEUTRAL = 1, -1, 0
FOUR_HOURS = 4 * 3_600_000


@dataclass(frozen=True, slots=True)
class Execution:
    """The rules of trading; money in human percents, as a request states them."""

    init_cash: float = 10_000.0
    fee_pct: float = 0.0
    slippage_pct: float = 0.0
    fixed_quote: float = 100.0
    safe_profit_percent: float = 0.0
    direction_mode: str = "long-short"
    sizing_mode: str = "all_in"
    position: str = "state"  # or hold
    entry_fill: str = "close"  # or next_open
    stop_fill: str = "close"  # or intrabar
    reentry_after_bars: int = 0
    percent: float = 100.0
    risk_per_trade_pct: float = 1.0
    sizing_sl: float | None = (
        None  # risk_per_trade sizes with it; None: with the stop loss there is
    )
    leverage: float | None = None
    funding_pct_per_8h: float = 0.0
    # times in ms, ascending, and percents, instead of one percent for ever
    funding_rates: Sequence[tuple[int, float]] | None = None
    borrow_pct_per_year: float = 0.0


@dataclass(frozen=True, slots=True)
class RiskLevels:
    """Stop loss, take profit and trailing stop in percent; None is off."""

    sl: float | None = None
    tp: float | None = None
    tsl: float | None = None


OFF = RiskLevels()


@dataclass(frozen=True, slots=True)
class Prices:
    """The traded bars; times in milliseconds since the epoch, UTC."""

    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    open_ms: Sequence[int]
    close_ms: Sequence[int]


class Trade(NamedTuple):
    entry_bar: int  # of the decision
    exit_bar: int  # of the decision; of a stop that fills inside a bar, that bar
    direction: int
    quote: float  # with leverage the whole notional
    quantity: float
    entry_fill: float
    exit_fill: float
    entry_fee: float
    exit_fee: float
    gross: float
    net: float
    reason: str  # signal_exit, liquidation, sl, tsl, tp, ruin or forced_close
    available: float  # after the trade, and after the safe took its share
    safe: float
    margin: float = 0.0  # what the position took from the available money, without its fee
    carry: float = 0.0  # funding and borrowing; negative is income


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
    entry_ms: int
    margin: float
    quote: float
    quantity: float
    entry_fill: float
    entry_fee: float
    best: float  # the peak of a long, the trough of a short, in raw prices
    ruin_price: float  # the lowest price that ruins; infinite for a long and with leverage
    liquidation: float | None  # None without leverage


class Exit(NamedTuple):
    """A position's end: the bar it was decided on, why, and the raw price and time of the fill."""

    bar: int
    reason: str
    raw: float
    at_ms: int
    inside: bool = False  # somewhere within a bar, and dated with its close
    limit: bool = False  # a limit order fills at its price: no slippage


def flat_bars(closes: Sequence[float]) -> Prices:
    """Return bars of four hours from the epoch on which every price is the close."""
    opens = [FOUR_HOURS * bar for bar in range(len(closes))]
    ends = [at + FOUR_HOURS for at in opens]
    return Prices(closes, closes, closes, closes, opens, ends)
