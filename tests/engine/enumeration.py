"""All variants of a fully spelled-out request, in index order, by plain nested loops."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import Any

from tests.engine.rederive import Payload
from tests.engine.simulator import RiskLevels


def axis(spec: Any) -> list[Any]:
    """Return the values of one axis of a request; a missing risk axis is one value, off."""
    if spec is None:
        return [None]
    if spec["mode"] == "explicit":
        return list(spec["values"])
    start, stop, step = (Decimal(str(spec[key])) for key in ("start", "stop_incl", "step"))
    values, value = [], start
    while value <= stop:
        values.append(value)
        value += step
    whole = all(v == v.to_integral_value() for v in (start, stop, step))
    return [int(v) if whole else float(v) for v in values]


PARAMETERS = {  # in declared order; a pair bound by a rule stands where its first one is declared
    "ma.cross": ("ma", "fast", "slow"),
    "momentum.macd": ("fast", "slow", "signal"),
    "trend.psar": ("accel_start", "accel_max", "accel_step"),
    "trend.supertrend": ("window", "mult"),
    "volatility.bbands": ("window", "mult"),
}
KNOBS = (
    ("long_threshold", "short_threshold"),
    ("long_delta_periods", "short_delta_periods"),
)


def block_variants(block: Payload) -> Iterator[dict[str, Any]]:
    """List the variants of one fully spelled-out block of a request, in order."""
    params, knobs = block["params"], block.get("signals", {})
    names = [n for n in PARAMETERS.get(block["indicator_id"], ("window",)) if n in params]
    knob_names = [n for pair in KNOBS for n in pair if n in knobs]
    sources = axis(block["source"]) if "source" in block else [None]
    for source in sources:
        for values in product(*(axis(params[n]) for n in names)):
            chosen = dict(zip(names, values, strict=True))
            if "fast" in chosen and not chosen["fast"] < chosen["slow"]:
                continue
            if "accel_start" in chosen and chosen["accel_start"] > chosen["accel_max"]:
                continue
            for levels in product(*(axis(knobs[n]) for n in knob_names)):
                yield {
                    "name": block.get("name", block["indicator_id"]),
                    "indicator_id": block["indicator_id"],
                    "output": block["output"],
                    "source": source,
                    "params": chosen,
                    "signals": dict(zip(knob_names, levels, strict=True)),
                    **({"timeframe": block["timeframe"]} if "timeframe" in block else {}),
                }


def base_variants(template: Payload) -> list[list[dict[str, Any]]]:
    """List the blocks of every base variant, exits last; position = base index."""
    blocks = [
        block
        for part in ("indicator_grids", "exit_grids")
        for block in sorted(
            template.get(part, []), key=lambda block: block.get("name", block["indicator_id"])
        )
    ]
    return [list(chosen) for chosen in product(*(list(block_variants(b)) for b in blocks))]


def risk_variants(template: Payload) -> list[RiskLevels]:
    """List the risk combinations, each once per percent; position = risk index."""
    grid = template.get("risk_grid") or {}
    return [
        RiskLevels(sl, tp, tsl)
        for sl, tp, tsl in product(*(axis(grid.get(name)) for name in ("sl", "tp", "tsl")))
        for _ in percents(template)
    ]


def percents(template: Payload) -> list[float | None]:
    """List the shares of the equity that are tried; (None,) where sizing is not by percent."""
    if template["sizing_mode"] != "percent":
        return [None]
    percent = template["execution"]["percent"]
    return axis(percent) if isinstance(percent, dict) else [percent]
