"""Momentum: oscillators of price."""

from engine.indicators.declaration import Indicator, Output, window

_KERNELS = "engine.indicators.kernels"

INDICATORS = (
    Indicator(
        id="momentum.rsi",
        inputs=("source",),
        params=(window(),),
        outputs=(Output("rsi", "threshold_band", ("window",)),),
        kernel=f"{_KERNELS}.momentum:rsi",
        description="Relative strength index, 0..100; undefined while nothing has moved.",
        formula="TA-Lib RSI (Wilder smoothing)",
    ),
    Indicator(
        id="momentum.roc",
        inputs=("source",),
        params=(window(minimum=1),),
        outputs=(Output("roc", "sign", ("window",)),),
        kernel=f"{_KERNELS}.momentum:roc",
        description="Rate of change over the window, in percent.",
        formula="TA-Lib ROC: 100 (x / x[t - window] - 1)",
    ),
    Indicator(
        id="momentum.cci",
        inputs=("high", "low", "close"),
        params=(window(),),
        outputs=(Output("value", "threshold_band", ("window",)),),
        kernel=f"{_KERNELS}.mean_deviation:cci",
        description="Commodity channel index, mostly -100..100; undefined where nothing moves.",
        formula="TA-Lib CCI: (hlc3 - mean) / (0.015 mean absolute deviation)",
    ),
    Indicator(
        id="momentum.williams_r",
        inputs=("high", "low", "close"),
        params=(window(),),
        outputs=(Output("value", "threshold_band", ("window",)),),
        kernel=f"{_KERNELS}.oscillators:williams_r",
        description="Williams %R, -100..0; undefined where a window has no range.",
        formula="TA-Lib WILLR: -100 (highest - close) / (highest - lowest)",
    ),
    Indicator(
        id="momentum.macd",
        inputs=("source",),
        params=(window("fast"), window("slow"), window("signal")),
        outputs=(
            Output("hist", "sign", ("fast", "slow", "signal")),
            Output("line", "sign", ("fast", "slow")),
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
        params=(window("fast"), window("slow"), window("signal")),
        outputs=(
            Output("hist", "sign", ("fast", "slow", "signal")),
            Output("line", "sign", ("fast", "slow")),
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
        params=(window(minimum=1), window("signal")),
        outputs=(
            Output("trix", "sign", ("window",)),
            Output("hist", "sign", ("window", "signal")),
        ),
        kernel=f"{_KERNELS}.momentum:trix",
        description="Change of a triple exponential average in percent, and its distance to its "
        "own average.",
        formula="TA-Lib TRIX; hist = trix - ema(trix, signal)",
    ),
    Indicator(
        id="momentum.stoch",
        inputs=("high", "low", "close"),
        params=(window("k"), window("smoothing"), window("d")),
        outputs=(
            Output("k", "threshold_band", ("k", "smoothing")),
            Output("d", "threshold_band", ("k", "smoothing", "d")),
        ),
        kernel=f"{_KERNELS}.oscillators:stoch",
        description="Stochastic oscillator, 0..100; undefined where a window has no range.",
        formula="TA-Lib STOCH: raw = 100 (close - lowest) / (highest - lowest) over k bars; "
        "k = sma(raw, smoothing); d = sma(k, d)",
    ),
    Indicator(
        id="momentum.stoch_rsi",
        inputs=("source",),
        params=(window("rsi"), window("k"), window("smoothing"), window("d")),
        outputs=(
            Output("k", "threshold_band", ("rsi", "k", "smoothing")),
            Output("d", "threshold_band", ("rsi", "k", "smoothing", "d")),
        ),
        kernel=f"{_KERNELS}.oscillators:stoch_rsi",
        description="Stochastic oscillator of the RSI, 0..100; undefined where that does not move.",
        formula="TA-Lib RSI, then STOCH: raw = 100 (rsi - lowest) / (highest - lowest) over k "
        "bars; k = sma(raw, smoothing); d = sma(k, d)",
    ),
    Indicator(
        id="momentum.fisher",
        inputs=("high", "low"),
        params=(window(),),
        outputs=(Output("fisher", "sign", ("window",)),),
        kernel=f"{_KERNELS}.oscillators:fisher",
        description="Fisher transform of where the middle price stands in its range.",
        formula="Ehlers: x = 2 (hl2 - lowest) / (highest - lowest) - 1 (0 without range); "
        "v = .33 x + .67 v[t-1] within +-.999; f = .5 ln((1 + v) / (1 - v)) + .5 f[t-1]",
    ),
)
