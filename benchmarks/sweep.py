"""`python -m benchmarks.sweep`: what a variant costs here and elsewhere, measured in one run.

First proves that every peer whose fill rules agree returns the same money, then times contestants
in turns and prints each target with its number. `--quick` takes a tenth of everything.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers, vectorbt_peers
from benchmarks.by_metric import compare_metrics
from benchmarks.densities import UnitCost, densities
from benchmarks.jobs import compare_threads, reference_job
from benchmarks.modes import compare_modes
from benchmarks.ours import Engine
from benchmarks.peers import available, prove_parity
from benchmarks.timing import take_turns
from benchmarks.verdicts import Verdicts
from benchmarks.workload import Crossings, crossings, year
from engine.metric_names import METRICS
from engine.ready import preload

Float64 = NDArray[np.float64]

ORDERS = 790.0
CALLS = 20  # of a kernel in a turn, so that it is not measured with another's cache contents


def main() -> int:
    """Run the benchmark; with `--job` only the reference job, whose figures it prints as JSON."""
    options = _options()
    preload()
    if options.job:
        print(
            json.dumps(reference_job(options.threads, quick=options.quick, metric=options.metric))
        )
        return 0
    verdicts = Verdicts()
    candles = year()
    work = crossings(candles, 40 if options.quick else 200, ORDERS)
    print(f"crossings: {work.variants} signals, {work.changes():.0f} orders each")
    repeats = 5 if options.quick else 15
    _stage_a(work, repeats, verdicts)
    _densities(repeats, verdicts)
    _stage_b(work, repeats, verdicts)
    compare_modes(work, candles, repeats, verdicts)
    compare_threads(2 if options.quick else 3, options.quick, verdicts)
    if options.metrics:
        compare_metrics(2 if options.quick else 3, options.quick)
    verdicts.show()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--metrics", action="store_true", help="also the cost of every metric")
    parser.add_argument("--job", action="store_true", help="only the reference job, as JSON")
    parser.add_argument("--threads", type=int, default=1, help="of --job")
    parser.add_argument("--metric", default="total_return_pct", choices=METRICS, help="of --job")
    return parser.parse_args()


def _stage_a(work: Crossings, repeats: int, verdicts: Verdicts) -> None:
    print("\nstage A against peers (one thread)")
    engine = Engine(work)
    few = work.part(max(1, work.variants // 5))
    compared = available(
        [
            lambda: peers.bar_loop(work),
            lambda: vectorbt_peers.functions(few),
            lambda: vectorbt_peers.rust_functions(few),
            lambda: vectorbt_peers.portfolio(few),
            lambda: vectorbt_peers.rust_portfolio(few),
        ]
    )
    returns = engine.stage_a()
    for peer in compared:
        prove_parity(returns, peer)
    single = available([lambda: peers.backtesting_py(work)])  # its orders fill differently
    runs: list[tuple[str, Callable[[], Any]]] = [(peer.name, peer.run) for peer in compared]
    runs.append(("this engine", lambda: [engine.stage_a() for _ in range(CALLS)]))
    times = take_turns(runs, repeats)
    slow = take_turns([(peer.name, peer.run) for peer in single], 2)
    ours = times["this engine"].best / CALLS / engine.scored
    middle = times["this engine"].middle / CALLS / engine.scored
    print(f"  {'this engine':<42} {1e6 * ours:12.3f} µs  (median {1e6 * middle:.3f})")
    ratios = {}
    for peer in [*compared, *single]:
        taken = (times | slow)[peer.name]
        cost = taken.best / peer.variants
        ratios[peer.name] = cost / ours
        print(f"  {peer.name:<42} {1e6 * cost:12.3f} µs  {cost / ours:12,.1f} x")
    for what, path, target in (
        ("fastest public path", "simulate", 250),
        ("from_signals", "Portfolio.from_signals", 1_000),
    ):
        theirs = [ratio for name, ratio in ratios.items() if name.startswith(f"vectorbt {path}")]
        if theirs:
            verdicts.at_least(f"stage A, x vectorbt's {what}", min(theirs), target)
    verdicts.at_least("stage A, x a plain bar loop", ratios["plain numba bar loop"], 10)


def _densities(repeats: int, verdicts: Verdicts) -> None:
    """Time crossings of ever faster averages."""
    print("\nstage A by position changes (one thread)")
    measured = densities(4 * repeats)
    for row in measured:
        print(f"  {row}")
    print(f"  up to 2 changes per word: {UnitCost.fitted(measured)}")
    usual = [row.ns / row.changes for row in measured if 1 <= row.changes / row.words <= 2]
    verdicts.at_most("stage A at 1-2 changes per word, ns per change", max(usual), 3.5)


def _stage_b(work: Crossings, repeats: int, verdicts: Verdicts) -> None:
    print("\nstage B: one signal under 200 (SL, TP) (one thread)")
    engine = Engine(work)
    compared = available(
        [lambda: vectorbt_peers.risk(work), lambda: vectorbt_peers.rust_risk(work)]
    )
    returns = engine.stage_b()
    for peer in compared:
        prove_parity(returns, peer)
    runs: list[tuple[str, Callable[[], Any]]] = [(peer.name, peer.run) for peer in compared]
    runs.append(("this engine", lambda: [engine.stage_b() for _ in range(CALLS)]))
    times = take_turns(runs, repeats)
    ours = times["this engine"].best / CALLS / engine.expanded
    print(f"  {'this engine':<50} {1e6 * ours:10.3f} µs")
    for peer in compared:
        cost = times[peer.name].best / peer.variants
        print(f"  {peer.name:<50} {1e6 * cost:10.3f} µs  {cost / ours:10,.0f} x")
        verdicts.at_least(f"stage B, x {peer.name}", cost / ours, 1500)


if __name__ == "__main__":
    sys.exit(main())
