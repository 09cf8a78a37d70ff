"""Structure: shapes of candles, distances and ranks of prices."""

from engine.indicators.declaration import Indicator

INDICATORS: tuple[Indicator, ...] = ()
