"""Volatility: ranges and deviations."""

from engine.indicators.declaration import Indicator, Output, mult, window
from engine.indicators.default_axes import band, deltas, listed, steps
from engine.indicators.lookback import FROM_BAR_1, FROM_BAR_1_WILDER, WINDOW, Lookback

_KERNELS = "engine.indicators.kernels.volatility"

INDICATORS = (
    Indicator(
        id="volatility.tr",
        inputs=("high", "low", "close"),
        params=(),
        outputs=(Output("value", "delta_sign", lookback=Lookback(lambda: 1)),),
        signals=deltas(1, 5, 20),
        kernel=f"{_KERNELS}:tr",
        description="True range, nothing on bar 0.",
        formula="TA-Lib TRANGE",
    ),
    Indicator(
        id="volatility.atr",
        inputs=("high", "low", "close"),
        params=(window(minimum=1, default=steps(5, 120)),),
        outputs=(Output("value", "delta_sign", ("window",), lookback=FROM_BAR_1_WILDER),),
        signals=deltas(1, 5, 20),
        kernel=f"{_KERNELS}:atr",
        description="Average true range, nothing on bar 0.",
        formula="TA-Lib ATR: Wilder average of the true range from bar 1",
    ),
    Indicator(
        id="volatility.natr",
        inputs=("high", "low", "close"),
        params=(window(minimum=1, default=steps(5, 120)),),
        outputs=(Output("value", "delta_sign", ("window",), lookback=FROM_BAR_1_WILDER),),
        signals=deltas(1, 5, 20),
        kernel=f"{_KERNELS}:natr",
        description="Average true range in percent of the close.",
        formula="TA-Lib NATR: 100 * ATR / close, of window 1 as well",
    ),
    Indicator(
        id="volatility.stddev",
        inputs=("source",),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("value", "delta_sign", ("window",), lookback=WINDOW),),
        signals=deltas(1, 5, 20),
        kernel=f"{_KERNELS}:stddev",
        description="Standard deviation of prices.",
        formula="TA-Lib STDDEV (population deviation)",
    ),
    Indicator(
        id="volatility.hv",
        inputs=("source",),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("value", "delta_sign", ("window",), lookback=FROM_BAR_1),),
        signals=deltas(1, 5, 20),
        kernel=f"{_KERNELS}:hv",
        description="Historical volatility: deviation of log returns in percent, times sqrt(365).",
        formula="100 * std(ln(x[t] / x[t-1]), ddof 1) * sqrt(365), first at bar window",
    ),
    Indicator(
        id="volatility.bbands",
        inputs=("source",),
        params=(window(default=steps(5, 120)), mult(default=steps(0.5, 4.0, 0.5))),
        outputs=(
            Output("middle", "price_vs_output", ("window",), lookback=WINDOW),
            Output("upper", "price_vs_output", ("window", "mult"), lookback=WINDOW),
            Output("lower", "price_vs_output", ("window", "mult"), lookback=WINDOW),
            Output("percent_b", "threshold_band", ("window", "mult"), lookback=WINDOW),
            Output("bandwidth", "delta_sign", ("window",), lookback=WINDOW),
        ),
        signals=band(listed(0.0, 0.1, 0.2), listed(0.8, 0.9, 1.0)) | deltas(1, 5, 20),
        kernel=f"{_KERNELS}:bbands",
        description="Bollinger bands: simple average and mult deviations around it.",
        formula="TA-Lib BBANDS (population deviation); "
        "percent_b = (x - lower) / (upper - lower); bandwidth = 4 deviations / middle",
    ),
)
