"""`python -m benchmarks.luck`: how often the search p-value calls luck an edge, and finds an edge.

Of paths that have none, the share of p ≤ 0.05 and of p ≤ 0.1 should be these numbers; next to it
stands the range in which it lies 19 times of 20 if they are. A planted edge should be found. Paths
are made by a seed, and every one is searched with all its draws: a minute on two processors.
"""

import argparse
import math
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import DEFAULTS, LIMITS, QUARTER_HOUR_MS
from engine.candles import Candles
from engine.ready import preload
from engine.request import Request, complete, parse
from engine.sweep import Sweep
from engine.validation.null import Null, null

Float64 = NDArray[np.float64]

BARS, WARMUP = 2_000, 100
INSIDE = 8  # steps of a walk inside a bar, from which it has its high and low
SIGMA = 0.004  # of a bar
START_MS = 1_704_067_200_000


def independent(_rng: np.random.Generator, count: int) -> Float64:
    """Return the volatility of each bar: always the same."""
    return np.full(count, SIGMA)


def trending(rng: np.random.Generator, count: int) -> Float64:
    """Return a volatility that grows fourfold, up or down the path."""
    growing = SIGMA * np.geomspace(0.5, 2.0, count)
    return growing if rng.random() < 0.5 else np.ascontiguousarray(growing[::-1])


@dataclass(frozen=True)
class Kind:
    """Paths of one kind, and what is searched on them."""

    name: str
    volatility: Callable[[np.random.Generator, int], Float64] | None
    volatility_timed: bool = False
    stops_inside: bool = False
    edge: float = 0.0  # mean of a bar, in its deviations, in the direction of the last ten

    def path(self, seed: int) -> Candles:
        """Return a path by its seed."""
        rng = np.random.default_rng(seed)
        count = WARMUP + BARS
        inside = rng.normal(0.0, 1.0 / math.sqrt(INSIDE), (count, INSIDE))
        sigma = (
            _garch(inside.sum(axis=1)) if self.volatility is None else self.volatility(rng, count)
        )
        steps = inside * sigma[:, None]
        if self.edge:
            _plant(steps, sigma, self.edge)
        walk = np.cumsum(steps.ravel()).reshape(count, INSIDE)
        opened = np.concatenate(([0.0], walk[:-1, -1]))
        every = np.column_stack((opened, walk))
        return Candles(
            ts_open=START_MS + np.arange(count) * QUARTER_HOUR_MS,
            open=100.0 * np.exp(opened),
            high=100.0 * np.exp(every.max(axis=1)),
            low=100.0 * np.exp(every.min(axis=1)),
            close=100.0 * np.exp(walk[:, -1]),
            volume=np.ones(count),
            timeframe_ms=QUARTER_HOUR_MS,
            first=WARMUP,
        )

    def request(self) -> Request:
        """Return the search: averages that cross, filtered; with stops, or timed by volatility."""
        cross = {
            "indicator_id": "ma.cross",
            "params": {"ma": ["sma", "ema"], "fast": [3, 5, 8, 12], "slow": [15, 25, 40]},
        }
        other: dict[str, Any] = {
            "indicator_id": "momentum.rsi",
            "params": {"window": [7, 14, 28]},
            "signals": {"long_threshold": [45, 50, 55], "short_threshold": [45, 50, 55]},
        }
        if self.volatility_timed:
            other = {
                "indicator_id": "volatility.atr",
                "params": {"window": [5, 10, 20]},
                "signals": {"long_delta_periods": [1, 5, 20], "short_delta_periods": [1, 5, 20]},
            }
        levels = {"sl": [0.5, 1, 2], "tp": [None, 1, 3]} if self.stops_inside else {}
        document = {
            "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"},
            "template": {
                "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
                "timeframe": "15m",
                "indicator_grids": [cross, other],
                "direction_mode": "long-short",
                "execution": {
                    "stop_fill": "intrabar" if self.stops_inside else "close",
                    "fee_pct": 0.01,
                },
                "risk_grid": levels,
            },
            "warmup_bars": WARMUP,
            "preselect": 100,
            "top_k": 50,
            "ranking": {"primary_metric": "total_return_pct", "min_trades": 10},
        }
        return parse(complete(document, DEFAULTS, LIMITS), LIMITS)

    def p(self, draws: int, seed: int) -> float:
        """Return the p-value of the search on the path of a seed."""
        request = replace(self.request(), top_k=1)
        sweep = Sweep(request, self.path(seed))
        *_, first = sweep.stage_a()
        *_, last = sweep.stage_b(first.top.indexes())
        found = null(sweep, last.top.best(), draws=draws, seed=seed, report=lambda _: None)
        assert isinstance(found, Null)
        return found.p


def _garch(shocks: Float64) -> Float64:
    """Return volatilities in spells: GARCH(1, 1) with the weights that daily returns often have."""
    sigma = np.empty(len(shocks))
    variance = SIGMA**2
    for bar, shock in enumerate(shocks):
        sigma[bar] = math.sqrt(variance)
        variance = 0.05 * SIGMA**2 + 0.15 * variance * shock**2 + 0.80 * variance
    return sigma


def _plant(steps: Float64, sigma: Float64, edge: float) -> None:
    """Have each bar drift, evenly, in the direction in which the ten before it went."""
    moved = steps.sum(axis=1)
    for bar in range(10, len(steps)):
        drift = edge * sigma[bar] * np.sign(moved[bar - 10 : bar].sum())
        steps[bar] += drift / INSIDE
        moved[bar] += drift


EDGE_FREE = (
    Kind("independent", independent),
    Kind("trending volatility", trending),
    Kind("GARCH, timed by volatility", None, volatility_timed=True),
    Kind("stops inside bars", independent, stops_inside=True),
)
PLANTED = Kind("a planted edge", independent, edge=0.12)


def band(paths: int, share: float, tail: float = 0.025) -> tuple[float, float]:
    """Return the shares between which so many paths lie, each with this chance.

    They lie below, or above, with a chance of `tail` at most: inside 19 times of 20.
    """
    chances = [
        math.comb(paths, k) * share**k * (1.0 - share) ** (paths - k) for k in range(paths + 1)
    ]
    below = np.cumsum(chances)
    low = int(np.searchsorted(below, tail))
    high = int(np.searchsorted(below, 1.0 - tail))
    return low / paths, high / paths


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.luck", description=__doc__)
    parser.add_argument("--paths", type=int, default=200, help="edge-free paths of each kind")
    parser.add_argument("--draws", type=int, default=39)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    preload()
    print(f"{options.draws} draws a path; in brackets where 19 of 20 such tables lie\n")
    print("| paths | number | p ≤ 0.05 | p ≤ 0.1 |\n|---|---|---|---|")
    with ProcessPoolExecutor(options.processes) as pool:
        for kind in (*EDGE_FREE, PLANTED):
            count = options.paths // 10 if kind.edge else options.paths
            ps = np.array(list(pool.map(partial(kind.p, options.draws), range(1, count + 1))))
            cells = []
            for share in (0.05, 0.1):
                low, high = band(count, share)
                free = "" if kind.edge else f" ({low:.1%} to {high:.1%})"
                cells.append(f"{np.mean(ps <= share + 1e-9):.1%}{free}")
            print(f"| {kind.name} | {count} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
