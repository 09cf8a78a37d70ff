"""What signals ask for, whatever the money says. Rules 1 to 6 of the simulator.

1. The signal of a bar is +1 (all entry blocks LONG), -1 (all SHORT) or 0. The bar before the
   first counts as 0.
2. In long-only mode nothing opens short, in short-only mode nothing long. The forbidden signal
   still closes a position.
3. State: +1 wants to be long, -1 short, 0 flat, where a forbidden signal counts as 0. A position
   closes when the signal is not its direction.
4. State: a position may open on an edge: a signal that is not 0 and differs from the bar before's.
5. Hold: what was opened is held through 0. A long closes on a bar with a reset of longs (an exit
   block says SHORT, or the signal is -1), a short on one with a reset of shorts (an exit block
   says LONG, or the signal is +1).
6. Hold: a position may open on an edge that is allowed, and on whose bar its own direction is not
   reset. An edge on a reset is lost.
"""

from collections.abc import Sequence

from tests.engine.simulated_terms import LONG, NEUTRAL, SHORT


def allowed(signal: int, direction_mode: str) -> int:
    """Return the signal as the direction mode lets it count (rule 2)."""
    if direction_mode == "long-only" and signal == SHORT:
        return NEUTRAL
    if direction_mode == "short-only" and signal == LONG:
        return NEUTRAL
    return signal


class StateSignals:
    """Rules 3 and 4."""

    def __init__(self, signals: Sequence[int], direction_mode: str) -> None:
        self.signals = [allowed(signal, direction_mode) for signal in signals]

    def closes(self, bar: int, direction: int) -> bool:
        return self.signals[bar] != direction

    def opens(self, bar: int) -> int:
        """Return the direction in which a position may open, or NEUTRAL."""
        before = self.signals[bar - 1] if bar > 0 else NEUTRAL
        return NEUTRAL if self.signals[bar] == before else self.signals[bar]


class HoldSignals:
    """Rules 5 and 6; `exits[bar]` says whether any exit block is LONG and whether any is SHORT."""

    def __init__(
        self, signals: Sequence[int], exits: Sequence[tuple[bool, bool]], direction_mode: str
    ) -> None:
        self.signals, self.exits, self.direction_mode = signals, exits, direction_mode

    def closes(self, bar: int, direction: int) -> bool:
        exit_long, exit_short = self.exits[bar]
        if direction == LONG:
            return exit_short or self.signals[bar] == SHORT
        return exit_long or self.signals[bar] == LONG

    def opens(self, bar: int) -> int:
        before = self.signals[bar - 1] if bar > 0 else NEUTRAL
        wanted = allowed(self.signals[bar], self.direction_mode)
        if wanted in (before, NEUTRAL) or self.closes(bar, wanted):
            return NEUTRAL
        return wanted
