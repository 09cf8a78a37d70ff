"""Volume."""

from engine.indicators.declaration import Indicator, Output, mult, window
from engine.indicators.default_axes import band, deltas, listed, steps
from engine.indicators.lookback import FROM_BAR_1, WINDOW, Lookback

_KERNELS = "engine.indicators.kernels.volume"
_BARS = ("high", "low", "close", "volume")

INDICATORS = (
    Indicator(
        id="volume.ad_line",
        inputs=_BARS,
        params=(),
        outputs=(Output("value", "delta_sign", lookback=Lookback()),),
        signals=deltas(1, 5, 20),
        kernel=f"{_KERNELS}:ad_line",
        description="Accumulation/distribution line; a bar without range adds nothing.",
        formula="TA-Lib AD: sum of volume * ((close - low) - (high - close)) / (high - low)",
    ),
    Indicator(
        id="volume.cmf",
        inputs=_BARS,
        params=(window(default=steps(5, 120)),),
        outputs=(Output("value", "threshold_band", ("window",), lookback=WINDOW),),
        signals=band(listed(0.05, 0.1, 0.2), listed(-0.2, -0.1, -0.05)),
        kernel=f"{_KERNELS}:cmf",
        description="Chaikin money flow, -1..1; undefined while nothing was traded.",
        formula="TA-Lib CMF: sum of the terms of the accumulation/distribution line / "
        "sum of volume",
    ),
    Indicator(
        id="volume.mfi",
        inputs=_BARS,
        params=(window(default=steps(5, 120)),),
        outputs=(Output("value", "threshold_band", ("window",), lookback=FROM_BAR_1),),
        signals=band(steps(10, 50, 5), steps(50, 90, 5)),
        kernel=f"{_KERNELS}:mfi",
        description="Money flow index, 0..100; undefined while no money has moved.",
        formula="TA-Lib MFI; typical prices within 1e-14 of each other count as equal",
    ),
    Indicator(
        id="volume.obv",
        inputs=("close", "volume"),
        params=(),
        outputs=(Output("value", "delta_sign", lookback=Lookback()),),
        signals=deltas(1, 5, 20),
        kernel=f"{_KERNELS}:obv",
        description="On-balance volume.",
        formula="TA-Lib OBV: starts with the volume of the first bar",
    ),
    Indicator(
        id="volume.volume_sma",
        inputs=("volume",),
        params=(window(minimum=1, default=steps(5, 120)),),
        outputs=(Output("sma", "volume_vs_output", ("window",), lookback=WINDOW),),
        kernel=f"{_KERNELS}:volume_sma",
        description="Simple moving average of the volume.",
        formula="TA-Lib SMA of volume",
    ),
    Indicator(
        id="volume.vwap",
        inputs=_BARS,
        params=(window(minimum=1, default=steps(5, 120)),),
        outputs=(Output("vwap", "price_vs_output", ("window",), lookback=WINDOW),),
        kernel=f"{_KERNELS}:vwap",
        description="Rolling volume-weighted average price; undefined while nothing was traded.",
        formula="TA-Lib VWMA of (high + low + close) / 3",
    ),
    Indicator(
        id="volume.vwap_deviation",
        inputs=_BARS,
        params=(window(default=steps(5, 120)), mult(default=steps(0.5, 4.0, 0.5))),
        outputs=(
            Output("upper", "price_vs_output", ("window", "mult"), lookback=WINDOW),
            Output("lower", "price_vs_output", ("window", "mult"), lookback=WINDOW),
        ),
        kernel=f"{_KERNELS}:vwap_deviation",
        description="Rolling volume-weighted average price and mult deviations around it.",
        formula="vwap +- mult * sqrt(sum(v * (hlc3 - vwap)^2) / sum(v))",
    ),
)
