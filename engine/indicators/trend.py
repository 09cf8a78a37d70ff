"""Trend following."""

from engine.indicators.declaration import Indicator, Output, mult, window

_KERNELS = "engine.indicators.kernels.trend"

INDICATORS = (
    Indicator(
        id="trend.supertrend",
        inputs=("high", "low", "close"),
        params=(window(), mult()),
        outputs=(Output("supertrend", "price_vs_output", ("window", "mult")),),
        kernel=f"{_KERNELS}:supertrend",
        description="Stop line mult ATRs from the middle of the bar that only tightens.",
        formula="TA-Lib SUPERTREND: Wilder ATR, starts upwards at the first ATR bar",
    ),
)
