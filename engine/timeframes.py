"""The lengths of bars that a request may ask for."""

from collections.abc import Mapping
from types import MappingProxyType

MINUTE_MS = 60_000

TIMEFRAMES: Mapping[str, int] = MappingProxyType(
    {
        "1m": MINUTE_MS,
        "3m": 3 * MINUTE_MS,
        "5m": 5 * MINUTE_MS,
        "15m": 15 * MINUTE_MS,
        "30m": 30 * MINUTE_MS,
        "1h": 60 * MINUTE_MS,
        "2h": 120 * MINUTE_MS,
        "4h": 240 * MINUTE_MS,
        "6h": 360 * MINUTE_MS,
        "12h": 720 * MINUTE_MS,
        "1d": 1440 * MINUTE_MS,
    }
)
"""Name to length in milliseconds."""
