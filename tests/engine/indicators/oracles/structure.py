"""Structure of candles and prices."""

from collections.abc import Callable

from tests.engine.indicators.oracles.series import Floats

ORACLES: dict[str, Callable[..., Floats]] = {}

SLOW: frozenset[str] = frozenset()
