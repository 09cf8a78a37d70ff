"""Given signals on given closes in the place of a sweep, so that reports can be made of them."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.candles import Candles
from engine.grid import Grid
from engine.request import complete, parse
from engine.timeframes import TIMEFRAMES
from tests.engine.adapter import plane
from tests.engine.cases import Case
from tests.engine.simulator import LONG, SHORT
from tests.engine.worlds import DEFAULTS, LIMITS, START_MS, explicit

Bits = NDArray[np.uint64]
MONEY = ("fee_pct", "slippage_pct", "fixed_quote", "safe_profit_percent")


class CaseSweep:
    """One variant: what `reports` asks of a sweep, with the planes of a case."""

    def __init__(self, case: Case, timeframe: str = "4h") -> None:
        self.case = case
        step = TIMEFRAMES[timeframe]
        count = len(case.closes)
        closes = np.array(case.closes)
        self.candles = Candles(
            ts_open=START_MS + np.arange(count, dtype=np.int64) * step,
            open=closes,
            high=closes,
            low=closes,
            close=closes,
            volume=np.ones(count),
            timeframe_ms=step,
            first=0,
        )
        self.open_times = [int(t) for t in self.candles.ts_open]
        self.close_times = [int(t) for t in self.candles.close_time()]
        effective = complete(self._document(timeframe, step), DEFAULTS, LIMITS)
        # A stop within the slippage is refused at submission, and computed where it was stored.
        risk = asdict(case.risk).items()
        effective["template"]["risk_grid"] = {name: explicit(level) for name, level in risk}
        self.request = parse(effective)
        self.grid = Grid.of(self.request)

    def _document(self, timeframe: str, step: int) -> dict[str, Any]:
        rules = self.case.execution
        money = {name: getattr(rules, name) for name in MONEY}
        end = np.datetime64(START_MS + len(self.case.closes) * step, "ms")
        return {
            "time_range": {"start": "2024-01-01T00:00:00Z", "end": f"{end}Z"},
            "template": {
                "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
                "timeframe": timeframe,
                "indicator_grids": [{"indicator_id": "ma.sma", "params": {"window": explicit(9)}}],
                "direction_mode": rules.direction_mode,
                "sizing_mode": rules.sizing_mode,
                "execution": {"init_cash_quote": rules.init_cash, **money},
            },
            "top_k": 1,
            "preselect": 1,
        }

    def planes_of(self, _base_index: int) -> tuple[Bits, Bits]:
        return plane(self.case.signals, LONG), plane(self.case.signals, SHORT)
