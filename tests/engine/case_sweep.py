"""Given signals on given bars in the place of a sweep, so that reports can be made of them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.candles import Candles
from engine.grid import Grid
from engine.request import complete, parse
from engine.timeframes import TIMEFRAMES
from tests.engine.adapter import Exits, exit_planes, funding_of, plane
from tests.engine.cases import Case
from tests.engine.simulator import LONG, SHORT, Prices
from tests.engine.worlds import DEFAULTS, LIMITS, START_MS, explicit

Bits = NDArray[np.uint64]
MONEY = (
    *("fee_pct", "slippage_pct", "fixed_quote", "safe_profit_percent", "percent", "leverage"),
    *("risk_per_trade_pct", "funding_pct_per_8h", "borrow_pct_per_year"),
)
MODES = ("entry_fill", "stop_fill", "reentry_after_bars")
BY_RISK = "risk_per_trade"


class CaseSweep:
    """One variant: what `reports` asks of a sweep, with the planes of a case.

    Without `prices` every price of a bar is its close, and bars of the timeframe follow each other.
    """

    def __init__(
        self,
        case: Case,
        timeframe: str = "4h",
        prices: Prices | None = None,
        exits: Exits = None,
    ) -> None:
        self.case, self.exits = case, exits
        step = TIMEFRAMES[timeframe]
        self.prices = still(case.closes, step) if prices is None else prices
        bars = self.prices
        self.candles = Candles(
            ts_open=np.array(bars.open_ms, np.int64),
            open=np.array(bars.open),
            high=np.array(bars.high),
            low=np.array(bars.low),
            close=np.array(bars.close),
            volume=np.ones(len(bars.close)),
            timeframe_ms=step,
            first=0,
            funding=funding_of(case.execution),
        )
        assert self.candles.close_time().tolist() == list(bars.close_ms)
        self.open_times = [int(t) for t in self.candles.ts_open]
        self.close_times = [int(t) for t in self.candles.close_time()]
        effective = complete(self._document(timeframe), DEFAULTS, LIMITS)
        # A stop within the slippage is refused at submission, and computed where it was stored.
        risk = asdict(case.risk).items()
        effective["template"]["risk_grid"] = {name: explicit(level) for name, level in risk}
        self.request = parse(effective)
        self.grid = Grid.of(self.request)

    def _document(self, timeframe: str) -> dict[str, Any]:
        rules = self.case.execution
        chosen = {name: getattr(rules, name) for name in (*MONEY, *MODES)}
        if rules.funding_rates is not None:
            chosen["funding_pct_per_8h"] = "stored"
        end = np.datetime64(self.close_times[-1], "ms")
        return {
            "time_range": {"start": "2024-01-01T00:00:00Z", "end": f"{end}Z"},
            "template": {
                "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
                "timeframe": timeframe,
                "indicator_grids": [{"indicator_id": "ma.sma", "params": {"window": explicit(9)}}],
                "direction_mode": rules.direction_mode,
                "sizing_mode": rules.sizing_mode,
                "position": rules.position,
                "execution": {"init_cash_quote": rules.init_cash, **chosen},
                # What trades are sized with is asked for at submission.
                "risk_grid": {"sl": explicit(90.0)} if rules.sizing_mode == BY_RISK else {},
            },
            "top_k": 1,
            "preselect": 1,
        }

    def planes_of(self, _base_index: int) -> tuple[Bits, Bits]:
        return plane(self.case.signals, LONG), plane(self.case.signals, SHORT)

    def exit_planes_of(self, _base_index: int) -> tuple[Bits, Bits]:
        return exit_planes(self.exits, len(self.case.signals))


def still(closes: Sequence[float], step: int) -> Prices:
    """Return bars of `step` ms on which every price is the close."""
    opens = [START_MS + bar * step for bar in range(len(closes))]
    return Prices(closes, closes, closes, closes, opens, [at + step for at in opens])
