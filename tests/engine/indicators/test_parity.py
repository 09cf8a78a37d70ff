"""Every output of every indicator equals its oracle."""

from types import SimpleNamespace

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from engine import synthetic
from engine.candles import Candles
from engine.indicators.compute import compute, price
from engine.indicators.registry import SOURCES, Indicator, Output, get
from tests.engine.indicators.oracles import ORACLES, SLOW
from tests.engine.indicators.samples import IDS, OUTPUTS, named, parameter_rows, scenarios

YEAR_OF_MINUTES = 525_600

Floats = NDArray[np.float64]


def expected(indicator: Indicator, output: Output, inputs: SimpleNamespace, row: Floats) -> Floats:
    """The oracle on each stretch of bars without a hole, NaN elsewhere."""
    series = [getattr(inputs, name) for name in indicator.inputs]
    finite = np.all(np.isfinite(series), axis=0)
    result = np.full(finite.size, np.nan)
    borders = np.flatnonzero(np.diff(finite, prepend=False, append=False))
    for start, stop in borders.reshape(-1, 2):
        parts = {name: getattr(inputs, name)[start:stop] for name in indicator.inputs}
        oracle = ORACLES[f"{indicator.id}-{output.name}"]
        stretch = SimpleNamespace(**parts)
        result[start:stop] = oracle(stretch, **named(indicator, row))
    return result


def inputs_of(candles: Candles, source: str = "close") -> SimpleNamespace:
    columns = {name: getattr(candles, name) for name in ("open", "high", "low", "close", "volume")}
    return SimpleNamespace(**columns, source=price(candles, source))


def assert_equal(actual: Floats, wanted: Floats, what: str) -> None:
    assert np.array_equal(np.isnan(actual), np.isnan(wanted)), f"{what}: other bars are NaN"
    defined = ~np.isnan(wanted)
    error = np.abs(actual - wanted)[defined] / np.maximum(1.0, np.abs(wanted[defined]))
    assert (error <= 1e-9).all(), f"{what}: off by {error.max()}"


def test_every_output_has_an_oracle() -> None:
    assert set(ORACLES) == set(IDS)


@pytest.mark.parametrize("scenario", scenarios())
@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_an_output_equals_its_oracle(indicator: Indicator, output: Output, scenario: str) -> None:
    candles = scenarios()[scenario]
    rows = parameter_rows(indicator, output, candles.close.size)
    values = compute(indicator, output, candles, None, rows)
    for row, actual in zip(rows, values, strict=True):
        wanted = expected(indicator, output, inputs_of(candles), row)
        assert_equal(actual, wanted, str(named(indicator, row)))


@pytest.fixture(scope="module")
def year() -> Candles:
    return synthetic.bars(3, YEAR_OF_MINUTES, 60_000)


@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_a_year_of_minutes_costs_no_digits(
    indicator: Indicator, output: Output, year: Candles
) -> None:
    row = parameter_rows(indicator, output, YEAR_OF_MINUTES)
    row = row[np.all(row < 100, axis=1)][-1:]
    values = compute(indicator, output, year, None, row)[0]
    if f"{indicator.id}-{output.name}" in SLOW:
        tail = SimpleNamespace(**{k: v[-5_000:] for k, v in vars(inputs_of(year)).items()})
        wanted = expected(indicator, output, tail, row[0])
        assert_equal(values[-4_900:], wanted[-4_900:], str(named(indicator, row[0])))
        return
    wanted = expected(indicator, output, inputs_of(year), row[0])
    assert_equal(values, wanted, str(named(indicator, row[0])))


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_is_the_series_of_its_name(source: str) -> None:
    candles = scenarios()["random walk"]
    o, h, l, c = candles.open, candles.high, candles.low, candles.close  # noqa: E741
    series = {
        "open": o, "high": h, "low": l, "close": c,
        "hl2": (h + l) / 2, "hlc3": (h + l + c) / 3, "ohlc4": (o + h + l + c) / 4,
    }  # fmt: skip
    sma = get("ma.sma")
    values = compute(sma, sma.output(), candles, source, np.array([[5.0]]))
    assert_equal(values[0], talib.SMA(series[source], 5), source)


def test_bollinger_bands_equal_ta_lib_where_that_is_exact_enough() -> None:
    candles = scenarios()["random walk"]
    bbands = get("volatility.bbands")
    wanted = dict(
        zip(("upper", "middle", "lower"), talib.BBANDS(candles.close, 20, 2.5, 2.5), strict=True)
    )
    for name, series in wanted.items():
        row = np.array([[20.0, 2.5]])
        assert_equal(compute(bbands, bbands.output(name), candles, None, row)[0], series, name)
