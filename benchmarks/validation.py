"""`python -m benchmarks.validation`: what it costs to ask whether the winner of a search is luck.

The reference job with ever more of `validation`, each in a process of its own, in turns; of each
the least disturbed turn counts. Candles, both stages, what is asked and reports are in it; queue
and database are not.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.jobs import finish, peak_rss_mb
from benchmarks.workload import RESULT_BYTES, reference_request, year
from engine.ready import preload
from engine.report import reports
from engine.request import Request, parse
from engine.sweep import Sweep
from engine.validation.search import ask
from engine.validation.split import Split

Asked = Mapping[str, Any] | None
TRAINED = {"train_pct": 70.0, "test_start": None, "blocks": 16}
NOTHING = {"splits": 0, "draws": 0, "walk_forward": None}
WALK = {"walk_forward": {"folds": 8, "mode": "anchored"}}
MODES: Mapping[str, Asked] = {
    "nothing": None,
    "train and test": TRAINED | NOTHING,
    "... and 1 000 splits": TRAINED | NOTHING | {"splits": 1000},
    "... all 12 870 splits": TRAINED | NOTHING | {"splits": 12_870},
    "... 1 000 splits, walk forward": TRAINED | NOTHING | {"splits": 1000} | WALK,
    "everything, 39 draws": TRAINED | NOTHING | {"splits": 1000, "draws": 39} | WALK,
}


def job(asked: Asked, threads: int, *, quick: bool, metric: str) -> dict[str, float]:
    """Run a reference job that is asked so much, in this process; return seconds and peak."""
    request = _request(asked, quick=quick, metric=metric)
    candles = year()
    begin = perf_counter()
    split = Split.of(request, candles)
    sweep = Sweep(request, candles if split is None else split.train, threads=threads)
    first, _, _ = finish(sweep.stage_a())
    last, _, _ = finish(sweep.stage_b(first.top.indexes()))
    searched = perf_counter()
    test = None
    if split is not None:
        test = Sweep(request, split.test)
        ask(sweep, last.top, lambda *_: None, threads=threads)
    answered = perf_counter()
    kept = last.top.indexes()
    for _ in reports(sweep, kept, top_trades_n=3, result_bytes=RESULT_BYTES, test=test):
        pass
    end = perf_counter()
    return {
        "variants": first.total,
        "search": searched - begin,
        "asked": answered - searched,
        "reports": end - answered,
        "job": end - begin,
        "peak_mb": peak_rss_mb(),
    }


def _request(asked: Asked, *, quick: bool, metric: str) -> Request:
    request = reference_request(quick=quick, metric=metric)
    if asked is None:
        return request
    return parse({**request.document, "validation": asked})


def main() -> int:
    """Print the table; `--job` only runs one job, whose figures it prints as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the variants")
    parser.add_argument("--metric", default="total_return_pct")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--job", choices=MODES, metavar="MODE", help="only this one, as JSON")
    options = parser.parse_args()
    preload()
    if options.job:
        figures = job(
            MODES[options.job], options.threads, quick=options.quick, metric=options.metric
        )
        print(json.dumps(figures))
        return 0
    _table(options)
    return 0


def _table(options: argparse.Namespace) -> None:
    best: dict[str, dict[str, float]] = {}
    for _ in range(options.turns):
        for mode in MODES:
            figures = _apart(mode, options)
            if mode not in best or figures["job"] < best[mode]["job"]:
                best[mode] = figures
    plain = best["nothing"]["job"]
    print(f"ranked by {options.metric}, {options.threads} threads, best of {options.turns}\n")
    print(
        "| asked | search, s | asked, s | µs per variant | reports, s | job, s | ratio | peak, MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for mode, found in best.items():
        each = 1e6 * found["asked"] / found["variants"]
        print(
            f"| {mode} | {found['search']:.2f} | {found['asked']:.2f} | {each:.2f} "
            f"| {found['reports']:.2f} | {found['job']:.2f} | {found['job'] / plain:.2f} "
            f"| {found['peak_mb']:.0f} |"
        )


def _apart(mode: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.validation", "--job", mode]
    command += ["--metric", options.metric, "--threads", str(options.threads)]
    command += ["--quick"] if options.quick else []
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    sys.exit(main())
