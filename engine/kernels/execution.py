"""Execution rules as the kernels take them, and the simulation of one variant with its trades."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.request import Request

Bits = NDArray[np.uint64]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int8 = NDArray[np.int8]

DIRECTIONS = ("long-short", "long-only", "short-only")
SIZINGS = ("all_in", "strategy_compound", "fixed_quote", "strategy_compound_profit_lock")

# Name of each value of `Trades.reason`.
REASONS = ("signal_exit", "sl", "tsl", "tp", "forced_close")


class ExecutionRules(NamedTuple):
    """How signals become trades. Rates are fractions: 0.01 is 1 %.

    `direction` and `sizing` are positions in `DIRECTIONS` and `SIZINGS`; `init_cash` and
    `fixed_quote` are quote amounts.
    """

    fee: float
    slippage: float
    direction: int
    sizing: int
    init_cash: float
    fixed_quote: float
    safe_fraction: float


def execution_rules(request: "Request") -> ExecutionRules:
    """The rules of a request, its percentages turned into fractions."""
    execution = request.execution
    return ExecutionRules(
        fee=execution.fee_pct / 100.0,
        slippage=execution.slippage_pct / 100.0,
        direction=DIRECTIONS.index(request.direction_mode),
        sizing=SIZINGS.index(request.sizing_mode),
        init_cash=execution.init_cash_quote,
        fixed_quote=execution.fixed_quote,
        safe_fraction=execution.safe_profit_percent / 100.0,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trades of one variant in time order, as a structure of arrays of one length.

    Bars are traded-bar numbers. `quote` is the entry budget Q, fees and pnl are quote amounts
    (`net` = `gross` less both fees), fills are prices. `available` and `safe` are the cash after
    the trade; before the first one they are the initial cash and 0.
    """

    entry_bar: Int64
    exit_bar: Int64
    direction: Int8  # +1 long, -1 short
    quote: Float64
    quantity: Float64
    entry_fill: Float64
    exit_fill: Float64
    entry_fee: Float64
    exit_fee: Float64
    gross: Float64
    net: Float64
    reason: Int8  # position in REASONS
    available: Float64
    safe: Float64

    def __len__(self) -> int:
        return len(self.entry_bar)


def simulate(
    long: Bits,
    short: Bits,
    closes: Float64,
    rules: ExecutionRules,
    sl: float | None = None,
    tp: float | None = None,
    tsl: float | None = None,
) -> Trades:
    """Trade one variant: planes uint64[W], traded closes float64[n], risk levels in percent.

    The last traded bar's own signal may be set: it opens nothing.
    """
    raise NotImplementedError
