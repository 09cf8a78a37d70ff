"""What the simulator's cases by hand are written in: few bars, few signs, money of 1000."""

from typing import Any

import pytest

from tests.engine.simulated_terms import FOUR_HOURS, OFF
from tests.engine.simulator import Execution, Prices, RiskLevels, Run, simulate

Bar = float | tuple[float, float, float, float]  # one price, or open, high, low, close


def bars(*rows: Bar) -> Prices:
    """Return bars of four hours from the epoch: bar 0 is 00:00 to 04:00, bar 1 04:00 to 08:00."""
    whole = [row if isinstance(row, tuple) else (row, row, row, row) for row in rows]
    assert all(low <= min(o, c) and max(o, c) <= high for o, high, low, c in whole)
    return Prices(
        *([row[part] for row in whole] for part in range(4)),
        open_ms=[bar * FOUR_HOURS for bar in range(len(rows))],
        close_ms=[(bar + 1) * FOUR_HOURS for bar in range(len(rows))],
    )


def signs(text: str, meant: dict[str, Any]) -> list[Any]:
    return [meant[sign] for sign in text]


def play(
    signals: str, *rows: Bar, risk: RiskLevels = OFF, exits: str | None = None, **rules: Any
) -> Run:
    """Simulate signals like `L.S` and exits like `L.SB` (B is both) with a cash of 1000."""
    prices = bars(*rows)
    both = {"L": (True, False), "S": (False, True), "B": (True, True), ".": (False, False)}
    return simulate(
        signs(signals, {"L": 1, "S": -1, ".": 0}),
        prices.close,
        Execution(**{"init_cash": 1000.0, **rules}),
        risk,
        prices,
        None if exits is None else signs(exits, both),
    )


def told(run: Run) -> list[tuple[str, int, int, str]]:
    return [
        ("long" if t.direction == 1 else "short", t.entry_bar, t.exit_bar, t.reason)
        for t in run.trades
    ]


def fills(run: Run) -> list[tuple[float, float]]:
    return [(t.entry_fill, t.exit_fill) for t in run.trades]


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=1e-12)
