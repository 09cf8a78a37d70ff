"""All variants of a request by plain loops, as the value of each parameter, and who is beside whom.

A parameter is named as the axes of the engine are: title of its block, and its own name.
"""

from collections.abc import Mapping
from typing import Any

from engine.request import Request
from tests.engine.enumeration import axis, base_variants, percents, risk_variants

Values = dict[str, Any]


def blocks_of(template: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """List title and block, in the order of the grid."""
    return [
        (prefix + block["name"] + (f" {block['timeframe']}" if "timeframe" in block else ""), block)
        for prefix, part in (("", "indicator_grids"), ("exit ", "exit_grids"))
        for block in sorted(template.get(part) or [], key=lambda block: str(block["name"]))
    ]


def base_values(request: Request) -> list[Values]:
    """List the values of every base variant; position = base index."""
    template = dict(request.document["template"])
    titles = [title for title, _ in blocks_of(template)]
    return [
        {
            f"{title} {name}": value
            for title, block in zip(titles, variant, strict=True)
            for part in ({"source": block["source"]}, block["params"], block["signals"])
            for name, value in part.items()
        }
        for variant in base_variants(template)
    ]


def whole_values(request: Request) -> list[Values]:
    """List the values of every variant with its risk; position = stage-B index."""
    template = dict(request.document["template"])
    levels = risk_variants(template)
    shares = percents(template) * (len(levels) // len(percents(template)))
    risks: list[Values] = [
        {"sl": each.sl, "tp": each.tp, "tsl": each.tsl, "percent": share}
        for each, share in zip(levels, shares, strict=True)
    ]
    return [base | risk for base in base_values(request) for risk in risks]


def asked(request: Request) -> dict[str, list[float]]:
    """List the numbers that each parameter is given, ascending."""
    template = request.document["template"]
    specs = {
        f"{title} {name}": spec
        for title, block in blocks_of(template)
        for part in ("params", "signals")
        for name, spec in block[part].items()
    }
    specs |= {name: (template.get("risk_grid") or {}).get(name) for name in ("sl", "tp", "tsl")}
    found = {name: axis(spec) for name, spec in specs.items()}
    found["percent"] = percents(dict(template))
    return {
        name: sorted(value for value in values if value is not None)
        for name, values in found.items()
        if not any(isinstance(value, str) for value in values)
    }


def beside(request: Request, variants: list[Values]) -> list[dict[tuple[str, str], int]]:
    """Return for every variant its neighbours: (parameter, "lower" or "higher") → index."""
    numbers = asked(request)
    index = {tuple(values.items()): at for at, values in enumerate(variants)}
    found: list[dict[tuple[str, str], int]] = []
    for values in variants:
        own = {}
        for name, value in values.items():
            if value not in numbers.get(name, []):
                continue
            for step, by in (("lower", -1), ("higher", 1)):
                at = numbers[name].index(value) + by
                if 0 <= at < len(numbers[name]):
                    other = index.get(tuple({**values, name: numbers[name][at]}.items()))
                    if other is not None:
                        own[name, step] = other
        found.append(own)
    return found
