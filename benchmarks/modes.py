"""What each way of trading costs beside the default, on the same signals in the same run."""

from collections.abc import Callable
from typing import Any

from benchmarks import vectorbt_peers
from benchmarks.ours import Engine
from benchmarks.peers import available, prove_parity
from benchmarks.timing import take_turns
from benchmarks.verdicts import Verdicts
from benchmarks.workload import RULES, Crossings
from engine.candles import Candles
from engine.kernels.rules import SIZINGS

CALLS = 20  # of a kernel in a turn
NEXT_OPEN, INTRABAR = "next open", "intrabar stops"
PERCENT, BY_RISK, LEVERAGE, CARRY = "percent", "risk per trade", "leverage", "carry"
INSIDE: dict[str, Any] = {"inside": True}
LEVERED: dict[str, Any] = {"leverage": 10.0}
# The rules that are not the default.
MODES: dict[str, dict[str, Any]] = {
    "state, closes": {},
    NEXT_OPEN: {"next_open": True},
    INTRABAR: INSIDE,
    "next open, intrabar": INSIDE | {"next_open": True},
    "hold": {"hold": True},
    "hold, all of it": INSIDE | {"next_open": True, "hold": True},
    "pause of 10 bars": {"pause": 10},
    PERCENT: {"sizing": SIZINGS.index("percent"), "percent": 0.5},
    BY_RISK: {"sizing": SIZINGS.index("risk_per_trade"), "risk": 0.001, "stop": 0.02},
    LEVERAGE: LEVERED,
    "leverage, intrabar": LEVERED | INSIDE,
    "leverage, hold": LEVERED | {"hold": True},
    CARRY: {"funding": 0.0001, "borrow": 0.05},
    "all of it": LEVERED | INSIDE | {"next_open": True, "hold": True, "funding": 0.0001},
}
# More than these ratios to the first, and a way of trading is slower than it was made to be.
STAGE_A_AT_MOST = {NEXT_OPEN: 1.05, "hold": 1.6}
STAGE_B_AT_MOST = {INTRABAR: 2.0}


def compare_modes(work: Crossings, candles: Candles, repeats: int, verdicts: Verdicts) -> None:
    """Time both stages of every mode in turns, and print the table (one thread)."""
    traded = slice(candles.first, None)
    prices = candles.open[traded], candles.high[traded], candles.low[traded]
    engines = {
        name: Engine(work, RULES._replace(**changed), candles, listed=False)
        for name, changed in MODES.items()
    }
    runs: list[tuple[str, Callable[[], Any]]] = []
    for name, engine in engines.items():
        runs.append((f"A {name}", _calls(engine.stage_a)))
        runs.append((f"B {name}", _calls(engine.stage_b)))
    few = work.part(max(1, work.variants // 5))
    rivals = {
        f"A {NEXT_OPEN}": available([lambda: vectorbt_peers.next_opens(few, prices[0])]),
        f"B {INTRABAR}": available([lambda: vectorbt_peers.risk_inside(work, prices)]),
    }
    returns = Engine(few, RULES._replace(next_open=True), candles).stage_a()
    for peer in rivals[f"A {NEXT_OPEN}"]:
        prove_parity(returns, peer)
    runs += [(f"{at} {p.name}", p.run) for at, those in rivals.items() for p in those]
    times = take_turns(runs, repeats)
    print("\nways of trading the same signals, none of which is better than a list (one thread)")
    combinations = next(iter(engines.values())).expanded
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
    for at, those in rivals.items():
        ours = times[at].best / CALLS / (engines[at[2:]].scored if at[0] == "A" else combinations)
        for peer in those:
            cost = times[f"{at} {peer.name}"].best / peer.variants
            print(f"  {at}, {peer.name:<40} {1e6 * cost:10.1f} µs {cost / ours:10,.0f} x")


def _calls(run: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: [run() for _ in range(CALLS)]
