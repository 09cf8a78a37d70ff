"""Volume."""

from engine.indicators.declaration import Indicator, Output, window

_KERNELS = "engine.indicators.kernels.volume"

INDICATORS = (
    Indicator(
        id="volume.mfi",
        inputs=("high", "low", "close", "volume"),
        params=(window(),),
        outputs=(Output("value", "threshold_band", ("window",)),),
        kernel=f"{_KERNELS}:mfi",
        description="Money flow index, 0..100; undefined while no money has moved.",
        formula="TA-Lib MFI; typical prices within 1e-14 of each other count as equal",
    ),
)
