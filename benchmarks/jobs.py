"""The reference job as a user runs it, less queue and database, in a process of its own."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.verdicts import Verdicts
from benchmarks.workload import RESULT_BYTES, reference_request, year
from engine.report import reports
from engine.sweep import Batch, Sweep


def finish(batches: Iterator[Batch]) -> tuple[Batch, float, float]:
    """Return the last batch, the seconds of the stage, and those in which planes were prepared."""
    begin = before = perf_counter()
    planes, processed = 0.0, 0
    for batch in batches:
        now = perf_counter()
        if batch.processed == processed < batch.total:
            planes += now - before
        before, processed = now, batch.processed
    return batch, perf_counter() - begin, planes


def reference_job(threads: int, *, quick: bool, metric: str) -> dict[str, float]:
    """Run the engine's part of the reference job in this process."""
    candles = year()
    begin = perf_counter()
    sweep = Sweep(reference_request(quick=quick, metric=metric), candles, threads=threads)
    first, seconds_a, planes = finish(sweep.stage_a())
    shortlist = first.top.indexes()
    second, seconds_b, _ = finish(sweep.stage_b(shortlist))
    before = perf_counter()
    count = sum(
        1 for _ in reports(sweep, second.top.indexes(), top_trades_n=3, result_bytes=RESULT_BYTES)
    )
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
        "rss_mb": peak_rss_mb(),
    }


def peak_rss_mb() -> float:
    """Return the peak of this process; `ru_maxrss` would include that of whoever started it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def _job_apart(threads: int, quick: bool) -> dict[str, float]:
    """Run the reference job in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.sweep", "--job", "--threads", str(threads)]
    command += ["--quick"] if quick else []
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def compare_threads(repeats: int, quick: bool, verdicts: Verdicts) -> None:
    """Print the reference job on one thread and on two."""
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
