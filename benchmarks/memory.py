"""`python -m benchmarks.memory`: what a sweep keeps in memory, estimated and measured.

Each sweep runs in a child forked from a process that holds the compiled engine, as a job does; its
peak is counted above what it had at its birth. Linux only.
"""

import argparse
import ctypes
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.grids import explicit, rsi, sma, steps
from benchmarks.workload import RESULT_BYTES, WARMUP_BARS, request_of, year
from engine.candles import Candles
from engine.grid import Grid, estimate
from engine.ready import preload
from engine.report import reports
from engine.request import Request
from engine.sweep import Sweep
from engine.synthetic import bars

MIB = 2**20
YEAR_OF_MINUTES = 525_600


@dataclass(frozen=True)
class Case:
    """One sweep: numbers of SMA windows, RSI windows and long thresholds (short ones: 2)."""

    name: str
    sma: int
    rsi: int
    thresholds: int
    threads: int
    timeframe: str = "15m"
    preselect: int = 20_000

    def request(self) -> Request:
        """Return the sweep as a request."""
        longs = steps(55, 54 + self.thresholds)
        return request_of(
            [
                sma(steps(5, 4 + self.sma)),
                rsi(steps(3, 2 + self.rsi), longs, explicit((30, 40))),
            ],
            timeframe=self.timeframe,
            preselect=self.preselect,
            min_trades=100,
        )

    def candles(self) -> Candles:
        """Return the bars it sweeps."""
        if self.timeframe == "15m":
            return year()
        return bars(7, YEAR_OF_MINUTES, 60_000, warmup_bars=WARMUP_BARS)


CASES = (
    Case("10^5 variants", 40, 100, 13, 1),
    Case("10^5 variants", 40, 100, 13, 2),
    Case("10^6 variants", 196, 100, 26, 1),
    Case("10^6 variants", 196, 100, 26, 2),
    Case("10^7 variants", 500, 200, 50, 1),
    Case("10^7 variants", 500, 200, 50, 2),
    Case("a year of minutes", 30, 20, 25, 2, timeframe="1m", preselect=500),
)


def main() -> int:
    """Print the table; `--quick` leaves out what takes longer than a few seconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10^5 variants only")
    options = parser.parse_args()
    preload()
    print("sweep               threads       stage A      stage B   estimate       peak   estimate")
    print("                                 variants     variants        MiB        MiB     / peak")
    for case in CASES[:2] if options.quick else CASES:
        needed, peak, stage_a, stage_b = apart(_measure, case)
        print(
            f"{case.name:<20}{case.threads:7}{stage_a:14,}{stage_b:13,}"
            f"{needed / MIB:11.1f}{peak / MIB:11.1f}{needed / peak:11.2f}"
        )
    return 0


def _measure(case: Case) -> tuple[int, int, int, int]:
    """Run a sweep to its reports: estimate and peak in bytes, variants of both stages."""
    born = resident_now()
    request, candles = case.request(), case.candles()
    sweep = Sweep(request, candles, threads=case.threads)
    *_, best = sweep.stage_a()
    *_, best = sweep.stage_b(best.top.indexes())
    for _ in reports(sweep, best.top.indexes(), top_trades_n=3, result_bytes=RESULT_BYTES):
        pass
    peak = peak_resident() - born
    needed = estimate(request, candles.traded_bars, threads=case.threads)
    return needed.bytes, peak, Grid.of(request).base_total, needed.stage_b_variants


def resident_now() -> int:
    """Return the bytes that this process has in memory, and let its peak start anew."""
    ctypes.CDLL(None).malloc_trim(0)  # what is free and still held would hide new use of it
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def peak_resident() -> int:
    """Return the most bytes that this process had in memory since `resident_now`."""
    return _resident("VmHWM")


def _resident(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def apart(work: Callable[[Any], Any], case: Any) -> Any:
    """Return what `work` returns for a case, computed in a forked child."""
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=lambda: theirs.send(work(case)))
    child.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        child.join()


if __name__ == "__main__":
    sys.exit(main())
