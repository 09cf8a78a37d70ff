"""Moving averages and their crossing."""

from engine.indicators.declaration import Indicator, Output, Param, window

_KERNELS = "engine.indicators.kernels.ma"

INDICATORS = (
    Indicator(
        id="ma.sma",
        inputs=("source",),
        params=(window(minimum=1),),
        outputs=(Output("ma", "price_vs_output", ("window",)),),
        kernel=f"{_KERNELS}:sma",
        description="Simple moving average.",
        formula="TA-Lib SMA",
    ),
    Indicator(
        id="ma.ema",
        inputs=("source",),
        params=(window(minimum=1),),
        outputs=(Output("ma", "price_vs_output", ("window",)),),
        kernel=f"{_KERNELS}:ema",
        description="Exponential moving average, alpha = 2 / (window + 1).",
        formula="TA-Lib EMA: seeded by the mean of its first window",
    ),
    Indicator(
        id="ma.cross",
        inputs=("source",),
        params=(
            Param("ma", "choice", choices=("sma", "ema", "wma")),
            window("fast", 1),
            window("slow", 1),
        ),
        outputs=(Output("diff", "sign", ("ma", "fast", "slow")),),
        kernel=f"{_KERNELS}:cross",
        description="Fast minus slow moving average of one kind.",
        formula="diff = ma(fast) - ma(slow), each as in TA-Lib",
        ordered=(("fast", "slow"),),
    ),
)
