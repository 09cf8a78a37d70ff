"""Momentum: oscillators of price."""

from engine.indicators.declaration import Indicator, Output, window
from engine.indicators.default_axes import band, steps
from engine.indicators.lookback import (
    FROM_BAR_1,
    FROM_BAR_1_WILDER,
    WINDOW,
    Lookback,
    ema,
    fading,
    wilder,
)

_KERNELS = "engine.indicators.kernels"
_LINE = Lookback(lambda slow, **_: slow - 1, lambda slow, **_: ema(slow))
_HIST = Lookback(
    lambda slow, signal, **_: slow - 1 + signal - 1,
    lambda slow, signal, **_: ema(slow) + ema(signal),
)
"""Two averages side by side, of which the slow one settles last, and their smoothed difference."""

INDICATORS = (
    Indicator(
        id="momentum.rsi",
        inputs=("source",),
        params=(window(default=steps(3, 120)),),
        outputs=(Output("rsi", "threshold_band", ("window",), lookback=FROM_BAR_1_WILDER),),
        signals=band(steps(10, 50, 5), steps(50, 90, 5)),
        kernel=f"{_KERNELS}.momentum:rsi",
        description="Relative strength index, 0..100; undefined while nothing has moved.",
        formula="TA-Lib RSI (Wilder smoothing)",
    ),
    Indicator(
        id="momentum.roc",
        inputs=("source",),
        params=(window(minimum=1, default=steps(5, 120)),),
        outputs=(Output("roc", "sign", ("window",), lookback=FROM_BAR_1),),
        kernel=f"{_KERNELS}.momentum:roc",
        description="Rate of change over the window, in percent.",
        formula="TA-Lib ROC: 100 (x / x[t - window] - 1)",
    ),
    Indicator(
        id="momentum.cci",
        inputs=("high", "low", "close"),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("value", "threshold_band", ("window",), lookback=WINDOW),),
        signals=band(steps(-200, -50, 25), steps(50, 200, 25)),
        kernel=f"{_KERNELS}.mean_deviation:cci",
        description="Commodity channel index, mostly -100..100; undefined where nothing moves.",
        formula="TA-Lib CCI: (hlc3 - mean) / (0.015 mean absolute deviation)",
    ),
    Indicator(
        id="momentum.williams_r",
        inputs=("high", "low", "close"),
        params=(window(default=steps(5, 120)),),
        outputs=(Output("value", "threshold_band", ("window",), lookback=WINDOW),),
        signals=band(steps(-90, -60, 5), steps(-40, -10, 5)),
        kernel=f"{_KERNELS}.oscillators:williams_r",
        description="Williams %R, -100..0; undefined where a window has no range.",
        formula="TA-Lib WILLR: -100 (highest - close) / (highest - lowest)",
    ),
    Indicator(
        id="momentum.macd",
        inputs=("source",),
        params=(
            window("fast", default=steps(4, 24)),
            window("slow", default=steps(8, 50)),
            window("signal", default=steps(3, 20)),
        ),
        outputs=(
            Output("hist", "sign", ("fast", "slow", "signal"), lookback=_HIST),
            Output("line", "sign", ("fast", "slow"), lookback=_LINE),
        ),
        kernel=f"{_KERNELS}.crossing:macd",
        description="Difference of two exponential averages, and its distance to its own average.",
        formula="line = ema(fast) - ema(slow), each seeded by its own first window; "
        "hist = line - ema(line, signal)",
        ordered=(("fast", "slow"),),
    ),
    Indicator(
        id="momentum.ppo",
        inputs=("source",),
        params=(
            window("fast", default=steps(4, 24)),
            window("slow", default=steps(8, 50)),
            window("signal", default=steps(3, 20)),
        ),
        outputs=(
            Output("hist", "sign", ("fast", "slow", "signal"), lookback=_HIST),
            Output("line", "sign", ("fast", "slow"), lookback=_LINE),
        ),
        kernel=f"{_KERNELS}.crossing:ppo",
        description="MACD in percent of its slow average.",
        formula="line = 100 (ema(fast) - ema(slow)) / ema(slow), each seeded by its own first "
        "window; hist = line - ema(line, signal)",
        ordered=(("fast", "slow"),),
    ),
    Indicator(
        id="momentum.trix",
        inputs=("source",),
        params=(window(minimum=1, default=steps(5, 120)), window("signal", default=steps(3, 20))),
        outputs=(
            Output(
                "trix",
                "sign",
                ("window",),
                lookback=Lookback(lambda window: 3 * window - 2, lambda window: 3 * ema(window)),
            ),
            Output(
                "hist",
                "sign",
                ("window", "signal"),
                lookback=Lookback(
                    lambda window, signal: 3 * window - 2 + signal - 1,
                    lambda window, signal: 3 * ema(window) + ema(signal),
                ),
            ),
        ),
        kernel=f"{_KERNELS}.momentum:trix",
        description="Change of a triple exponential average in percent, and its distance to its "
        "own average.",
        formula="TA-Lib TRIX; hist = trix - ema(trix, signal)",
    ),
    Indicator(
        id="momentum.stoch",
        inputs=("high", "low", "close"),
        params=(
            window("k", default=steps(5, 120)),
            window("smoothing", default=steps(2, 10)),
            window("d", default=steps(2, 10)),
        ),
        outputs=(
            Output(
                "k",
                "threshold_band",
                ("k", "smoothing"),
                lookback=Lookback(lambda k, smoothing: k + smoothing - 2),
            ),
            Output(
                "d",
                "threshold_band",
                ("k", "smoothing", "d"),
                lookback=Lookback(lambda k, smoothing, d: k + smoothing + d - 3),
            ),
        ),
        signals=band(steps(10, 40, 5), steps(60, 90, 5)),
        kernel=f"{_KERNELS}.oscillators:stoch",
        description="Stochastic oscillator, 0..100; undefined where a window has no range.",
        formula="TA-Lib STOCH: raw = 100 (close - lowest) / (highest - lowest) over k bars; "
        "k = sma(raw, smoothing); d = sma(k, d)",
    ),
    Indicator(
        id="momentum.stoch_rsi",
        inputs=("source",),
        params=(
            window("rsi", default=steps(3, 120, 9)),
            window("k", default=steps(5, 120, 23)),
            window("smoothing", default=steps(2, 10, 4)),
            window("d", default=steps(2, 10, 4)),
        ),
        outputs=(
            Output(
                "k",
                "threshold_band",
                ("rsi", "k", "smoothing"),
                lookback=Lookback(
                    lambda rsi, k, smoothing: rsi + k + smoothing - 2,
                    lambda rsi, **_: wilder(rsi),
                ),
            ),
            Output(
                "d",
                "threshold_band",
                ("rsi", "k", "smoothing", "d"),
                lookback=Lookback(
                    lambda rsi, k, smoothing, d: rsi + k + smoothing + d - 3,
                    lambda rsi, **_: wilder(rsi),
                ),
            ),
        ),
        signals=band(steps(10, 40, 5), steps(60, 90, 5)),
        kernel=f"{_KERNELS}.oscillators:stoch_rsi",
        description="Stochastic oscillator of the RSI, 0..100; undefined where that does not move.",
        formula="TA-Lib RSI, then STOCH: raw = 100 (rsi - lowest) / (highest - lowest) over k "
        "bars; k = sma(raw, smoothing); d = sma(k, d)",
    ),
    Indicator(
        id="momentum.fisher",
        inputs=("high", "low"),
        params=(window(default=steps(5, 120)),),
        outputs=(
            Output(
                "fisher",
                "sign",
                ("window",),
                lookback=Lookback(
                    lambda window: window - 1, lambda **_: fading(0.33) + fading(0.5)
                ),
            ),
        ),
        kernel=f"{_KERNELS}.oscillators:fisher",
        description="Fisher transform of where the middle price stands in its range.",
        formula="Ehlers: x = 2 (hl2 - lowest) / (highest - lowest) - 1 (0 without range); "
        "v = .33 x + .67 v[t-1], and +-.999 beyond +-.99; f = .5 ln((1 + v) / (1 - v)) + .5 f[t-1]",
    ),
)
