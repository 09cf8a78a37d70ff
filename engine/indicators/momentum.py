"""Momentum: oscillators of one price series."""

from engine.indicators.declaration import Indicator, Output, window

_KERNELS = "engine.indicators.kernels.momentum"

INDICATORS = (
    Indicator(
        id="momentum.rsi",
        inputs=("source",),
        params=(window(),),
        outputs=(Output("rsi", "threshold_band", ("window",)),),
        kernel=f"{_KERNELS}:rsi",
        description="Relative strength index, 0..100; undefined while nothing has moved.",
        formula="TA-Lib RSI (Wilder smoothing)",
    ),
    Indicator(
        id="momentum.macd",
        inputs=("source",),
        params=(window("fast"), window("slow"), window("signal")),
        outputs=(
            Output("hist", "sign", ("fast", "slow", "signal")),
            Output("line", "sign", ("fast", "slow")),
        ),
        kernel=f"{_KERNELS}:macd",
        description="Difference of two exponential averages, and its distance to its own average.",
        formula="line = ema(fast) - ema(slow), each seeded by its own first window; "
        "hist = line - ema(line, signal)",
        ordered=(("fast", "slow"),),
    ),
)
