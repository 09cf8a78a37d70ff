"""Trend following."""

from engine.indicators.declaration import Indicator, Output, Param, mult, window
from engine.indicators.default_axes import band, deltas, listed, steps
from engine.indicators.lookback import (
    FROM_BAR_1,
    FROM_BAR_1_WILDER,
    WINDOW,
    Lookback,
    ema,
    wilder,
)

_TREND = "engine.indicators.kernels.trend"
_CHANNELS = "engine.indicators.kernels.channels"
_STOPS = "engine.indicators.kernels.stops"
_HLC = ("high", "low", "close")

INDICATORS = (
    Indicator(
        id="trend.adx",
        inputs=_HLC,
        params=(window(default=steps(5, 120)), window("smoothing", default=steps(5, 50))),
        outputs=(
            Output("di_diff", "sign", ("window",), lookback=FROM_BAR_1_WILDER),
            Output(
                "adx",
                "delta_sign",
                ("window", "smoothing"),
                lookback=Lookback(
                    lambda window, smoothing: window + smoothing - 1,
                    lambda window, smoothing: wilder(window) + wilder(smoothing),
                ),
            ),
        ),
        signals=deltas(1, 5, 20),
        kernel=f"{_TREND}:adx",
        description="Directional movement: +DI - -DI, -100..100, and the strength of the trend.",
        formula="TA-Lib PLUS_DI - MINUS_DI; adx = mean of the first `smoothing` defined DX, then "
        "Wilder's average: TA-Lib ADX where smoothing = window",
    ),
    Indicator(
        id="trend.aroon",
        inputs=("high", "low"),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("osc", "threshold_band", ("window",), lookback=FROM_BAR_1),),
        signals=band(listed(25, 50, 75), listed(-75, -50, -25)),
        kernel=f"{_TREND}:aroon",
        description="By how much the latest high is newer than the latest low, -100..100.",
        formula="TA-Lib AROONOSC: window + 1 bars, the latest of equal extremes counts",
    ),
    Indicator(
        id="trend.chandelier_exit",
        inputs=_HLC,
        params=(window(default=steps(5, 120)), mult(default=steps(0.5, 4.0, 0.5))),
        outputs=(
            Output("long_stop", "price_vs_output", ("window", "mult"), lookback=FROM_BAR_1_WILDER),
            Output("short_stop", "price_vs_output", ("window", "mult"), lookback=FROM_BAR_1_WILDER),
        ),
        kernel=f"{_STOPS}:chandelier_exit",
        description="Stop that hangs mult ATRs below the highest high, or above the lowest low.",
        formula="highest high - mult ATR, lowest low + mult ATR of one window; TA-Lib MAX, MIN, "
        "ATR",
    ),
    Indicator(
        id="trend.donchian",
        inputs=("high", "low"),
        params=(window(default=steps(5, 120)),),
        outputs=(
            Output("middle", "price_vs_output", ("window",), lookback=WINDOW),
            Output("upper", "price_vs_output", ("window",), lookback=WINDOW),
            Output("lower", "price_vs_output", ("window",), lookback=WINDOW),
        ),
        kernel=f"{_CHANNELS}:donchian",
        description="Channel between the highest high and the lowest low.",
        formula="TA-Lib DONCHIAN",
    ),
    Indicator(
        id="trend.ichimoku",
        inputs=_HLC,
        params=(
            window("conversion", default=steps(7, 20)),
            window("base", default=steps(20, 40)),
            window("span_b", default=steps(40, 100)),
            window("displacement", minimum=1, default=steps(20, 40)),
        ),
        outputs=(
            Output(
                "span_a",
                "price_vs_output",
                ("conversion", "base", "displacement"),
                lookback=Lookback(
                    lambda conversion, base, displacement: max(conversion, base) - 1 + displacement
                ),
            ),
            Output(
                "span_b",
                "price_vs_output",
                ("span_b", "displacement"),
                lookback=Lookback(lambda span_b, displacement: span_b - 1 + displacement),
            ),
            Output(
                "tk_diff",
                "sign",
                ("conversion", "base"),
                lookback=Lookback(lambda conversion, base: max(conversion, base) - 1),
            ),
        ),
        kernel=f"{_CHANNELS}:ichimoku",
        description="Cloud of Donchian middles shifted forward, and conversion line - base line.",
        formula="middle(n) = TA-Lib DONCHIAN; span_a = (middle(conversion) + middle(base)) / 2 and "
        "middle(span_b), both as computed exactly `displacement` bars earlier",
    ),
    Indicator(
        id="trend.keltner",
        inputs=_HLC,
        params=(window(default=steps(5, 120)), mult(default=steps(0.5, 4.0, 0.5))),
        outputs=(
            Output(
                "middle",
                "price_vs_output",
                ("window",),
                lookback=Lookback(lambda window: window, ema),
            ),
            Output("upper", "price_vs_output", ("window", "mult"), lookback=FROM_BAR_1_WILDER),
            Output("lower", "price_vs_output", ("window", "mult"), lookback=FROM_BAR_1_WILDER),
        ),
        kernel=f"{_CHANNELS}:keltner",
        description="Channel of mult ATRs around the exponential average of (h + l + c) / 3.",
        formula="TA-Lib KC with one window for both: the average is seeded by bars 1..window, so "
        "all starts at bar `window`",
    ),
    Indicator(
        id="trend.linreg_slope",
        inputs=("source",),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("slope", "sign", ("window",), lookback=WINDOW),),
        kernel=f"{_TREND}:linreg_slope",
        description="Slope per bar of the least-squares line through a window.",
        formula="TA-Lib LINEARREG_SLOPE",
    ),
    Indicator(
        id="trend.psar",
        inputs=("high", "low"),
        params=(
            Param("accel_start", "float", 0.0, 1.0, default=steps(0.01, 0.05, 0.01)),
            Param("accel_step", "float", 0.0, 1.0, default=steps(0.01, 0.05, 0.01)),
            Param("accel_max", "float", 0.0, 1.0, default=steps(0.1, 0.4, 0.05)),
        ),
        outputs=(
            Output(
                "psar",
                "price_vs_output",
                ("accel_start", "accel_step", "accel_max"),
                lookback=Lookback(lambda **_: 1, lambda **_: 299),  # it has turned by then
            ),
        ),
        kernel=f"{_STOPS}:psar",
        description="Parabolic stop and reverse: speeds up with every new extreme.",
        formula="abs of TA-Lib SAREXT, the same acceleration for both sides, no offset",
        not_above=(("accel_start", "accel_max"),),
    ),
    Indicator(
        id="trend.supertrend",
        inputs=_HLC,
        params=(window(default=steps(5, 120)), mult(default=steps(0.5, 4.0, 0.5))),
        outputs=(
            Output("supertrend", "price_vs_output", ("window", "mult"), lookback=FROM_BAR_1_WILDER),
        ),
        kernel=f"{_STOPS}:supertrend",
        description="Stop line mult ATRs from the middle of the bar that only tightens.",
        formula="TA-Lib SUPERTREND: Wilder ATR, starts upwards at the first ATR bar",
    ),
    Indicator(
        id="trend.vortex",
        inputs=_HLC,
        params=(window(minimum=1, default=steps(5, 120)),),
        outputs=(
            Output("vi_plus", "threshold_centered", ("window",), center=1.0, lookback=FROM_BAR_1),
            Output("vi_diff", "sign", ("window",), lookback=FROM_BAR_1),
        ),
        signals={"abs_threshold": listed(0.0, 0.05, 0.1)},
        kernel=f"{_TREND}:vortex",
        description="Upward movement per true range, and its lead over the downward movement.",
        formula="TA-Lib VORTEX; undefined while the true range is 0",
    ),
)
