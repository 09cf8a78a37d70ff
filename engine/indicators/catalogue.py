"""The catalogue as plain data, for whoever shows or completes requests: JSON types only."""

from collections.abc import Mapping
from typing import Any

from engine.indicators.declaration import RULES, SOURCES, Indicator, Output, Param


def described(indicator: Indicator, grids: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything a request needs to know about an indicator.

    `grids` maps indicator ids to their default axes; a parameter without one has default None and
    must be given by the request.
    """
    own = grids.get(indicator.id, {})
    signals = own.get("signals", {})
    return {
        "indicator_id": indicator.id,
        "description": indicator.description,
        "formula": indicator.formula,
        "inputs": list(indicator.inputs),
        "sources": list(SOURCES) if indicator.has_source else [],
        "params": [_param(param, own.get("params", {})) for param in indicator.params],
        "conditions": [str(relation) for relation in indicator.relations],
        "outputs": [_output(output, signals) for output in indicator.outputs],
    }


def _output(output: Output, defaults: Mapping[str, Any]) -> dict[str, Any]:
    rule = RULES[output.rule]
    return {
        "name": output.name,
        "params": list(output.params),
        "rule": rule.name,
        "rule_description": rule.description,
        "signals": [_param(param, defaults) for param in rule.params],
    }


def _param(param: Param, defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": param.name,
        "type": param.kind,
        "minimum": param.minimum,
        "maximum": param.maximum,
        "choices": list(param.choices),
        "default": defaults.get(param.name),
    }
