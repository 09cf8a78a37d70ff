"""Stage B by risk grid and by metric, on base variants drawn from the reference sweep."""

from collections.abc import Mapping
from functools import partial

from benchmarks.activity import Int64, activity, drawn
from benchmarks.grids import Axis, explicit, steps
from benchmarks.jobs import finish
from benchmarks.timing import take_turns
from benchmarks.workload import RISK, SL_PCT, TP_PCT, reference_grids, request_of, year
from engine.sweep import Sweep

RETURN = "total_return_pct"
FINE: Mapping[str, Axis | None] = {"sl": explicit(SL_PCT), "tp": explicit(TP_PCT), "tsl": None}
TRAILED = {"sl": explicit(SL_PCT), "tp": steps(0.5, 10, 0.5), "tsl": steps(1, 5)}
CASES: tuple[tuple[str, Mapping[str, Axis | None], str], ...] = (
    ("5 x 6", RISK, RETURN),
    ("20 x 10", FINE, RETURN),
    ("20 x 20 x 5", TRAILED, RETURN),
    ("5 x 6", RISK, "profit_factor"),
    ("5 x 6", RISK, "sharpe"),
)


def print_expansions(variants: int, repeats: int) -> None:
    """Time every case on the same base variants, in turns on one thread."""
    candles = year()
    sweeps = [
        Sweep(request_of(reference_grids(), risk=risk, metric=metric, preselect=variants), candles)
        for _, risk, metric in CASES
    ]
    bases = drawn(sweeps[0], variants)
    runs = [
        (f"{name} {metric}", partial(_expand, sweep, bases))
        for (name, _, metric), sweep in zip(CASES, sweeps, strict=True)
    ]
    times = take_turns(runs, repeats)  # the round that is not counted computes the planes
    trades = activity(sweeps[0], bases).runs
    print(
        f"\nstage B by risk grid, {variants} variants of the reference with {trades:.0f} runs each "
        "(one thread)\n"
        f"  {'sl x tp x tsl':<14} {'ranked by':<18} {'combinations':>12} {'µs per variant':>15} "
        f"{'ns per combination':>19} {'per run':>8}"
    )
    for (name, _, metric), sweep in zip(CASES, sweeps, strict=True):
        combinations = sweep.grid.risk_total
        ns = 1e9 * times[f"{name} {metric}"].best / variants
        each = ns / combinations
        print(
            f"  {name:<14} {metric:<18} {combinations:>12,} {ns / 1e3:>15,.1f} "
            f"{each:>19,.0f} {each / trades:>8.2f}"
        )


def _expand(sweep: Sweep, bases: Int64) -> None:
    finish(sweep.stage_b(bases))
