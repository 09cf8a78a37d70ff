"""Volatility: ranges and deviations."""

from engine.indicators.declaration import Indicator, Output, mult, window

_KERNELS = "engine.indicators.kernels.volatility"

INDICATORS = (
    Indicator(
        id="volatility.atr",
        inputs=("high", "low", "close"),
        params=(window(minimum=1),),
        outputs=(Output("value", "delta_sign", ("window",)),),
        kernel=f"{_KERNELS}:atr",
        description="Average true range, nothing on bar 0.",
        formula="TA-Lib ATR: Wilder average of the true range from bar 1",
    ),
    Indicator(
        id="volatility.bbands",
        inputs=("source",),
        params=(window(), mult()),
        outputs=(
            Output("middle", "price_vs_output", ("window",)),
            Output("upper", "price_vs_output", ("window", "mult")),
            Output("lower", "price_vs_output", ("window", "mult")),
            Output("percent_b", "threshold_band", ("window", "mult")),
            Output("bandwidth", "delta_sign", ("window",)),
        ),
        kernel=f"{_KERNELS}:bbands",
        description="Bollinger bands: simple average and mult deviations around it.",
        formula="TA-Lib BBANDS (population deviation); "
        "percent_b = (x - lower) / (upper - lower); bandwidth = 4 deviations / middle",
    ),
)
