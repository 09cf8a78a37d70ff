"""Markets that close: opens and prices of a stock's hours and of currency's days, and a reader."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from engine.synthetic import Minutes
from engine.timeframes import TIMEFRAMES

HOUR, DAY = TIMEFRAMES["1h"], TIMEFRAMES["1d"]
NEW_YORK = ZoneInfo("America/New_York")


def ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1000


def stock_hours(first: tuple[int, int, int], last: tuple[int, int, int]) -> list[int]:
    """Full hours from 10:00 to 15:00 in New York on working days: its clock changes, UTC's not."""
    opens, day = [], datetime(*first, tzinfo=NEW_YORK)
    while day <= datetime(*last, tzinfo=NEW_YORK):
        if day.weekday() < 5:
            opens += [int(day.replace(hour=hour).timestamp()) * 1000 for hour in range(10, 16)]
        day += timedelta(days=1)
    return opens


def working_days(first_ms: int, last_ms: int) -> list[int]:
    """Days from Monday to Friday."""
    return [
        at
        for at in range(first_ms, last_ms + 1, DAY)
        if datetime.fromtimestamp(at / 1000, UTC).weekday() < 5
    ]


def priced(opens: list[int], seed: int = 1, *, gaps: float = 0.0) -> Minutes:
    """Bars that open at these times, of a random walk in cents.

    They open at the close before, or about `gaps` of it away.
    """
    random = np.random.default_rng(seed)
    closes = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, len(opens)))), 2)
    before = np.concatenate(([100.0], closes[:-1]))
    if gaps:
        before = np.round(before * np.exp(random.normal(0, gaps, len(opens))), 2)
    high = np.round(np.maximum(before, closes) * 1.002, 2)
    low = np.round(np.minimum(before, closes) * 0.998, 2)
    volume = np.round(random.exponential(1_000, len(opens)))
    return Minutes(np.array(opens, np.int64), before, high, low, closes, volume)


def reading(bars: Minutes) -> Callable[..., Minutes]:
    """What `load` calls; bars are asked for as long as they are."""

    def read(_market: int, _symbol: str, from_ms: int, to_ms: int, _step: int) -> Minutes:
        kept = (bars.ts_open >= from_ms) & (bars.ts_open < to_ms)
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        return Minutes(bars.ts_open[kept], *(column[kept] for column in columns))

    return read
