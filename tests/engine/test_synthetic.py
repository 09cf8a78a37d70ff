"""Synthetic candles: reproducible, possible, and shaped like a market."""

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from engine import synthetic
from engine.timeframes import MINUTE_MS, TIMEFRAMES

YEAR = 365 * 1440


@pytest.fixture(scope="module")
def year() -> synthetic.Minutes:
    return synthetic.minutes(seed=1, count=YEAR)


def returns(minutes: synthetic.Minutes) -> np.ndarray:
    return np.diff(np.log(minutes.close))


def test_a_seed_gives_the_same_candles_every_time() -> None:
    one, two = (synthetic.minutes(seed=3, count=5_000) for _ in range(2))

    for field in fields(synthetic.Minutes):
        assert getattr(one, field.name).tobytes() == getattr(two, field.name).tobytes()


def test_another_seed_gives_other_candles() -> None:
    one, two = (synthetic.minutes(seed=seed, count=5_000, gaps=False) for seed in (3, 4))

    assert not np.array_equal(one.close, two.close)


def test_every_candle_is_possible(year: synthetic.Minutes) -> None:
    assert (year.low > 0).all()
    assert (year.volume > 0).all()
    assert (year.high >= np.maximum(year.open, year.close)).all()
    assert (year.low <= np.minimum(year.open, year.close)).all()


def test_a_year_has_some_gaps_between_its_ends(year: synthetic.Minutes) -> None:
    steps = np.diff(year.ts_open)

    assert (steps % MINUTE_MS == 0).all()
    assert 10 < (steps > MINUTE_MS).sum() < 100
    assert year.ts_open[-1] - year.ts_open[0] == (YEAR - 1) * MINUTE_MS


def test_without_gaps_every_minute_is_there() -> None:
    minutes = synthetic.minutes(seed=1, count=10_000, gaps=False)

    assert (np.diff(minutes.ts_open) == MINUTE_MS).all()


def test_volatility_clusters(year: synthetic.Minutes) -> None:
    size = np.abs(returns(year))

    assert np.corrcoef(size[:-60], size[60:])[0, 1] > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_a_year_moves_like_a_market(seed: int) -> None:
    minutes = synthetic.minutes(seed=seed, count=YEAR)

    assert 0.3 < returns(minutes).std() * np.sqrt(YEAR) < 1.5
    assert 0.05 < minutes.close[-1] / minutes.close[0] < 20


@pytest.mark.parametrize("timeframe", ["1m", "15m", "1d"])
def test_bars_come_gapless_with_their_warm_up(timeframe: str) -> None:
    candles = synthetic.bars(1, 300, TIMEFRAMES[timeframe], warmup_bars=50)

    assert (candles.first, candles.traded_bars) == (50, 300)
    assert candles.ts_open[50] == synthetic.START_MS
    assert (np.diff(candles.ts_open) == TIMEFRAMES[timeframe]).all()


@pytest.mark.parametrize("price", [0.000_02, 1.0, 3e6])
def test_any_price_level_keeps_its_digits(price: float) -> None:
    minutes = synthetic.minutes(seed=1, count=2_000, start_price=price)

    assert len(np.unique(minutes.close)) > 200
    assert 0.5 < minutes.close.min() / price < 2


def test_one_minute_is_possible() -> None:
    assert len(synthetic.minutes(seed=1, count=1).ts_open) == 1


@pytest.mark.parametrize(("start_ms", "count"), [(1, 5), (0, 0)])
def test_impossible_arguments_are_refused(start_ms: int, count: int) -> None:
    with pytest.raises(ValueError, match="whole minute"):
        synthetic.minutes(seed=1, start_ms=start_ms, count=count)


def test_candles_and_store_load_neither_numba_nor_an_engine() -> None:
    code = (
        "import sys, engine.candles, engine.synthetic, storage.candles;"
        "print([m for m in ('numba', 'chdb', 'clickhouse_connect', 'pandas') if m in sys.modules])"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )

    assert loaded.stdout.strip() == "[]"
