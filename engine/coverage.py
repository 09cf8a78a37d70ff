"""Which part of what a request asks for there are candles for.

Found twice by the same arithmetic: from what the candle store says when a request is submitted, and
from the candles that are computed with. All times are ms since the epoch.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from engine.candles import Candles, Int64, load_range, utc
from engine.funding import Funding, FundingCoverage
from engine.indicators.lookback import defined_after, settled_after
from engine.larger import bars_before
from engine.request.estimate import bars_between
from engine.request.model import BlockRequest, Request
from engine.request.warmup import longest


@dataclass(frozen=True, slots=True)
class Presence:
    """Which bars have a minute; times are the opens of bars, None where there is no such bar.

    `earliest_ms` and `latest_ms` are of all bars from the first of the warm-up to the last that
    ends in the asked range. The rest is of those that lie in this range whole: their number, the
    first and the last, how many are missing in a row at most and from where on (of several such
    gaps the first), lowest low and highest high.

    All opens are `phase_ms` after multiples of the timeframe.

    Of an instrument with sessions `expected` is how many bars of the range should be there, and
    `before` how many are there before it; a gap is of bars that should be there. None: it has no
    sessions, and every bar should.
    """

    bars: int
    first_ms: int | None
    last_ms: int | None
    gap_bars: int
    gap_start_ms: int | None
    earliest_ms: int | None
    latest_ms: int | None
    lowest: float | None
    highest: float | None
    expected: int | None = None
    before: int | None = None
    phase_ms: int = 0

    @classmethod
    def of(cls, candles: Candles) -> Self:
        """Say it of loaded candles, which have at least one traded bar with a minute."""
        if candles.missing is not None:
            return cls._of_sessions(candles, candles.missing)
        real = np.ones(len(candles.ts_open), np.bool_)
        real[candles.filled] = False
        at = np.flatnonzero(real[candles.first :]) + candles.first
        missing = np.diff(at) - 1
        widest = int(np.argmax(missing)) if len(missing) else 0
        gap = int(missing[widest]) if len(missing) else 0
        opens = candles.ts_open
        return cls(
            bars=len(at),
            first_ms=int(opens[at[0]]),
            last_ms=int(opens[at[-1]]),
            gap_bars=gap,
            gap_start_ms=int(opens[at[widest] + 1]) if gap else None,
            earliest_ms=int(opens[0]),
            latest_ms=int(opens[-1]),
            lowest=float(candles.low[at].min()),
            highest=float(candles.high[at].max()),
            phase_ms=int(opens[0]) % candles.timeframe_ms,
        )

    @classmethod
    def _of_sessions(cls, candles: Candles, missing: Int64) -> Self:
        opens = candles.ts_open[candles.first :]
        # Missing bars before each traded bar.
        before = np.searchsorted(missing, opens)
        gaps = np.diff(before)
        widest = int(np.argmax(gaps)) if len(gaps) else 0
        gap = int(gaps[widest]) if len(gaps) else 0
        return cls(
            bars=len(opens),
            first_ms=int(opens[0]),
            last_ms=int(opens[-1]),
            gap_bars=gap,
            gap_start_ms=int(missing[before[widest]]) if gap else None,
            earliest_ms=int(candles.ts_open[0]),
            latest_ms=int(opens[-1]),
            lowest=float(candles.low[candles.first :].min()),
            highest=float(candles.high[candles.first :].max()),
            expected=len(opens) + len(missing),
            before=candles.first,
            phase_ms=int(opens[0]) % candles.timeframe_ms,
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was asked, what is there, and what is traded.

    `bars_expected` and `bars_present` are of the asked range, without the hours in which a market
    with `sessions` is closed, `first_ms` and `last_ms` the opens of
    its first and last present bar. `warmup_present` of the `warmup_bars` exist, from the first
    candle on. `undefined` are the names of blocks of which some variant has no value on the first
    traded bar ("exit rsi" is the exit block rsi), `unsettled` those whose values there still depend
    on where the candles begin. `funding` is None unless the request wants it as it is stored.
    """

    asked_start: str
    asked_end: str
    traded_start_ms: int
    traded_end_ms: int
    bars_expected: int
    bars_present: int
    first_ms: int
    last_ms: int
    longest_gap_bars: int
    longest_gap_start_ms: int | None
    warmup_bars: int
    warmup_present: int
    undefined: tuple[str, ...]
    unsettled: tuple[str, ...]
    sessions: bool = False
    funding: FundingCoverage | None = None

    @classmethod
    def of(cls, request: Request, found: Presence) -> Self | None:
        """Compare a request with what there is; None: there is nothing to trade."""
        if found.first_ms is None or found.last_ms is None:
            return None
        assert found.earliest_ms is not None
        assert found.latest_ms is not None
        asked, step = request.document["time_range"], request.timeframe_ms
        start_ms, end_ms, phase_ms = request.start_ms, request.end_ms, found.phase_ms
        first_open, _ = load_range(start_ms, end_ms, step, 0, phase_ms)
        sessions = found.expected is not None
        warmup_present, expected = found.before, found.expected
        if warmup_present is None or expected is None:
            warmup_present = max(0, (first_open - found.earliest_ms) // step)
            expected = bars_between(start_ms - phase_ms, end_ms - phase_ms, step)
        undefined, unsettled = _without_history(request, found, warmup_present)
        return cls(
            asked_start=asked["start"],
            asked_end=asked["end"],
            traded_start_ms=found.first_ms if sessions else max(first_open, found.earliest_ms),
            traded_end_ms=found.latest_ms + step,
            bars_expected=expected,
            bars_present=found.bars,
            first_ms=found.first_ms,
            last_ms=found.last_ms,
            longest_gap_bars=found.gap_bars,
            longest_gap_start_ms=found.gap_start_ms,
            warmup_bars=request.warmup_bars,
            warmup_present=warmup_present,
            undefined=undefined,
            unsettled=unsettled,
            sessions=sessions,
        )

    @classmethod
    def of_candles(cls, request: Request, candles: Candles) -> Self:
        """Compare a request with the candles that were loaded for it."""
        coverage = cls.of(request, Presence.of(candles))
        assert coverage is not None
        return coverage if candles.funding is None else coverage.funded(candles.funding)

    def funded(self, funding: Funding) -> Self:
        """Return it with what is known of a series of funding."""
        traded = self.traded_start_ms, self.traded_end_ms
        return replace(self, funding=FundingCoverage.of(funding, *traded))

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        gap_start = self.longest_gap_start_ms
        funding = {} if self.funding is None else {"funding": self.funding.document(utc)}
        return {
            "asked": {"start": self.asked_start, "end": self.asked_end},
            "traded": {"start": utc(self.traded_start_ms), "end": utc(self.traded_end_ms)},
            "bars_expected": self.bars_expected,
            "bars_present": self.bars_present,
            "first": utc(self.first_ms),
            "last": utc(self.last_ms),
            "longest_gap_bars": self.longest_gap_bars,
            "longest_gap_start": None if gap_start is None else utc(gap_start),
            "warmup_bars": self.warmup_bars,
            "warmup_present": self.warmup_present,
            "undefined": list(self.undefined),
            "unsettled": list(self.unsettled),
            **funding,
        }


def _without_history(
    request: Request, found: Presence, warmup_present: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of blocks that are undefined, and only unsettled, on the first traded bar.

    `warmup_present` bars are there before it.
    """
    blocks = request.titled_blocks
    bars = {name: _history(block, request, found, warmup_present) for name, block in blocks.items()}
    undefined = [
        name for name, block in blocks.items() if longest(block, defined_after) > bars[name]
    ]
    unsettled = [
        name for name, block in blocks.items() if longest(block, settled_after) > bars[name]
    ]
    return (
        tuple(sorted(undefined)),
        tuple(sorted(set(unsettled) - set(undefined))),
    )


def _history(block: BlockRequest, request: Request, found: Presence, warmup_present: int) -> int:
    """Return how many bars of a block precede the one it reads on the first traded bar.

    Where a market closes, no arithmetic tells how many larger bars there are: at least so many.
    """
    step, larger_ms, earliest = request.timeframe_ms, block.timeframe_ms, found.earliest_ms
    if larger_ms is None or earliest is None:
        return warmup_present
    if found.expected is not None:
        ratio = larger_ms // step
        return (warmup_present - 2 * (ratio - 1)) // ratio
    first_open, _ = load_range(request.start_ms, request.end_ms, step, 0, found.phase_ms)
    first_ms = max(first_open, earliest)
    return bars_before(first_ms, earliest, step, larger_ms, found.phase_ms)
