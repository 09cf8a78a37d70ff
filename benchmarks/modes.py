"""What each way of trading costs beside the default, on the same signals in the same run."""

from collections.abc import Callable
from typing import Any

from benchmarks.ours import Engine
from benchmarks.timing import take_turns
from benchmarks.verdicts import Verdicts
from benchmarks.workload import Crossings
from engine.candles import Candles
from engine.kernels.inputs import Fills

CALLS = 20  # of a kernel in a turn
MODES = {
    "close, close": None,
    "next_open, close": (True, False),
    "close, intrabar": (False, True),
    "next_open, intrabar": (True, True),
}
# More than these ratios to the default, and a way of trading is slower than it was made to be.
STAGE_A_AT_MOST = {"next_open, close": 1.05}
STAGE_B_AT_MOST = {"close, intrabar": 2.0}


def compare_modes(work: Crossings, candles: Candles, repeats: int, verdicts: Verdicts) -> None:
    """Time both stages of every mode in turns, and print the table (one thread)."""
    traded = slice(candles.first, None)
    prices = candles.open[traded], candles.high[traded], candles.low[traded]
    engines = {
        name: Engine(work, None if fills is None else Fills(*prices, *fills))
        for name, fills in MODES.items()
    }
    runs: list[tuple[str, Callable[[], Any]]] = []
    for name, engine in engines.items():
        runs.append((f"A {name}", _calls(engine.stage_a)))
        runs.append((f"B {name}", _calls(engine.stage_b)))
    times = take_turns(runs, repeats)
    print("\nmodes: entry fill, stop fill (one thread)")
    print(f"  {'':<22} {'A, µs':>8} {'ratio':>7} {'B, µs':>8} {'ratio':>7}")
    first = next(iter(MODES))
    for name, engine in engines.items():
        a = times[f"A {name}"].best / CALLS / engine.scored
        b = times[f"B {name}"].best / CALLS / engine.expanded
        ratio_a = times[f"A {name}"].best / times[f"A {first}"].best
        ratio_b = times[f"B {name}"].best / times[f"B {first}"].best
        print(f"  {name:<22} {1e6 * a:>8.3f} {ratio_a:>7.2f} {1e6 * b:>8.3f} {ratio_b:>7.2f}")
        if name in STAGE_A_AT_MOST:
            verdicts.at_most(f"stage A, {name}, x the default", ratio_a, STAGE_A_AT_MOST[name])
        if name in STAGE_B_AT_MOST:
            verdicts.at_most(f"stage B, {name}, x the default", ratio_b, STAGE_B_AT_MOST[name])


def _calls(run: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: [run() for _ in range(CALLS)]
