"""How much history a value takes, measured on the kernels themselves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import synthetic
from engine.candles import Candles
from engine.indicators.compute import compute
from engine.indicators.lookback import (
    Lookback,
    defined_after,
    ema,
    fading,
    settled_after,
    wilder,
)
from engine.indicators.registry import (
    FAMILIES,
    DeclarationError,
    Indicator,
    Output,
    Param,
)
from tests.engine.indicators.samples import IDS, OUTPUTS, named, parameter_rows

WINDOWS = (1.0, 2.0, 3.0, 8.0, 21.0)
COLUMNS = ("open", "high", "low", "close", "volume")
NO_DELAY = {"long_delta_periods": 0.0, "short_delta_periods": 0.0}

CONVENTIONS = {
    "trend.psar-psar",
    "trend.supertrend-supertrend",
    "structure.pivots-last_pivot",
    "volume.obv-value",
    "volume.ad_line-value",
}
"""Outputs that never forget by a known weight; what is promised of each is tested by name."""

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


def first(candles: Candles, bars: int) -> Candles:
    names = ("ts_open", *COLUMNS)
    return replace(candles, **{name: getattr(candles, name)[:bars] for name in names})


def calmer_after(before: int, bars: int, seed: int) -> Candles:
    """Random bars of which the first ones move three times as much."""
    candles = random_bars(before + bars, seed)
    anchor = np.log(candles.close[before - 1])
    columns = {}
    for name in ("open", "high", "low", "close"):
        level = np.log(getattr(candles, name))
        level[:before] = anchor + 3.0 * (level[:before] - anchor)
        columns[name] = np.exp(level)
    return replace(candles, **columns)


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
            first = next(
                t for t in range(17, 120) if np.isfinite([x[t - long], x[t - short]]).all()
            )
            after = defined_after(indicator, output, named(indicator, row), signals)
            assert max(17, after) == first


@pytest.mark.parametrize("alpha", [2 / 3, 0.5, 0.33, 0.1, 1 / 14, 2 / 201, (2 / 31) ** 2, 1 / 120])
def test_a_seed_has_faded_after_as_many_steps_as_its_weight_takes_to_a_thousandth(
    alpha: float,
) -> None:
    weight, steps = 1.0, 0
    while weight > 1e-3:
        weight += (0.0 - weight) * alpha
        steps += 1
    assert fading(alpha) == steps


def test_an_average_of_one_bar_has_nothing_to_forget() -> None:
    assert (fading(1.0), ema(1), wilder(1)) == (0, 0, 0)


@pytest.mark.parametrize("id_", [id_ for id_ in IDS if id_ not in CONVENTIONS])
def test_a_settled_value_hardly_depends_on_where_the_candles_begin(id_: str) -> None:
    """Within 2 thousandths of all it has been, after three times the moves before.

    A stochastic magnifies that: the RSI moves little within k bars. A value without recursive
    stages depends on its window alone: the rest is rounding.
    """
    indicator, output = by_id[id_]
    for row in rows_of(indicator, output, (14.0, 21.0)):
        params = named(indicator, row)
        if 2 in params.values():  # the RSI of so few bars is often exactly 0 or 100: no range
            continue
        settled = settled_after(indicator, output, params, NO_DELAY)
        recursive = settled > defined_after(indicator, output, params, NO_DELAY)
        for seed in (4, 5, 6):
            candles = calmer_after(600, settled + 1, seed)
            whole = values_of(indicator, output, candles, row)
            part = values_of(indicator, output, last(candles, settled + 1), row)
            spread = np.nanmax(whole) - np.nanmin(whole)
            allowed = (2e-3 if recursive else 1e-12) * spread
            allowed *= 10.0 if indicator.id == "momentum.stoch_rsi" else 1.0
            assert abs(part[-1] - whole[-1]) <= allowed, params


SETTLED = {
    ("ma.sma-ma", "window=200"): 199,
    ("ma.ema-ma", "window=200"): 199 + 691,
    ("ma.rma-ma", "window=200"): 199 + 1379,
    ("ma.dema-ma", "window=200"): 398 + 2 * 691,
    ("ma.tema-ma", "window=200"): 597 + 3 * 691,
    ("ma.kama-ma", "window=200"): 200 + 1657,
    ("ma.hma-ma", "window=200"): 199 + 13,
    ("ma.zlema-ma", "window=200"): 99 + 199 + 691,
    ("ma.cross-diff", "ma=ema fast=50 slow=200"): 199 + 691,
    ("ma.cross-diff", "ma=wma fast=50 slow=200"): 199,
    ("momentum.rsi-rsi", "window=120"): 120 + 826,
    ("momentum.macd-line", "fast=24 slow=50"): 49 + 173,
    ("momentum.macd-hist", "fast=24 slow=50 signal=20"): 49 + 19 + 173 + 70,
    ("momentum.trix-hist", "window=120 signal=20"): 358 + 19 + 3 * 415 + 70,
    ("momentum.stoch_rsi-d", "rsi=120 k=97 smoothing=10 d=10"): 120 + 96 + 9 + 9 + 826,
    ("momentum.fisher-fisher", "window=120"): 119 + 18 + 10,
    ("structure.distance_to_ma-distance", "window=120"): 120 + 826,
    ("structure.pivots-last_pivot", "left=20 right=20"): 410,
    ("trend.adx-adx", "window=120 smoothing=50"): 120 + 49 + 826 + 342,
    ("trend.ichimoku-span_a", "conversion=20 base=40 displacement=40"): 79,
    ("trend.keltner-middle", "window=120"): 120 + 415,
    ("trend.keltner-upper", "window=120 mult=4"): 120 + 826,
    ("trend.psar-psar", "accel_start=0.01 accel_step=0.01 accel_max=0.1"): 300,
    ("trend.supertrend-supertrend", "window=120 mult=4"): 120 + 826,
    ("volatility.atr-value", "window=120"): 120 + 826,
}


@pytest.mark.parametrize(("id_", "written"), SETTLED, ids=lambda part: str(part))
def test_the_stages_of_a_value_add_up(id_: str, written: str) -> None:
    params = dict(each.split("=") for each in written.split())
    params = {name: float(v) if name != "ma" else v for name, v in params.items()}
    assert settled_after(*by_id[id_], params, NO_DELAY) == SETTLED[id_, written]


@pytest.mark.parametrize("id_", ["volume.obv-value", "volume.ad_line-value"])
def test_of_a_running_total_only_the_difference_counts(id_: str) -> None:
    indicator, output = by_id[id_]
    signals = {"long_delta_periods": 5.0, "short_delta_periods": 20.0}
    bars = settled_after(indicator, output, {}, signals)
    assert bars == 20
    candles = random_bars(300)
    whole = values_of(indicator, output, candles, np.empty(0))
    part = values_of(indicator, output, last(candles, bars + 1), np.empty(0))
    for periods in (5, 20):
        assert part[-1] - part[-1 - periods] == pytest.approx(whole[-1] - whole[-1 - periods])


@pytest.mark.parametrize(
    ("id_", "values"),
    [
        ("trend.psar-psar", [0.01, 0.01, 0.1]),
        ("trend.psar-psar", [0.05, 0.05, 0.4]),
        ("trend.supertrend-supertrend", [5.0, 0.5]),
        ("trend.supertrend-supertrend", [21.0, 2.0]),
        ("structure.pivots-last_pivot", [2.0, 2.0]),
        ("structure.pivots-last_pivot", [20.0, 20.0]),
    ],
)
def test_a_state_that_turns_is_nearly_always_that_of_the_whole_history(
    id_: str, values: list[float]
) -> None:
    indicator, output = by_id[id_]
    row = np.array(values)
    bars = settled_after(indicator, output, named(indicator, row), {}) + 1
    candles = random_bars(5_000, seed=12)
    whole = values_of(indicator, output, candles, row)
    same = 0
    for stop in range(1_500, 5_000, 35):
        part = values_of(indicator, output, last(first(candles, stop), bars), row)
        same += abs(part[-1] - whole[stop - 1]) <= 1e-3 * abs(whole[stop - 1])
    assert same >= 97


@pytest.mark.parametrize("id_", IDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_lookback_never_falls_when_a_parameter_rises(id_: str, data: st.DataObject) -> None:
    indicator, output = by_id[id_]
    low, high = {}, {}
    for param in indicator.params:
        if param.kind == "choice":
            low[param.name] = high[param.name] = data.draw(st.sampled_from(param.choices))
        else:
            values = st.integers(int(param.filler), 300) if param.kind == "int" else st.floats(0, 1)
            low[param.name], high[param.name] = sorted(data.draw(st.tuples(values, values)))
    signals = dict.fromkeys(indicator.signal_params, 1.0)
    later = dict.fromkeys(indicator.signal_params, 7.0)
    for measure in (defined_after, settled_after):
        assert (
            0 <= measure(indicator, output, low, signals) <= measure(indicator, output, high, later)
        )
    assert defined_after(indicator, output, low, signals) <= settled_after(
        indicator, output, low, signals
    )


def foreign(lookback: Lookback | None, rule: str = "sign") -> Indicator:
    return Indicator(
        id="acme.value",
        inputs=("source",),
        params=(Param("window", "int", 2), Param("lag", "int", 1), Param("share", "float", 0.1)),
        outputs=(Output("value", rule, ("window", "share"), lookback=lookback),),
        kernel="acme:value",
        description="",
        formula="",
    )


def test_every_output_of_ours_declares_its_lookback() -> None:
    ours = [output for i, output in OUTPUTS if i.id.split(".")[0] in FAMILIES]
    assert all(output.lookback is not None for output in ours)


def test_an_output_without_a_declared_lookback_gets_a_safe_one() -> None:
    indicator = foreign(None)
    params = {"window": 50.0, "lag": 9.0, "share": 0.5}
    assert defined_after(indicator, indicator.output(), params, {}) == 50
    assert settled_after(indicator, indicator.output(), params, {}) == 8 * 50
    few = {"window": 3.0, "lag": 9.0, "share": 0.5}
    assert settled_after(indicator, indicator.output(), few, {}) == 200
    delta = foreign(None, "delta_sign")
    signals = {"long_delta_periods": 5.0, "short_delta_periods": 20.0}
    assert defined_after(delta, delta.output(), params, signals) == 70
    assert settled_after(delta, delta.output(), params, signals) == 420


@pytest.mark.parametrize(
    ("lookback", "message"),
    [
        (Lookback(lambda windw: windw), "the lookback of value fails"),
        (Lookback(lambda window, **_: window / 2), "must be whole numbers of bars"),
        (Lookback(lambda window, **_: window - 9), "must be whole numbers of bars"),
        (Lookback(lambda **_: 0, lambda **_: 1 // 0), "the lookback of value fails"),
    ],
)
def test_a_lookback_that_cannot_be_computed_is_refused(lookback: Lookback, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        foreign(lookback)
