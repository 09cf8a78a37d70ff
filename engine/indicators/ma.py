"""Moving averages and their crossing."""

from engine.indicators.declaration import Indicator, Output, Param, window
from engine.indicators.default_axes import listed, steps

_KERNELS = "engine.indicators.kernels.ma"


def _average(name: str, description: str, formula: str, kernels: str = _KERNELS) -> Indicator:
    """Return a moving average of the source that has a window and nothing else."""
    return Indicator(
        id=f"ma.{name}",
        inputs=("source",),
        params=(window(minimum=1, default=steps(5, 200)),),
        outputs=(Output("ma", "price_vs_output", ("window",)),),
        kernel=f"{kernels}:{name}",
        description=description,
        formula=formula,
    )


INDICATORS = (
    _average("sma", "Simple moving average.", "TA-Lib SMA"),
    _average(
        "ema",
        "Exponential moving average, alpha = 2 / (window + 1).",
        "TA-Lib EMA: seeded by the mean of its first window",
    ),
    _average(
        "wma", "Linearly weighted moving average, the newest bar with most weight.", "TA-Lib WMA"
    ),
    _average(
        "rma",
        "Wilder's smoothed moving average, alpha = 1 / window.",
        "TA-Lib RMA: seeded by the mean of its first window",
    ),
    _average(
        "dema",
        "Double exponential moving average: twice the EMA less the EMA of the EMA.",
        "TA-Lib DEMA: each EMA seeded by the mean of its own first window",
    ),
    _average(
        "tema",
        "Triple exponential moving average: 3 EMA - 3 EMA of EMA + EMA of EMA of EMA.",
        "TA-Lib TEMA: each EMA seeded by the mean of its own first window",
    ),
    _average(
        "kama",
        "Kaufman's adaptive moving average: follows trends fast and noise slowly.",
        "TA-Lib KAMA: efficiency ratio over the window, between EMA(2) and EMA(30); "
        "a window without moves counts as efficient",
        "engine.indicators.kernels.adaptive",
    ),
    _average(
        "hma",
        "Hull moving average.",
        "TA-Lib HMA: wma(2 wma(window // 2) - wma(window), isqrt(window))",
    ),
    _average(
        "zlema",
        "Zero-lag exponential moving average.",
        "TA-Lib ZLEMA: ema(2 x - x[t - lag], window) with lag = (window - 1) // 2",
    ),
    Indicator(
        id="ma.vwma",
        inputs=("source", "volume"),
        params=(window(minimum=1, default=steps(5, 200)),),
        outputs=(Output("vwma", "price_vs_output", ("window",)),),
        kernel=f"{_KERNELS}:vwma",
        description="Volume-weighted moving average; undefined while a window has no volume.",
        formula="TA-Lib VWMA: sum(x volume) / sum(volume)",
    ),
    Indicator(
        id="ma.cross",
        inputs=("source",),
        params=(
            Param(
                "ma", "choice", choices=("sma", "ema", "wma"), default=listed("sma", "ema", "wma")
            ),
            window("fast", minimum=1, default=steps(5, 50)),
            window("slow", minimum=1, default=steps(20, 200)),
        ),
        outputs=(Output("diff", "sign", ("ma", "fast", "slow")),),
        kernel="engine.indicators.kernels.crossing:cross",
        description="Fast minus slow moving average of one kind.",
        formula="diff = ma(fast) - ma(slow), each as in TA-Lib",
        ordered=(("fast", "slow"),),
    ),
)
