"""`python -m benchmarks.starts`: what the start of a fork server takes, step by step.

A worker takes jobs once its fork server has imported the engine and has its kernels. Each step is
timed in processes of their own, other checkouts in turns (`--against DIR`), by the time of the
processor, which a busy machine changes least. With `--compile` the kernels are also compiled into
an empty cache, by one process as a container image does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[1]

STEPS = """
import gc, time

def step(name):
    global at
    now = time.process_time()
    print(name, now - at)
    at = now

at = 0.0
step("python")
import numba
step("numpy, numba")
from tasks import preload
gc.disable()
preload.import_all()
step("other imports")
from engine import ready
ready.preload()
step("kernels")
"""
COMPILE = (
    "import time; from engine import ready; ready.preload(); print('compile', time.process_time())"
)


def main() -> None:
    """Print a table: processor seconds of each step, medians, per checkout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="minutes for each checkout")
    chosen = parser.parse_args()
    trees = [*(folder.resolve() for folder in chosen.against), HERE]
    found: dict[Path, dict[str, list[float]]] = {tree: defaultdict(list) for tree in trees}
    for turn in range(chosen.rounds + 1):
        for tree in trees:
            steps = _run(tree, STEPS)
            if turn:  # before that, the cache may have been empty
                _note(found[tree], steps)
    for tree in trees if chosen.compile else ():
        with tempfile.TemporaryDirectory() as empty:
            _note(found[tree], _run(tree, COMPILE, NUMBA_CACHE_DIR=empty))
    for tree in trees:
        middle = {name: median(seconds) for name, seconds in found[tree].items()}
        cells = [f"{name} {seconds:.2f}" for name, seconds in middle.items()]
        total = sum(middle.values()) - middle.get("compile", 0.0)
        print(f"{tree}: {', '.join(cells)}; ready after {total:.2f} s of the processor")


def _note(found: dict[str, list[float]], steps: Mapping[str, float]) -> None:
    for name, seconds in steps.items():
        found[name].append(seconds)


def _run(tree: Path, code: str, **variables: str) -> Mapping[str, float]:
    environ = os.environ | {"PYTHONPATH": str(tree), **variables}
    environ.setdefault("ROEHUB_CANDLES_DIR", tempfile.gettempdir())
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree, env=environ, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    lines = (line.rsplit(" ", 1) for line in ended.stdout.splitlines())
    return {name: float(seconds) for name, seconds in lines}


if __name__ == "__main__":
    main()
