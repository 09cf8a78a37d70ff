"""Structure: shapes of candles, distances and ranks of prices."""

from engine.indicators.declaration import Indicator, Output, window
from engine.indicators.default_axes import band, steps
from engine.indicators.lookback import FROM_BAR_1, FROM_BAR_1_WILDER, WINDOW, Lookback, wilder

_KERNELS = "engine.indicators.kernels.structure"
_RANKS = "engine.indicators.kernels.ranks"
_PIVOTS = "engine.indicators.kernels.pivots"

INDICATORS = (
    Indicator(
        id="structure.candle_body",
        inputs=("open", "high", "low", "close"),
        params=(),
        outputs=(Output("body_pct", "candle_body", lookback=Lookback()),),
        signals={"min_body": steps(0.0, 1.0, 0.1)},
        kernel=f"{_KERNELS}:candle_body",
        description="Body of a candle as a fraction of its range; undefined without a range.",
        formula="abs(close - open) / (high - low)",
    ),
    Indicator(
        id="structure.candle_body_atr",
        inputs=("open", "high", "low", "close"),
        params=(window("atr_window", default=steps(5, 120)),),
        outputs=(
            Output(
                "body_atr",
                "candle_body",
                ("atr_window",),
                lookback=Lookback(
                    lambda atr_window: atr_window, lambda atr_window: wilder(atr_window)
                ),
            ),
        ),
        signals={"min_body": steps(0.25, 2.0, 0.25)},
        kernel=f"{_KERNELS}:candle_body_atr",
        description="Body of a candle in average true ranges.",
        formula="abs(close - open) / ATR(atr_window)",
    ),
    Indicator(
        id="structure.distance_to_ma",
        inputs=("source", "high", "low", "close"),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("distance", "threshold_band", ("window",), lookback=FROM_BAR_1_WILDER),),
        signals=band(steps(-3.0, -1.0, 0.5), steps(1.0, 3.0, 0.5)),
        kernel=f"{_KERNELS}:distance_to_ma",
        description="Distance to the exponential average in average true ranges.",
        formula="(x - EMA(x, window)) / ATR(window), both as in TA-Lib",
    ),
    Indicator(
        id="structure.zscore",
        inputs=("source",),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("zscore", "threshold_band", ("window",), lookback=WINDOW),),
        signals=band(steps(-3.0, -1.0, 0.5), steps(1.0, 3.0, 0.5)),
        kernel=f"{_KERNELS}:zscore",
        description="Deviations between the price and its average; undefined while it is flat.",
        formula="(x - mean) / population deviation of the window",
    ),
    Indicator(
        id="structure.percent_rank",
        inputs=("source",),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("rank", "threshold_band", ("window",), lookback=FROM_BAR_1),),
        signals=band(steps(5, 25, 5), steps(75, 95, 5)),
        kernel=f"{_RANKS}:percent_rank",
        description="Share of the previous values that are below the price, 0..100.",
        formula="TA-Lib PERCENTRANK: 100 * count(x[t-k] < x[t], k = 1..window) / window; "
        "undefined where all window + 1 values are equal",
    ),
    Indicator(
        id="structure.pivots",
        inputs=("high", "low"),
        params=(window("left", default=steps(2, 20)), window("right", default=steps(2, 20))),
        outputs=(
            Output(
                "last_pivot",
                "sign",
                ("left", "right"),
                lookback=Lookback(  # ten such stretches without a pivot are rare
                    lambda left, right: left + right,
                    lambda left, right: 10 * (left + right + 1) - (left + right),
                ),
            ),
        ),
        kernel=f"{_PIVOTS}:pivots",
        description="1 after a confirmed pivot low, -1 after a pivot high, 0 before the first.",
        formula="TA-Lib FRACTAL: beyond `left` bars before and `right` bars after, strictly; "
        "known `right` bars later; both at once change nothing; first value at bar left + right",
    ),
)
