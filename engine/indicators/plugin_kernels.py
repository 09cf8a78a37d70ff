"""Kernels that somebody else wrote: called so that what goes wrong has a name.

A compiled kernel checks no bounds. What it writes just before or behind its output falls into a
margin, and is found there; what it writes elsewhere may end the process, which costs that job.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.indicators.declaration import Indicator, Output
from engine.indicators.plugins import PluginFault, one_line
from engine.indicators.registry import plugin_with

_MARGIN = 256
"""Cells before and behind the output of a kernel."""

_UNTOUCHED = 0x5A
"""What the bytes of a margin hold."""

Kernel = Callable[..., None]


def load(indicator: Indicator) -> Kernel:
    """Import the kernel of a plugin. Raises `PluginFault`."""
    kernel = _loaded(indicator.kernel)
    if isinstance(kernel, str):
        raise PluginFault(f"{named(indicator)}: the kernel could not be loaded: {kernel}")
    return kernel


@cache
def _loaded(name: str) -> Kernel | str:
    """Return the kernel, or why there is none.

    That is remembered too: sources that somebody mends now are others than those of `identity()`.
    """
    module, function = name.split(":")
    try:
        kernel: Kernel = getattr(import_module(module), function)
    except (Exception, SystemExit) as error:
        return one_line(error)
    return kernel


def compile_for(
    inputs: tuple[NDArray[np.float64], ...], params: NDArray[np.float64], indicator: Indicator
) -> None:
    """Compile the kernel for arrays like these without running it. Raises `PluginFault`."""
    from numba import typeof  # the catalogue is read without a compiler
    from numba.core.dispatcher import Dispatcher

    kernel = load(indicator)
    if not isinstance(kernel, Dispatcher):  # plain Python
        return
    for output in indicator.outputs:
        values = blank((params.shape[0], inputs[0].shape[0]), output)
        try:
            kernel.compile(tuple(map(typeof, (inputs, params, 0, values))))
        except Exception as error:
            message = f"{named(indicator, output)}: the kernel does not compile: {one_line(error)}"
            raise PluginFault(message) from error


def run(
    kernel: Kernel,
    inputs: tuple[NDArray[np.float64], ...],
    params: NDArray[np.float64],
    indicator: Indicator,
    output: Output,
) -> NDArray[Any]:
    """Return what the kernel writes, one row per row of `params`. Raises `PluginFault`."""
    shape = params.shape[0], inputs[0].shape[0]
    cells = blank((2 * _MARGIN + shape[0] * shape[1],), output)
    margins = cells[:_MARGIN].view(np.uint8), cells[-_MARGIN:].view(np.uint8)
    for margin in margins:
        margin[:] = _UNTOUCHED
    values = cells[_MARGIN:-_MARGIN].reshape(shape)
    try:
        kernel(inputs, params, indicator.outputs.index(output), values)
    except Exception as error:
        message = f"{named(indicator, output)}: the kernel failed: {one_line(error)}"
        raise PluginFault(message) from error
    if any((margin != _UNTOUCHED).any() for margin in margins):
        raise PluginFault(f"{named(indicator, output)}: the kernel wrote beyond its output")
    return values


def blank(shape: tuple[int, ...], output: Output) -> NDArray[Any]:
    """Return what a kernel gets to write in: values to be filled, or signals that are all 0."""
    return np.zeros(shape, np.int8) if output.is_signal else np.empty(shape)


def refuse(
    signals: NDArray[np.int8],
    indicator: Indicator,
    output: Output,
    params: NDArray[np.float64],
    times: NDArray[np.int64],
) -> None:
    """Raise `PluginFault` for the first number in int8[T] that is no signal.

    params: float64[K], those of the series. times: int64[T], when the bars open, in milliseconds.
    """
    bar = int(np.flatnonzero((signals < -1) | (signals > 1))[0])
    opened = np.datetime64(int(times[bar]), "ms").astype("datetime64[m]")
    own = "".join(
        f", {param.name} {param.choices[int(value)] if param.choices else f'{value:g}'}"
        for param, value in zip(indicator.params, params.tolist(), strict=True)
        if param.name in output.params
    )
    raise PluginFault(
        f"{named(indicator, output)}: the kernel gave {signals[bar]} for bar {bar} "
        f"({opened}Z{own}); a signal is 1 for LONG, -1 for SHORT or 0"
    )


def named(indicator: Indicator, output: Output | None = None) -> str:
    """Return whose indicator it is, and which."""
    plugin = plugin_with(indicator.id)
    whose = f"{plugin}: " if plugin is not None else ""
    return f"{whose}{indicator.id}" + (f", output {output.name}" if output is not None else "")
