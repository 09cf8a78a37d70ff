"""How much history a value takes, measured on the kernels themselves."""

from dataclasses import replace
from math import ceil, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import synthetic
from engine.candles import Candles
from engine.indicators.compute import compute
from engine.indicators.declaration import RULES
from engine.indicators.lookback import (
    UNDECLARED_LEAST,
    Lookback,
    defined_after,
    settled_after,
)
from engine.indicators.registry import (
    FAMILIES,
    DeclarationError,
    Indicator,
    Output,
    Param,
    get,
)
from tests.engine.indicators.samples import IDS, OUTPUTS, named, parameter_rows

WINDOWS = (1.0, 2.0, 3.0, 8.0, 21.0)
COLUMNS = ("open", "high", "low", "close", "volume")
NO_DELAY = {"long_delta_periods": 0.0, "short_delta_periods": 0.0}

CONVENTIONS = {
    "trend.psar-psar": "300 bars: by then it has turned",
    "trend.supertrend-supertrend": "that of its ATR; its trend is as old as the last crossing",
    "structure.pivots-last_pivot": "ten stretches of a pivot's length",
    "volume.obv-value": "only differences are read",
    "volume.ad_line-value": "only differences are read",
}
RECURSIVE = {
    "ma.ema-ma", "ma.rma-ma", "ma.dema-ma", "ma.tema-ma", "ma.kama-ma", "ma.zlema-ma",
    "ma.cross-diff", "momentum.rsi-rsi", "momentum.macd-hist", "momentum.macd-line",
    "momentum.ppo-hist", "momentum.ppo-line", "momentum.trix-trix", "momentum.trix-hist",
    "momentum.stoch_rsi-k", "momentum.stoch_rsi-d", "momentum.fisher-fisher",
    "structure.candle_body_atr-body_atr", "structure.distance_to_ma-distance",
    "trend.adx-di_diff", "trend.adx-adx", "trend.chandelier_exit-long_stop",
    "trend.chandelier_exit-short_stop", "trend.keltner-middle", "trend.keltner-upper",
    "trend.keltner-lower", "volatility.atr-value", "volatility.natr-value",
}  # fmt: skip
WINDOWED = set(IDS) - RECURSIVE - set(CONVENTIONS)

by_id = dict(zip(IDS, OUTPUTS, strict=True))


def rows_of(indicator: Indicator, output: Output, windows: tuple[float, ...] = WINDOWS):
    """Valid parameter rows of these windows."""
    for row in parameter_rows(indicator, output, int(max(windows))):
        whole = [p.kind == "int" and p.name in output.params for p in indicator.params]
        if row[whole].size == 0 or row[whole].max() <= max(windows):
            yield row


def random_bars(bars: int, seed: int = 4) -> Candles:
    return synthetic.bars(seed, bars, 900_000)


def values_of(indicator: Indicator, output: Output, candles: Candles, row: NDArray[np.float64]):
    return compute(indicator, output, candles, None, row[None])[0]


def last(candles: Candles, bars: int) -> Candles:
    names = ("ts_open", *COLUMNS)
    return replace(candles, **{name: getattr(candles, name)[-bars:] for name in names})


@pytest.mark.parametrize("id_", IDS)
def test_the_first_value_stands_where_the_declaration_says(id_: str) -> None:
    indicator, output = by_id[id_]
    candles = random_bars(120)
    for row in rows_of(indicator, output):
        params = named(indicator, row)
        first = int(np.flatnonzero(np.isfinite(values_of(indicator, output, candles, row)))[0])
        assert defined_after(indicator, output, params, NO_DELAY) == first, params


@pytest.mark.parametrize("id_", [id_ for id_ in IDS if by_id[id_][1].rule == "delta_sign"])
def test_a_delta_is_defined_once_both_of_its_bars_are(id_: str) -> None:
    indicator, output = by_id[id_]
    candles = random_bars(120)
    for row in rows_of(indicator, output):
        x = values_of(indicator, output, candles, row)
        for long, short in ((1, 1), (3, 17), (17, 3)):
            signals = {"long_delta_periods": float(long), "short_delta_periods": float(short)}
            both = [t for t in range(17, 120) if np.isfinite([x[t], x[t - long], x[t - short]]).all()]
            after = defined_after(indicator, output, named(indicator, row), signals)
            assert max(17, after) == both[0]
            assert after == defined_after(indicator, output, named(indicator, row), NO_DELAY) + 17 \
                or (long, short) == (1, 1)
