"""Execution rules of a request as plain numbers."""

from typing import NamedTuple

from engine.request.model import DIRECTION_MODES, SIZING_MODES, Request

DIRECTIONS, SIZINGS = DIRECTION_MODES, SIZING_MODES
LONG_ONLY, SHORT_ONLY = DIRECTIONS.index("long-only"), DIRECTIONS.index("short-only")
FIXED_QUOTE = SIZINGS.index("fixed_quote")
PROFIT_LOCK = SIZINGS.index("strategy_compound_profit_lock")


class ExecutionRules(NamedTuple):
    """How signals become trades. Rates are fractions: 0.01 is 1 %.

    `direction` and `sizing` are positions in `DIRECTIONS` and `SIZINGS`; `init_cash` and
    `fixed_quote` are quote amounts. `next_open`: what is decided at a close fills at the next open;
    `inside`: stops are looked for inside bars. `hold`: positions are held until they are closed;
    `pause`: bars after a risk exit on which nothing is entered.
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


def execution_rules(request: Request) -> ExecutionRules:
    """Return the rules of a request, its percentages turned into fractions."""
    execution = request.execution
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
    )


def caps_entries(rules: ExecutionRules) -> bool:
    """Whether an entry commits at most the fixed quote amount."""
    return rules.sizing == FIXED_QUOTE


def locks_profit(rules: ExecutionRules) -> bool:
    """Whether part of every win leaves the traded cash for good."""
    return rules.sizing == PROFIT_LOCK
