"""`python -m benchmarks.shapes`: whether stage A costs the same per unit of work on any shape.

A unit of work is a plane word or a position change, each at its price fitted to crossings in the
same run. Shapes take turns on one thread; their signal planes are computed before. Then stage B,
by risk grid and by metric. `--quick` takes a tenth of everything.
"""

import argparse
import sys
from dataclasses import dataclass

from benchmarks.activity import activity, drawn
from benchmarks.densities import UnitCost, densities
from benchmarks.expansions import print_expansions
from benchmarks.grids import Axis, Grid, explicit, macd_line, percent_b, rsi, sma, spread, steps
from benchmarks.jobs import finish
from benchmarks.verdicts import Verdicts
from benchmarks.workload import (
    SEED,
    WARMUP_BARS,
    YEAR_BARS,
    reference_grids,
    request_of,
)
from engine.kernels.inputs import words_for
from engine.ready import preload
from engine.sweep import Sweep
from engine.synthetic import bars
from engine.timeframes import TIMEFRAMES

REFERENCE = "reference"
MINUTES_OF_A_YEAR = 525_600
FEW_BARS = 2_000
# A variant counts with so many trades per bar or more, the hundred per year of the reference.
TRADES_PER_BAR = 100 / YEAR_BARS
WORST = 2.0


@dataclass(frozen=True)
class Shape:
    """A sweep of blocks over so many bars."""

    name: str
    grids: list[Grid]
    bars: int = YEAR_BARS
    timeframe: str = "15m"

    def sweep(self) -> Sweep:
        """Return the sweep over seeded candles."""
        candles = bars(SEED, self.bars, TIMEFRAMES[self.timeframe], warmup_bars=WARMUP_BARS)
        request = request_of(
            self.grids, timeframe=self.timeframe, min_trades=int(TRADES_PER_BAR * self.bars)
        )
        return Sweep(request, candles)


def shapes(*, quick: bool) -> list[Shape]:
    """Return the reference and what differs from it; a tenth of the variants if `quick`."""
    shorts = explicit((30, 40))

    def some(count: int) -> int:
        return max(1, count // 10) if quick else count

    return [
        Shape(REFERENCE, reference_grids(quick=quick)),
        Shape(
            "three blocks",
            [
                sma(spread(10, 200, some(20))),
                macd_line(spread(5, 20, 6), spread(26, 60, 6)),
                rsi(spread(3, 120, 31), steps(55, 79, 2), shorts),
            ],
        ),
        Shape(
            "four blocks",
            [
                sma(spread(10, 200, some(10))),
                macd_line(spread(6, 18, 3), spread(26, 60, 3)),
                rsi(spread(3, 120, 16), steps(55, 79, 2), explicit((40,))),
                percent_b(
                    spread(10, 60, 4),
                    explicit((1.5, 2.5)),
                    explicit((0.55, 0.65, 0.75, 0.85)),
                    explicit((0.35,)),
                ),
            ],
        ),
        Shape(
            "minutes of a year",
            [
                sma(spread(5, 200, some(30))),
                rsi(spread(3, 120, 40), steps(55, 79, 2), shorts),
            ],
            MINUTES_OF_A_YEAR,
            "1m",
        ),
        Shape(
            "few bars",
            fast_and_slow(steps(51, 63.5, 0.5), explicit((40, 47)), some(43)),
            FEW_BARS,
        ),
        Shape(
            "few bars, mostly flat",
            fast_and_slow(steps(53, 78), shorts, some(43)),
            FEW_BARS,
        ),
    ]


def fast_and_slow(longs: Axis, shorts: Axis, windows: int) -> list[Grid]:
    """Return two blocks of so many windows x threshold pairs of one indicator."""
    return [
        rsi(spread(3, 45, windows), longs, shorts, name="fast"),
        rsi(spread(46, 130, 43), longs, shorts, name="slow"),
    ]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    quick = parser.parse_args().quick
    preload()
    verdicts = Verdicts()
    unit = UnitCost.fitted(densities(20 if quick else 60))
    print(f"fitted to crossings of up to 2 changes per word: {unit}")
    _stage_a(shapes(quick=quick), 3 if quick else 5, unit, verdicts)
    print_expansions(30 if quick else 300, 3 if quick else 7)
    verdicts.show()
    return 0


def _stage_a(measured: list[Shape], repeats: int, unit: UnitCost, verdicts: Verdicts) -> None:
    sweeps = {shape.name: shape.sweep() for shape in measured}
    rounds = [{name: _score(sweep) for name, sweep in sweeps.items()} for _ in range(1 + repeats)]
    best = {name: min(seconds[name] for seconds in rounds[1:]) for name in sweeps}
    print("\nstage A by shape (one thread)")
    print(
        f"  {'':<21} {'bars':>7} {'words':>5} {'blocks':>6} {'variants':>9} {'changes':>8} "
        f"{'µs':>8} {'ns per':>7} {'ns per':>7} {'of the':>7} {'x refe-':>7}\n"
        f"  {'':<21} {'':>7} {'':>5} {'':>6} {'':>9} {'':>8} "
        f"{'':>8} {'bar':>7} {'change':>7} {'fit':>7} {'rence':>7}"
    )
    shares: dict[str, float] = {}
    for name, sweep in sweeps.items():
        traded, changes = len(sweep.closes), activity(sweep, drawn(sweep)).changes
        words = words_for(traded)
        ns = 1e9 * best[name] / sweep.grid.base_total
        shares[name] = ns / unit.of(words, changes)
        print(
            f"  {name:<21} {traded:>7,} {words:>5,} {len(sweep.grid.blocks):>6} "
            f"{sweep.grid.base_total:>9,} {changes:>8,.0f} {ns / 1e3:>8.3f} {ns / traded:>7.4f} "
            f"{ns / changes:>7.2f} {shares[name]:>7.2f} {shares[name] / shares[REFERENCE]:>7.2f}"
        )
    worst = max(shares, key=lambda name: shares[name])
    ratio = shares[worst] / shares[REFERENCE]
    verdicts.at_most(f"stage A, worst shape ({worst}), x reference", ratio, WORST)


def _score(sweep: Sweep) -> float:
    """Run stage A; return its seconds without those in which planes were prepared."""
    _, seconds, planes = finish(sweep.stage_a())
    return seconds - planes


if __name__ == "__main__":
    sys.exit(main())
