"""Stage A of the reference sweep by the metric that variants are ranked by."""

from functools import partial

from benchmarks.timing import take_turns
from benchmarks.workload import reference_request, year
from engine.metric_names import METRICS
from engine.sweep import Sweep

REFERENCE = "total_return_pct"


def compare_metrics(repeats: int, quick: bool) -> None:
    """Print what a variant costs by metric, on one thread, in turns.

    Every metric has a cut of its own, but stage A scores the same variants for each.
    """
    candles = year()
    sweeps = {
        metric: Sweep(reference_request(quick=quick, metric=metric), candles) for metric in METRICS
    }
    # The round that is not counted computes the planes, which each sweep keeps.
    runs = [(metric, partial(_stage_a, sweep)) for metric, sweep in sweeps.items()]
    times = take_turns(runs, repeats)
    variants = sweeps[REFERENCE].grid.base_total
    print(
        f"\nstage A of the reference sweep by metric, {variants:,} variants (one thread)\n"
        f"  {'ranked by':<26} {'µs':>8} {'median':>8} {'more µs':>8} {'x':>7}"
    )
    reference = times[REFERENCE].best
    for metric in METRICS:
        taken = times[metric]
        best, middle, more = (
            1e6 * seconds / variants
            for seconds in (taken.best, taken.middle, taken.best - reference)
        )
        ratio = taken.best / reference
        print(f"  {metric:<26} {best:8.3f} {middle:8.3f} {more:+8.3f} {ratio:7.2f}")


def _stage_a(sweep: Sweep) -> None:
    for _ in sweep.stage_a():
        pass
