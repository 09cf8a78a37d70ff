"""Indicator values for many parameter rows at once, over candles that may have holes."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.indicators import plugin_kernels
from engine.indicators.declaration import Indicator, Output
from engine.indicators.plugins import PluginFault
from engine.indicators.registry import catalogue

if TYPE_CHECKING:
    from engine.candles import Candles

Floats = NDArray[np.float64]
Values = NDArray[Any]
"""float64: values; int8: signals, of an output whose rule is `planes`."""

_MEANS = {
    "hl2": ("high", "low"),
    "hlc3": ("high", "low", "close"),
    "ohlc4": ("open", "high", "low", "close"),
}
"""Sources that are means of a bar's prices, and the prices."""

log = logging.getLogger(__name__)


def compute(
    indicator: Indicator,
    output: Output,
    candles: "Candles",
    source: str | None,
    params: Floats,
) -> Values:
    """Return float64[P, T]: one row of values per row of `params` (float64[P, K]).

    `source` names the price series of an indicator that takes one (`None`: close). Each maximal
    stretch of bars on which every input is finite is a series of its own; elsewhere NaN. Of an
    output with the rule `planes` it is int8[P, T], and elsewhere 0. Raises `PluginFault`.
    """
    return Prepared.of(indicator, output, candles, source).values(params)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One output of an indicator on one source, ready to compute any rows of parameters.

    inputs: float64[T] each. stretches: `[from, to)` of bars on which all of them are finite.
    """

    indicator: Indicator
    output: Output
    kernel: Callable[..., None]
    inputs: tuple[Floats, ...]
    stretches: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls, indicator: Indicator, output: Output, candles: "Candles", source: str | None
    ) -> "Prepared":
        """Look the kernel up and gather its inputs. Raises `PluginFault`."""
        inputs = tuple(
            price(candles, source or "close") if name == "source" else _own(getattr(candles, name))
            for name in indicator.inputs
        )
        return cls(indicator, output, _kernel(indicator), inputs, _stretches(inputs))

    def values(self, params: Floats) -> Values:
        """Return float64[P, T] for params float64[P, K], or int8[P, T]. Raises `PluginFault`."""
        rows = np.array(params, dtype=np.float64, order="C")
        bars = self.inputs[0].shape[0]
        if self.stretches == ((0, bars),):
            return self._stretch(0, bars, rows)
        values = plugin_kernels.blank((rows.shape[0], bars), self.output)
        if not self.output.is_signal:
            values[:] = np.nan
        for start, stop in self.stretches:
            values[:, start:stop] = self._stretch(start, stop, rows)
        return values

    def _stretch(self, start: int, stop: int, rows: Floats) -> Values:
        inputs = tuple(x[start:stop] for x in self.inputs)
        if not self.indicator.is_ours:
            return plugin_kernels.run(self.kernel, inputs, rows, self.indicator, self.output)
        values = np.empty((rows.shape[0], stop - start))
        self.kernel(inputs, rows, self.indicator.outputs.index(self.output), values)
        return values


def price(candles: "Candles", source: str) -> Floats:
    """Return the price series of this name, float64[T]; a writable array of its own."""
    if source not in _MEANS:
        return _own(getattr(candles, source))
    return _mean_price(source, *(_own(getattr(candles, name)) for name in _MEANS[source]))


def _mean_price(source: str, *prices: Floats) -> Floats:
    kernels = import_module("engine.indicators.kernels.prices")
    result: Floats = getattr(kernels, source)(*prices)
    return result


def kernel_loaders() -> list[Callable[[], None]]:
    """Return functions that compile the kernels, one per indicator, or load them from the cache.

    A plugin's kernel is compiled but never run here, where jobs without it would suffer with it.
    One that cannot be compiled is named, and left for the jobs that ask for it.
    """
    return [*(partial(_load_kernel, indicator) for indicator in catalogue()), _load_means]


def _load_means() -> None:
    for source, names in _MEANS.items():
        _mean_price(source, *(np.ones(1) for _ in names))


def _load_kernel(indicator: Indicator) -> None:
    bars = np.linspace(1.0, 2.0, 8)
    rows = np.array([[max(param.filler, 1.0) for param in indicator.params]])
    inputs = tuple(bars.copy() for _ in indicator.inputs)
    if not indicator.is_ours:
        try:
            plugin_kernels.compile_for(inputs, rows, indicator)
        except PluginFault as fault:
            log.warning("%s", fault)
        return
    for output in range(len(indicator.outputs)):
        _kernel(indicator)(inputs, rows, output, np.empty((1, bars.size)))


@cache
def _kernel(indicator: Indicator) -> Callable[..., None]:
    if not indicator.is_ours:
        return plugin_kernels.load(indicator)
    module, function = indicator.kernel.split(":")
    kernel: Callable[..., None] = getattr(import_module(module), function)
    return kernel


def _own(series: Floats) -> Floats:
    """Copy, so that kernels see one array type (read-only is another) and are compiled once."""
    return np.array(series, dtype=np.float64, order="C")


def _stretches(inputs: Sequence[Floats]) -> tuple[tuple[int, int], ...]:
    finite: Any = np.logical_and.reduce([np.isfinite(x) for x in inputs])
    edges = np.flatnonzero(np.diff(np.concatenate(([False], finite, [False])).astype(np.int8)))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))
