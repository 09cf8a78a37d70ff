"""Moving averages and their crossing."""

from math import isqrt

from engine.indicators.declaration import Indicator, Output, Param, window
from engine.indicators.default_axes import listed, steps
from engine.indicators.lookback import WINDOW, Lookback, ema, fading, wilder

_KERNELS = "engine.indicators.kernels.ma"


def _average(
    name: str, description: str, formula: str, lookback: Lookback, kernels: str = _KERNELS
) -> Indicator:
    """Return a moving average of the source that has a window and nothing else."""
    return Indicator(
        id=f"ma.{name}",
        inputs=("source",),
        params=(window(minimum=1, default=steps(5, 200)),),
        outputs=(Output("ma", "price_vs_output", ("window",), lookback=lookback),),
        kernel=f"{kernels}:{name}",
        description=description,
        formula=formula,
    )


INDICATORS = (
    _average("sma", "Simple moving average.", "TA-Lib SMA", WINDOW),
    _average(
        "ema",
        "Exponential moving average, alpha = 2 / (window + 1).",
        "TA-Lib EMA: seeded by the mean of its first window",
        Lookback(lambda window: window - 1, ema),
    ),
    _average(
        "wma",
        "Linearly weighted moving average, the newest bar with most weight.",
        "TA-Lib WMA",
        WINDOW,
    ),
    _average(
        "rma",
        "Wilder's smoothed moving average, alpha = 1 / window.",
        "TA-Lib RMA: seeded by the mean of its first window",
        Lookback(lambda window: window - 1, wilder),
    ),
    _average(
        "dema",
        "Double exponential moving average: twice the EMA less the EMA of the EMA.",
        "TA-Lib DEMA: each EMA seeded by the mean of its own first window",
        Lookback(lambda window: 2 * (window - 1), lambda window: 2 * ema(window)),
    ),
    _average(
        "tema",
        "Triple exponential moving average: 3 EMA - 3 EMA of EMA + EMA of EMA of EMA.",
        "TA-Lib TEMA: each EMA seeded by the mean of its own first window",
        Lookback(lambda window: 3 * (window - 1), lambda window: 3 * ema(window)),
    ),
    _average(
        "kama",
        "Kaufman's adaptive moving average: follows trends fast and noise slowly.",
        "TA-Lib KAMA: efficiency ratio over the window, between EMA(2) and EMA(30); "
        "a window without moves counts as efficient",
        Lookback(  # a window of one bar is the price itself
            lambda window: window if window > 1 else 0,
            lambda window: fading((2.0 / 31.0) ** 2) if window > 1 else 0,
        ),
        "engine.indicators.kernels.adaptive",
    ),
    _average(
        "hma",
        "Hull moving average.",
        "TA-Lib HMA: wma(2 wma(window // 2) - wma(window), isqrt(window))",
        Lookback(lambda window: window - 1 + isqrt(window) - 1),
    ),
    _average(
        "zlema",
        "Zero-lag exponential moving average.",
        "TA-Lib ZLEMA: ema(2 x - x[t - lag], window) with lag = (window - 1) // 2",
        Lookback(lambda window: (window - 1) // 2 + window - 1, ema),
    ),
    Indicator(
        id="ma.vwma",
        inputs=("source", "volume"),
        params=(window(minimum=1, default=steps(5, 200)),),
        outputs=(Output("vwma", "price_vs_output", ("window",), lookback=WINDOW),),
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
        outputs=(
            Output(
                "diff",
                "sign",
                ("ma", "fast", "slow"),
                lookback=Lookback(
                    lambda slow, **_: slow - 1,
                    lambda ma, slow, **_: ema(slow) if ma == "ema" else 0,
                ),
            ),
        ),
        kernel="engine.indicators.kernels.crossing:cross",
        description="Fast minus slow moving average of one kind.",
        formula="diff = ma(fast) - ma(slow), each as in TA-Lib",
        ordered=(("fast", "slow"),),
    ),
)
