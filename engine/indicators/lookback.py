"""How much history a value takes: bars until it is defined, and until its seed has faded.

An output declares both as functions of its parameters, `Lookback`. A recursive stage, an average
that feeds on its own last value, never forgets what it began with: it counts as settled when the
weight of its seed has faded to `FADED`. Stages that follow each other add up; of stages side by
side the longest counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.indicators.declaration import Indicator, Output

FADED = 1e-3
"""Weight of a seed that no longer matters."""

UNDECLARED_FACTOR = 8
"""A Wilder average of window w is settled after less than 8 w bars."""

UNDECLARED_LEAST = 200
"""Bars that an output gets at least when it declares no lookback."""


@dataclass(frozen=True, slots=True)
class Lookback:
    """The history of one output; both functions take its parameters by name.

    defined: bars before the first one with a value. settling: further bars until the seeds of its
    recursive stages have faded. Neither may fall when a parameter rises: the warm-up of a grid is
    found at the largest values of its axes. A choice comes as its name, in no order.
    """

    defined: Callable[..., int] = lambda **_: 0
    settling: Callable[..., int] = lambda **_: 0


def defined_after(
    indicator: "Indicator",
    output: "Output",
    params: Mapping[str, float | str],
    signals: Mapping[str, float],
) -> int:
    """Return how many bars come before the first one with a value that its rule can read.

    `params` holds at least the parameters of the output, `signals` those of its rule: a rule that
    looks N bars back adds N. An output without a declared lookback is taken to be defined after as
    many bars as its whole-numbered parameters add up to.
    """
    own = _own(indicator, output, params)
    if output.lookback is None:
        return _whole(own) + _delay(output, signals)
    return output.lookback.defined(**own) + _delay(output, signals)


def settled_after(
    indicator: "Indicator",
    output: "Output",
    params: Mapping[str, float | str],
    signals: Mapping[str, float],
) -> int:
    """Return after how many bars the value no longer depends on where the candles begin.

    As `defined_after`, with the settling of recursive stages. Without a declared lookback it is
    `UNDECLARED_FACTOR` times the sum of the whole-numbered parameters, at least `UNDECLARED_LEAST`.
    """
    own = _own(indicator, output, params)
    if output.lookback is None:
        bars = max(UNDECLARED_FACTOR * _whole(own), UNDECLARED_LEAST)
    else:
        bars = output.lookback.defined(**own) + output.lookback.settling(**own)
    return bars + _delay(output, signals)


def fading(alpha: float) -> int:
    """Return after how many steps e += alpha * (x - e) has forgotten its seed."""
    return 0 if alpha >= 1.0 else ceil(log(FADED) / log(1.0 - alpha))


def ema(window: int) -> int:
    """Return the settling of an exponential average."""
    return fading(2.0 / (window + 1.0))


def wilder(window: int) -> int:
    """Return the settling of Wilder's average."""
    return fading(1.0 / window)


WINDOW = Lookback(lambda window, **_: window - 1)
"""A window that ends at the bar."""

FROM_BAR_1 = Lookback(lambda window, **_: window)
"""A window of changes from bar to bar, or a value of `window` bars ago."""

FROM_BAR_1_WILDER = Lookback(lambda window, **_: window, lambda window, **_: wilder(window))
"""Wilder's average of what starts on bar 1, such as the true range, and nothing slower."""


def _own(
    indicator: "Indicator", output: "Output", params: Mapping[str, float | str]
) -> dict[str, int | float | str]:
    """Return the parameters of the output, whole ones as int."""
    return {
        param.name: int(params[param.name]) if param.kind == "int" else params[param.name]
        for param in indicator.params
        if param.name in output.params
    }


def _whole(own: Mapping[str, int | float | str]) -> int:
    return sum(value for value in own.values() if isinstance(value, int))


def _delay(output: "Output", signals: Mapping[str, float]) -> int:
    """Return how many bars the rule of the output looks back."""
    return int(max(signals.values())) if output.rule == "delta_sign" else 0
