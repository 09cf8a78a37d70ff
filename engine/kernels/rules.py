"""Execution rules of a request as plain numbers."""

from typing import NamedTuple, Self

from engine.request.model import DIRECTION_MODES, SIZING_MODES, STORED, Request

DIRECTIONS, SIZINGS = DIRECTION_MODES, SIZING_MODES
LONG_ONLY, SHORT_ONLY = DIRECTIONS.index("long-only"), DIRECTIONS.index("short-only")
FIXED_QUOTE = SIZINGS.index("fixed_quote")
PERCENT, RISK_PER_TRADE = SIZINGS.index("percent"), SIZINGS.index("risk_per_trade")
PROFIT_LOCK = SIZINGS.index("strategy_compound_profit_lock")
ROUNDING = 1e-12  # a share that is so little less than all is all


class ExecutionRules(NamedTuple):
    """How signals become trades. Rates are fractions: 0.01 is 1 %.

    `direction` and `sizing` are positions in `DIRECTIONS` and `SIZINGS`; `init_cash` and
    `fixed_quote` are quote amounts. `next_open`: what is decided at a close fills at the next open;
    `inside`: stops are looked for inside bars. `hold`: positions are held until they are closed;
    `pause`: bars after a risk exit on which nothing is entered. Of the equity, `percent` is
    committed or `risk` is lost at the stop loss `stop`, by the sizing. `leverage` is None without
    any. `funding` is what longs pay shorts every eight hours, `borrow` what shorts pay a year.
    `stored_funding`: they pay what the candles say instead.
    """

    fee: float
    slippage: float
    direction: int
    sizing: int
    init_cash: float
    fixed_quote: float
    safe_fraction: float
    next_open: bool = False
    inside: bool = False
    hold: bool = False
    pause: int = 0
    percent: float = 1.0
    risk: float = 0.0
    stop: float = 0.0
    leverage: float | None = None
    funding: float = 0.0
    borrow: float = 0.0
    stored_funding: bool = False

    def sized(self, sl: float | None, percent: float | None) -> Self:
        """Return the rules of a variant with this stop loss and this axis value, in percent."""
        if self.sizing == PERCENT and percent is not None:
            return self._replace(percent=percent / 100.0)
        if self.sizing == RISK_PER_TRADE and sl is not None:
            return self._replace(stop=sl / 100.0)
        return self


def execution_rules(request: Request) -> ExecutionRules:
    """Return the rules of a request, its percentages turned into fractions.

    Its first percentage and its first stop loss size the trades of stage A.
    """
    execution, funding = request.execution, request.execution.funding_pct_per_8h
    return ExecutionRules(
        fee=execution.fee_pct / 100.0,
        slippage=execution.slippage_pct / 100.0,
        direction=DIRECTIONS.index(request.direction_mode),
        sizing=SIZINGS.index(request.sizing_mode),
        init_cash=execution.init_cash_quote,
        fixed_quote=execution.fixed_quote,
        safe_fraction=execution.safe_profit_percent / 100.0,
        next_open=execution.entry_fill == "next_open",
        inside=execution.stop_fill == "intrabar",
        hold=request.position == "hold",
        pause=execution.reentry_after_bars,
        percent=execution.percent / 100.0,
        risk=execution.risk_per_trade_pct / 100.0,
        stop=(request.risk.sl[0] or 0.0) / 100.0,
        leverage=execution.leverage,
        funding=0.0 if funding == STORED else funding / 100.0,
        borrow=execution.borrow_pct_per_year / 100.0,
        stored_funding=funding == STORED,
    )


def caps_entries(rules: ExecutionRules) -> bool:
    """Whether an entry commits at most the fixed quote amount."""
    return rules.sizing == FIXED_QUOTE


def locks_profit(rules: ExecutionRules) -> bool:
    """Whether part of every win leaves the traded cash for good."""
    return rules.sizing == PROFIT_LOCK


def share_of(rules: ExecutionRules) -> float:
    """Return the share of the cash that an entry commits where that is always the same, else 1.

    Where it is less than 1 nothing is locked, so that the cash is all the equity there is.
    """
    times = 1.0 if rules.leverage is None else rules.leverage
    if rules.sizing == PERCENT:
        margin = rules.percent
    elif rules.sizing == RISK_PER_TRADE:
        margin = rules.risk / rules.stop / times
    else:
        return 1.0
    share = margin * (1.0 + times * rules.fee)
    return share if share <= 1.0 - ROUNDING else 1.0
