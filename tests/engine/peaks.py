"""A process that measures sweeps: `python -m tests.engine.peaks`, one JSON line in, one out.

Every sweep runs in a child forked from this process, which holds the compiled engine and nothing
else, so that the peak above what the child was born with is the sweep's own. Linux only.
"""

import json
import sys
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.memory import apart, peak_resident, resident_now
from engine.candles import Candles
from engine.grid import estimate
from engine.ready import preload
from engine.report import reports
from engine.request import parse
from engine.sweep import Sweep
from engine.synthetic import bars
from engine.timeframes import TIMEFRAMES
from engine.validation.search import ask
from engine.validation.split import Split


def candles_of(case: dict[str, Any]) -> Candles:
    """Return a random walk; or closes that go up and down in turns, which is a run on every bar."""
    walk = bars(7, case["bars"], TIMEFRAMES[case["timeframe"]], warmup_bars=case["warmup"])
    if not case["zigzag"]:
        return walk
    close = 100.0 + 1e-6 * (np.arange(len(walk.close)) % 2)  # nobody is ruined
    return replace(walk, open=close, high=close + 1, low=close - 1, close=close)


def measure(case: dict[str, Any]) -> tuple[int, int]:
    """Return the estimate of a request and the peak of its sweep, in bytes.

    Stage B ends after `batches`: its pieces are alike, and the largest grids take minutes.
    """
    request = parse(case["document"])
    born = resident_now()
    candles = candles_of(case)
    resident_now()  # making the candles is no part of a sweep, holding them is
    split = Split.of(request, candles)
    seen = candles if split is None else split.train
    sweep = Sweep(request, seen, threads=case["threads"])
    test = None if split is None else Sweep(request, split.test)
    *_, best = sweep.stage_a()
    *_, best = islice(sweep.stage_b(best.top.indexes()), case["batches"])
    if split is not None:
        ask(sweep, best.top, lambda *_: None, threads=case["threads"])
    for _ in reports(sweep, best.top.indexes()[:3], top_trades_n=0, result_bytes=0, test=test):
        pass
    peak = peak_resident() - born
    return estimate(request, candles.traded_bars, threads=case["threads"]).bytes, peak


if __name__ == "__main__":
    preload()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(apart(measure, json.loads(line))) + "\n")
        sys.stdout.flush()
