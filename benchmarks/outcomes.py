"""`python -m benchmarks.outcomes`: what twins, statistics and distinct lists cost stage A.

Stage A of the reference sweep on one thread, in turns: with distinct outcomes, and with every
variant standing for itself (signed and counted as well). `--against DIR…` adds other checkouts, the
first of which all are compared with: so a change is measured against what was there before. Seconds
are those of the processor, which a busy machine disturbs less than those of the clock.
"""

import argparse
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.workload import reference_request, year
from engine.sweep import Sweep

HERE = Path(__file__).parents[1]
DISTINCT, APART = "distinct outcomes", "every variant for itself"


class Contestant:
    """A process that runs stage A of one checkout when it is asked."""

    def __init__(self, name: str, checkout: Path, *options: str) -> None:
        self.name = name
        # The program is this file; what it imports is the checkout's.
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--serve", *options],
            cwd=checkout,
            env={"PYTHONPATH": str(checkout), "HOME": str(Path.home())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self) -> float:
        """Return the seconds of one stage A and of reading its list."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> int:
    """Print the table; with `--serve` only run stage A for each line that is read."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outcomes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--against", type=Path, nargs="+", default=[], help="other checkouts")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(quick=options.quick, apart=options.apart)
        return 0
    size = ["--quick"] if options.quick else []
    contestants = [Contestant(DISTINCT, HERE, *size), Contestant(APART, HERE, "--apart", *size)]
    others = [Contestant(path.name, path.resolve(), *size) for path in options.against]
    contestants = [*others, *contestants]
    with ExitStack() as stack:
        for each in contestants:
            stack.callback(each.close)
        rounds = [_turn(contestants, number) for number in range(options.rounds)]
    first = contestants[0].name
    print(f"stage A of the reference sweep, one thread, {options.rounds} rounds")
    print(f"{'':<28}{'median s':>10}{'least s':>10}   median of ratios to {first}")
    for each in contestants:
        seconds = [turn[each.name] for turn in rounds]
        ratio = median(turn[each.name] / turn[first] for turn in rounds)
        print(f"{each.name:<28}{median(seconds):>10.3f}{min(seconds):>10.3f}{ratio:>10.3f}")
    return 0


def _turn(contestants: list[Contestant], number: int) -> dict[str, float]:
    order = contestants if number % 2 == 0 else contestants[::-1]
    return {each.name: each.run() for each in order}


def _serve(*, quick: bool, apart: bool) -> None:
    request = reference_request(quick=quick)
    if apart:
        request = replace(request, ranking=replace(request.ranking, distinct=False))
    sweep = Sweep(request, year())
    _seconds(sweep)  # compiles, and makes the planes
    for _ in sys.stdin:
        print(_seconds(sweep), flush=True)


def _seconds(sweep: Sweep) -> float:
    begin = time.thread_time()
    *_, batch = sweep.stage_a()
    batch.top.indexes()
    batch.top.scores()
    return time.thread_time() - begin


if __name__ == "__main__":
    sys.exit(main())
