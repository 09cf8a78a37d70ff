"""Training and test: each part is exactly the job over its own bars.

The border is a bar. *Train* trades the bars before it, *test* those from it on, with the bars in
front of it as warm-up: as many as a job over the test alone would read, so that indicators whose
values depend on where candles begin have the values of that job. Both begin with the initial cash
and end by closing what is open, so a position across the border is two trades: marked to market it
would have a part in profit factor and SQN, and no costs.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from engine.candles import Candles, NoMarketData, utc
from engine.funding import Funding
from engine.request import Request
from engine.request.model import Validation
from engine.request.validation import trained_bars


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The candles of both parts."""

    train: Candles
    test: Candles

    @classmethod
    def of(cls, request: Request, candles: Candles) -> Self | None:
        """Cut the candles of a request at its border; None: it keeps no bars aside.

        Raises `NoMarketData` where a part has no bar to trade.
        """
        if request.validation is None:
            return None
        bars = len(candles.ts_open)
        border = border_of(request.validation, candles)
        return cls(
            train=_part("training", candles, candles.first, border, request.warmup_bars),
            test=_part("test", candles, border, bars, request.warmup_bars),
        )

    def document(self) -> dict[str, Any]:
        """Return what was traded in each part, as JSON."""
        return {"train": _described(self.train), "test": _described(self.test)}


def border_of(validation: Validation, candles: Candles) -> int:
    """Return the position of the first bar of the test."""
    if validation.test_start_ms is not None:
        border = int(np.searchsorted(candles.ts_open, validation.test_start_ms))
        return max(candles.first, border)
    assert validation.train_pct is not None
    return candles.first + trained_bars(validation.train_pct, candles.traded_bars)


def _part(name: str, candles: Candles, start: int, stop: int, warmup_bars: int) -> Candles:
    """Return the bars from `start` to before `stop`, and the warm-up in front of them.

    As when they are loaded alone, nothing is invented before the first bar that there is, or after
    the last one.
    """
    there = np.ones(len(candles.ts_open), np.bool_)
    there[candles.filled] = False
    found = np.flatnonzero(there[:stop])
    found = found[found >= max(0, start - warmup_bars)]
    if not len(found) or found[-1] < start:
        at = utc(int(candles.ts_open[min(stop, len(candles.ts_open) - 1)]))
        raise NoMarketData(
            f"the {name} has no bar to trade: there are no candles on its side of {at}, where "
            "validation draws the border; move it, or ask for another range"
        )
    begin, end = int(found[0]), int(found[-1]) + 1
    kept = slice(begin, end)
    part = replace(
        candles,
        ts_open=np.ascontiguousarray(candles.ts_open[kept]),
        open=np.ascontiguousarray(candles.open[kept]),
        high=np.ascontiguousarray(candles.high[kept]),
        low=np.ascontiguousarray(candles.low[kept]),
        close=np.ascontiguousarray(candles.close[kept]),
        volume=np.ascontiguousarray(candles.volume[kept]),
        first=max(0, start - begin),
        filled=candles.filled[(candles.filled >= begin) & (candles.filled < end)] - begin,
    )
    return _with_its_own(part, candles)


def _with_its_own(part: Candles, whole: Candles) -> Candles:
    """Return a part with what of missing bars and of funding lies in its traded range."""
    first, end = int(part.ts_open[part.first]), int(part.close_time()[-1])
    missing, funding = whole.missing, whole.funding
    if missing is not None:
        missing = missing[(missing >= first) & (missing < end)]
    if funding is not None:
        funding = Funding.within(funding, first, end)
    return replace(part, missing=missing, funding=funding)


def _described(part: Candles) -> dict[str, Any]:
    closes = part.close[part.first :]
    held = float(100.0 * (closes[-1] / closes[0] - 1.0))  # as in a report
    return {
        "start": utc(int(part.ts_open[part.first])),
        "end": utc(int(part.close_time()[-1])),
        "bars": part.traded_bars,
        "benchmark_return_pct": held if np.isfinite(held) else None,
    }
