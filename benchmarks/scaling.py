"""`python -m benchmarks.scaling`: how stage A grows with variants, bars and blocks.

Every size is the same mixture of values, run on one thread and on two in turns; the time that
signal planes take is left out. Prints tables and, with `--out`, draws `scaling-*.svg` into a
folder. `--quick` leaves out the large sizes.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.activity import activity, drawn
from benchmarks.curves import Curve, Point, draw
from benchmarks.densities import UnitCost, densities
from benchmarks.grids import Grid, evenly, macd_line, percent_b, rsi, sma, spread
from benchmarks.jobs import finish
from benchmarks.peers import PeerMissing
from benchmarks.workload import SEED, WARMUP_BARS, YEAR_BARS, request_of
from engine.kernels.inputs import words_for
from engine.ready import preload
from engine.sweep import Sweep
from engine.synthetic import bars
from engine.timeframes import MINUTE_MS

THREADS = (1, 2)
# How many windows of the average, windows of the index, thresholds for LONG and for SHORT.
MIXTURES = (
    (20, 20, 13, 2),
    (35, 35, 13, 2),
    (62, 62, 13, 2),
    (107, 107, 13, 2),
    (196, 118, 22, 2),
    (196, 118, 43, 3),
    (196, 118, 72, 6),
)
FIXED = MIXTURES[2]  # where the bars change
BARS = (2_000, 8_000, YEAR_BARS, 131_400, 525_600)
BLOCKS = (1, 2, 3, 4)
QUICK = 3  # sizes of a curve
# A size is run again until so many seconds or rounds have passed; its best round counts.
SECONDS, ROUNDS = 10.0, 9


@dataclass(frozen=True)
class Size:
    """A sweep of blocks over minute bars."""

    grids: list[Grid]
    bars: int = YEAR_BARS

    def sweep(self, threads: int) -> Sweep:
        """Return the sweep over seeded candles."""
        candles = bars(SEED, self.bars, MINUTE_MS, warmup_bars=WARMUP_BARS)
        return Sweep(request_of(self.grids, timeframe="1m"), candles, threads=threads)


def mixture(averages: int, indexes: int, longs: int, shorts: int) -> list[Grid]:
    """Return two blocks whose values are spread over the same ranges, however many they are."""
    return [
        sma(spread(5, 200, averages)),
        rsi(spread(3, 120, indexes), evenly(55, 79, longs), evenly(30, 40, shorts)),
    ]


def blocks(count: int) -> list[Grid]:
    """Return one to four blocks that make 100 000 variants together."""
    # The thresholds of the index make up for the variants of the blocks that are missing.
    windows, longs, shorts = ((40, 50, 50), (40, 50, 5), (20, 10, 5), (10, 5, 2))[count - 1]
    index = rsi(spread(3, 120, windows), evenly(55, 79, longs), evenly(30, 40, shorts))
    others = [
        sma(spread(5, 200, 10)),
        macd_line(spread(5, 20, 2), spread(26, 60, 5)),
        percent_b(
            spread(10, 60, 5), evenly(1.5, 2.5, 2), evenly(0.55, 0.85, 1), evenly(0.3, 0.4, 1)
        ),
    ]
    return [index, *others[: count - 1]]


def measure(x: int | None, size: Size, unit: UnitCost) -> Point:
    """Run stage A of one size; `x` None means that its variants are what changes."""
    sweeps = [size.sweep(threads) for threads in THREADS]
    best = [float("inf")] * len(sweeps)
    spent, rounds = 0.0, 0
    while rounds < ROUNDS and spent < SECONDS:
        for k, sweep in enumerate(sweeps):
            _, seconds, planes = finish(sweep.stage_a())
            best[k] = min(best[k], seconds - planes)
            spent += seconds
        rounds += 1
    variants, words = sweeps[0].grid.base_total, words_for(size.bars)
    changes = activity(sweeps[0], drawn(sweeps[0])).changes
    return Point(
        x=variants if x is None else x,
        variants=variants,
        changes=changes,
        seconds=tuple(best),
        fitted=1e-9 * unit.of(words, changes) * variants,
    )


def curves(unit: UnitCost, *, quick: bool) -> Iterator[Curve]:
    """Measure one curve after the other."""
    most = QUICK if quick else None
    yield Curve(
        "variants",
        f"base variants ({YEAR_BARS:,} bars, 2 blocks)",
        [measure(None, Size(mixture(*counts)), unit) for counts in MIXTURES[:most]],
    )
    yield Curve(
        "bars",
        "bars (99,944 base variants, 2 blocks)",
        [measure(count, Size(mixture(*FIXED), count), unit) for count in BARS[:most]],
    )
    yield Curve(
        "blocks",
        f"blocks (100,000 base variants, {YEAR_BARS:,} bars)",
        [measure(count, Size(blocks(count)), unit) for count in BLOCKS],
        logarithmic=False,
    )


def show(curve: Curve) -> None:
    """Print a curve as a table."""
    print(f"\nstage A by {curve.label}")
    print(
        f"  {curve.name:>10} {'changes':>8} {'1 thread':>10} {'2 threads':>10} "
        f"{'gain':>7} {'per variant':>12} {'of the fit':>11}"
    )
    for point in curve.points:
        one, two = point.seconds
        print(
            f"  {point.x:>10,} {point.changes:>8,.0f} {one:>8.4f} s "
            f"{two:>8.4f} s {one / two:>5.2f} x {1e6 * one / point.variants:>9.3f} µs "
            f"{one / point.fitted:>11.2f}"
        )


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--out", type=Path, help="folder that gets the curves as SVG")
    options = parser.parse_args()
    preload()
    unit = UnitCost.fitted(densities(15 if options.quick else 60))
    print(f"fitted to crossings of up to 2 changes per word: {unit}")
    for curve in curves(unit, quick=options.quick):
        show(curve)
        if options.out is not None:
            try:
                print(f"  drawn as {draw(curve, options.out)}")
            except PeerMissing as missing:
                print(f"  not drawn: {missing}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
