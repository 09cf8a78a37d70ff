"""Stores that commands look at: the same instruments in a folder, and on a ClickHouse server."""

from collections.abc import Iterator

import numpy as np
import pytest

from configs.environment import CandlesFolder, ClickHouseServer
from storage.candles import Bars, CandleStore, ImportedFile, Known

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_704_067_200_000  # 2024-01-01, a Monday
HOURS = Known(timeframe_ms=HOUR, sessions=True, original="aapl.us")
CURRENCY = Known(timeframe_ms=DAY, sessions=True, has_volume=False, original="EUR/USD")
FILES = [
    ImportedFile("btc-2024-01.csv", "1a2b3c4d" * 8, 4_000),
    ImportedFile("btc-2024-02.csv", "5e6f7a8b" * 8, 1_760),
]


def minutes(count: int = 4 * 1440, first: int = 0) -> Bars:
    """Bars whose prices tell their number: they rise by a cent each."""
    return bars_at(START + (np.arange(count, dtype=np.int64) + first) * MINUTE, first)


def bars_at(ts_open: np.ndarray, first: int = 0) -> Bars:
    price = 100 + (np.arange(len(ts_open)) + first) / 100
    return Bars(ts_open, price, price + 0.5, price - 0.5, price + 0.25, np.full(len(price), 2.5))


def without(bars: Bars, *stretches: tuple[int, int]) -> Bars:
    """Take bars away by their numbers, from the first of a stretch to before its end."""
    kept = np.ones(len(bars), np.bool_)
    for first, end in stretches:
        kept[first:end] = False
    return bars.take(kept)


def stock(weeks: int = 10) -> Iterator[int]:
    """Opens of hours from 14:00 to 20:00 on working days."""
    for day in range(7 * weeks):
        if day % 7 < 5:
            yield from (START + day * DAY + hour * HOUR for hour in range(14, 20))


def name_store(source: CandlesFolder | ClickHouseServer, patch: pytest.MonkeyPatch) -> None:
    """Let the environment name a store."""
    if isinstance(source, CandlesFolder):
        patch.setenv("ROEHUB_CANDLES_DIR", str(source.path))
        return
    patch.setenv("CH_HOST", source.host)
    patch.setenv("CH_PORT", str(source.port))
    patch.setenv("CH_DATABASE", source.database)
    patch.setenv("CH_USER", source.user)
    patch.setenv("CH_PASSWORD", source.password)


def fill(store: CandleStore) -> None:
    """Put in minutes with two gaps, a stock with half a day missing, days of a currency."""
    gappy = without(minutes(), (100, 130), (2_000, 3_440))
    store.append(1, "BTCUSDT", [gappy], known=Known(original="BTC/USDT"), files=FILES)
    opens = [at for at in stock() if not 0 <= at - START - 29 * DAY - 17 * HOUR < 12 * HOUR]
    store.append(2, "AAPL", [bars_at(np.array(opens, np.int64))], known=HOURS)
    days = [START + day * DAY for day in range(60) if day % 7 < 5]
    store.append(3, "EURUSD", [bars_at(np.array(days, np.int64))], known=CURRENCY)
