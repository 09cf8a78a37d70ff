"""Candles and parameter rows for every indicator of the catalogue, present and future."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from engine import synthetic
from engine.candles import Candles
from engine.indicators.registry import Indicator, Output, Param, catalogue

BARS = 300
WARMUP = 37

OUTPUTS = [(indicator, output) for indicator in catalogue() for output in indicator.outputs]
IDS = [f"{indicator.id}-{output.name}" for indicator, output in OUTPUTS]


def random_walk(seed: int = 7, bars: int = BARS) -> Candles:
    return synthetic.bars(seed, bars - WARMUP, 900_000, warmup_bars=WARMUP)


@cache
def scenarios() -> dict[str, Candles]:
    walk = random_walk()
    return {
        "random walk": walk,
        "prices around 1e-8": _scaled(walk, 1e-8 / walk.close.mean()),
        "prices around 1e8": _scaled(walk, 1e8 / walk.close.mean()),
        "coarse prices with many ties": _coarse(walk),
        "constant prices": _flat(walk, 0, BARS, 0.1),
        "flat from the middle on": _flat(walk, 120, BARS, walk.close[119]),
        "outage in the middle": _flat(walk, 100, 190, walk.close[99]),
        "no volume": replace(walk, volume=np.zeros(BARS)),
        "bars without range": replace(walk, open=walk.close, high=walk.close, low=walk.close),
        "holes at start, middle and end": _holes(walk),
    }


def parameter_rows(indicator: Indicator, output: Output, bars: int) -> NDArray[np.float64]:
    """Smallest, ordinary and largest (window = number of bars) values of the used parameters."""
    few = len(output.params) > 3
    axes = [
        _values(param, bars, few) if param.name in output.params else (param.filler,)
        for param in indicator.params
    ]
    names = [param.name for param in indicator.params]
    rows = [
        row
        for row in product(*axes)
        if all(
            rule.holds(row[names.index(rule.low)], row[names.index(rule.high)])
            for rule in indicator.relations
            if {rule.low, rule.high} <= set(output.params)
        )
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def named(indicator: Indicator, row: NDArray[np.float64]) -> dict[str, float | int | str]:
    return {
        param.name: param.choices[int(value)]
        if param.kind == "choice"
        else int(value)
        if param.kind == "int"
        else float(value)
        for param, value in zip(indicator.params, row, strict=True)
    }


def _values(param: Param, bars: int, few: bool) -> tuple[float, ...]:
    if param.kind == "choice":
        return tuple(range(len(param.choices)))
    if param.kind == "float":
        return (0.5, 2.0, 3.25) if param.maximum is None or param.maximum > 1 else (0.02, 0.2, 0.9)
    smallest = int(param.minimum or 0)
    return (smallest, 5, bars) if few else (smallest, 5, 14, bars)


def _scaled(candles: Candles, factor: float) -> Candles:
    prices = {name: getattr(candles, name) * factor for name in ("open", "high", "low", "close")}
    return replace(candles, **prices)


def _coarse(candles: Candles) -> Candles:
    step = 100.0
    return replace(
        candles,
        open=np.round(candles.open / step) * step,
        high=np.ceil(candles.high / step) * step,
        low=np.floor(candles.low / step) * step,
        close=np.round(candles.close / step) * step,
        volume=np.round(candles.volume),
    )


def _flat(candles: Candles, start: int, stop: int, price: float) -> Candles:
    columns = {}
    for name in ("open", "high", "low", "close"):
        columns[name] = getattr(candles, name).copy()
        columns[name][start:stop] = price
    volume = candles.volume.copy()
    volume[start:stop] = 0.0
    return replace(candles, **columns, volume=volume)


def _holes(candles: Candles) -> Candles:
    columns = {
        name: getattr(candles, name).copy() for name in ("open", "high", "low", "close", "volume")
    }
    for column in columns.values():
        column[:11] = np.nan
        column[-9:] = np.nan
    for name in ("high", "close"):
        columns[name][100:103] = np.nan
    columns["volume"][140:141] = np.nan
    columns["close"][143:150] = np.inf
    columns["low"][160] = np.nan
    columns["high"][162] = np.nan
    return replace(candles, **columns)
