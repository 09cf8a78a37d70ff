"""`python -m benchmarks.sweep`: what a variant costs here and elsewhere, measured in one run.

First proves that every peer whose fill rules agree returns the same money, then times contestants
in turns and prints each target with its number. `--quick` takes a tenth of everything.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.ours import Engine
from benchmarks.peers import Peer, PeerMissing
from benchmarks.timing import take_turns
from benchmarks.workload import Crossings, crossings, reference_request, year
from engine.metric_names import METRICS
from engine.report import reports
from engine.sweep import Batch, Sweep, preload

Float64 = NDArray[np.float64]

ORDERS = 790.0
CALLS = 20  # of a kernel in a turn, so that it is not measured with another's cache contents
DENSITIES = (46, 200, 400, 600, 790, 1000, 1500, 3000, 6000, 9700)


def main() -> int:
    """Run the benchmark; with `--job` only the reference job, whose figures it prints as JSON."""
    options = _options()
    preload()
    if options.job:
        print(json.dumps(_job(options.threads, quick=options.quick, metric=options.metric)))
        return 0
    verdicts = Verdicts()
    candles = year()
    work = crossings(candles, 40 if options.quick else 200, ORDERS)
    print(f"crossings: {work.variants} signals, {work.changes():.0f} orders each")
    repeats = 5 if options.quick else 15
    _stage_a(work, repeats, verdicts)
    _densities(repeats, verdicts)
    _stage_b(work, repeats, verdicts)
    _jobs(2 if options.quick else 3, options.quick, verdicts)
    if options.metrics:
        _metrics(options.quick)
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


class Verdicts:
    """Targets and whether they are met."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def at_least(self, what: str, value: float, target: float) -> None:
        """Note a number that should be `target` or more."""
        self._note(what, f"{value:,.2f}", f">= {target:,}", value >= target)

    def at_most(self, what: str, value: float, target: float) -> None:
        """Note a number that should be `target` or less."""
        self._note(what, f"{value:,.2f}", f"<= {target:,}", value <= target)

    def _note(self, what: str, value: str, target: str, met: bool) -> None:
        self._lines.append(f"  {'met   ' if met else 'MISSED'} {what:<58} {value:>10}  {target}")

    def show(self) -> None:
        """Print every target."""
        print("\ntargets")
        print("\n".join(self._lines))


def _available(make: Callable[[Crossings], Any], work: Crossings) -> list[Peer]:
    """Return the peers that `make` knows, or none and a line that says what is missing."""
    try:
        made = make(work)
    except PeerMissing as missing:
        print(f"  skipped: {missing}")
        return []
    return made if isinstance(made, list) else [made]


def _prove_parity(ours: Float64, peer: Peer) -> None:
    theirs = peer.run()
    error = np.abs(ours[: len(theirs)] - theirs).max()
    if not error <= 1e-9:
        raise SystemExit(f"no parity with {peer.name}: returns differ by {error:.3g}")
    print(f"  same returns as {peer.name}: {len(theirs)} variants, largest difference {error:.1e}")


def _stage_a(work: Crossings, repeats: int, verdicts: Verdicts) -> None:
    print("\nstage A against peers (one thread)")
    engine = Engine(work)
    few = work.part(max(1, work.variants // 5))
    compared = [
        *_available(peers.bar_loop, work),
        *_available(peers.vectorbt_functions, few),
        *_available(peers.vectorbt_portfolio, few),
    ]
    returns = engine.stage_a()
    for peer in compared:
        _prove_parity(returns, peer)
    single = _available(peers.backtesting_py, work)  # its orders fill differently
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
    fastest = [ratio for name, ratio in ratios.items() if name.endswith("_nb")]
    if fastest:
        verdicts.at_least("stage A, x vectorbt's fastest public path", min(fastest), 250)
        verdicts.at_least(
            "stage A, x vectorbt's from_signals", ratios["vectorbt Portfolio.from_signals"], 1000
        )
    verdicts.at_least("stage A, x a plain bar loop", ratios["plain numba bar loop"], 10)


def _densities(repeats: int, verdicts: Verdicts) -> None:
    """Time crossings of ever faster averages."""
    print("\nstage A by position changes (one thread)")
    candles = year()
    engines = []
    for wanted in DENSITIES:
        work = crossings(candles, 64, wanted)
        engines.append((work.changes(), Engine(work)))
    runs = [(f"{changes:.0f}", engine.stage_a) for changes, engine in engines]
    times = take_turns(runs, 4 * repeats)
    rows: list[tuple[float, float, float]] = []
    for changes, engine in engines:
        seconds = times[f"{changes:.0f}"].best / engine.scored
        rows.append((engine.words, changes, 1e9 * seconds))
        print(
            f"  {changes:7.0f} changes, {changes / engine.words:5.2f} per word: "
            f"{1e6 * seconds:7.3f} µs, {1e9 * seconds / changes:6.2f} ns per change"
        )
    sparse = np.array([row for row in rows if row[1] <= 2 * row[0]], np.float64)
    (word, change), *_ = np.linalg.lstsq(sparse[:, :2], sparse[:, 2])
    print(f"  up to 2 changes per word: {word:.2f} ns per word + {change:.2f} ns per change")
    usual = [cost / changes for words, changes, cost in rows if words <= changes <= 2 * words]
    verdicts.at_most("stage A at 1-2 changes per word, ns per change", max(usual), 3.5)


def _stage_b(work: Crossings, repeats: int, verdicts: Verdicts) -> None:
    print("\nstage B: one signal under 200 (SL, TP) (one thread)")
    engine = Engine(work)
    compared = _available(peers.vectorbt_risk, work)
    returns = engine.stage_b()
    for peer in compared:
        _prove_parity(returns, peer)
    runs: list[tuple[str, Callable[[], Any]]] = [(peer.name, peer.run) for peer in compared]
    runs.append(("this engine", lambda: [engine.stage_b() for _ in range(CALLS)]))
    times = take_turns(runs, repeats)
    ours = times["this engine"].best / CALLS / engine.expanded
    print(f"  {'this engine':<50} {1e6 * ours:10.3f} µs")
    for peer in compared:
        cost = times[peer.name].best / peer.variants
        print(f"  {peer.name:<50} {1e6 * cost:10.3f} µs  {cost / ours:10,.0f} x")
        verdicts.at_least(f"stage B, x {peer.name}", cost / ours, 1500)


def _finish(batches: Any) -> tuple[Batch, float, float]:
    """Return the last batch, the seconds of the stage, and those before the first variant."""
    begin = perf_counter()
    prepared = begin
    for batch in batches:
        if batch.processed == 0:
            prepared = perf_counter()
    return batch, perf_counter() - begin, prepared - begin


def _job(threads: int, *, quick: bool, metric: str) -> dict[str, float]:
    """Run the engine's part of the reference job in this process."""
    candles = year()
    begin = perf_counter()
    sweep = Sweep(reference_request(quick=quick, metric=metric), candles, threads=threads)
    first, seconds_a, planes = _finish(sweep.stage_a())
    shortlist = first.top.indexes()
    second, seconds_b, _ = _finish(sweep.stage_b(shortlist))
    before = perf_counter()
    count = sum(1 for _ in reports(sweep, second.top.indexes(), top_trades_n=3))
    end = perf_counter()
    return {
        "threads": threads,
        "variants_a": first.total,
        "variants_b": second.total,
        "reports": count,
        "planes": planes,
        "stage_a": seconds_a - planes,
        "stage_b": seconds_b,
        "report": end - before,
        "job": end - begin,
        "rss_mb": _peak_rss_mb(),
    }


def _peak_rss_mb() -> float:
    """Return the peak of this process; `ru_maxrss` would include that of whoever started it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def _job_apart(threads: int, quick: bool, metric: str = "total_return_pct") -> dict[str, float]:
    """Run the reference job in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.sweep", "--job", "--threads", str(threads)]
    command += ["--metric", metric, *(["--quick"] if quick else [])]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _jobs(repeats: int, quick: bool, verdicts: Verdicts) -> None:
    print("\nthe reference job, engine part")
    rounds = [[_job_apart(threads, quick) for threads in (1, 2)] for _ in range(repeats)]
    best = [min((pair[k] for pair in rounds), key=lambda run: run["job"]) for k in (0, 1)]
    for run in best:
        a, b = run["variants_a"], run["variants_b"]
        print(
            f"  {run['threads']:.0f} thread(s): planes {run['planes']:.2f} s; "
            f"stage A {run['stage_a']:.2f} s, {1e6 * run['stage_a'] / a:.3f} µs x {a:,.0f}; "
            f"stage B {run['stage_b']:.2f} s, {1e6 * run['stage_b'] / b:.3f} µs x {b:,.0f}; "
            f"{run['reports']:.0f} reports {run['report']:.2f} s; "
            f"all {run['job']:.2f} s, peak {run['rss_mb']:.0f} MB"
        )
    efficiency = [
        min(pair[0][stage] for pair in rounds) / min(pair[1][stage] for pair in rounds)
        for stage in ("stage_a", "stage_b")
    ]
    print(f"  two threads: stage A {efficiency[0]:.2f} x, stage B {efficiency[1]:.2f} x")
    verdicts.at_least("two threads, stage A, x one thread", efficiency[0], 1.8)
    verdicts.at_most("reference job, engine part, two threads, s", best[1]["job"], 15)
    verdicts.at_most("reference job, peak RSS, MB", max(run["rss_mb"] for run in best), 600)


def _metrics(quick: bool) -> None:
    print("\nthe reference job by metric (one thread)")
    for metric in METRICS:
        run = _job_apart(1, quick, metric)
        print(
            f"  {metric:<26} stage A {1e6 * run['stage_a'] / run['variants_a']:8.3f} µs, "
            f"stage B {1e6 * run['stage_b'] / run['variants_b']:8.3f} µs"
        )


if __name__ == "__main__":
    sys.exit(main())
