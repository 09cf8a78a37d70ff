"""The catalogue as plain data, for whoever shows or completes requests: JSON types only."""

from collections.abc import Mapping
from typing import Any

from engine.indicators.declaration import RULES, SOURCES, Indicator, Output, Param
from engine.indicators.lookback import defined_after, settled_after
from engine.request.axes import axis_values
from engine.request.model import BlockRequest
from engine.request.warmup import longest


def described(indicator: Indicator, grids: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything a request needs to know about an indicator.

    `grids` maps indicator ids to their default axes; a parameter without one has default None and
    must be given by the request. The lookback of an output is that of its default grid.
    """
    own = grids.get(indicator.id, {})
    defaults = own.get("params", {}), own.get("signals", {})
    return {
        "indicator_id": indicator.id,
        "description": indicator.description,
        "formula": indicator.formula,
        "inputs": list(indicator.inputs),
        "sources": list(SOURCES) if indicator.has_source else [],
        "params": [_param(param, defaults[0]) for param in indicator.params],
        "conditions": [str(relation) for relation in indicator.relations],
        "outputs": [_output(indicator, output, *defaults) for output in indicator.outputs],
    }


def _output(
    indicator: Indicator, output: Output, params: Mapping[str, Any], signals: Mapping[str, Any]
) -> dict[str, Any]:
    rule = RULES[output.rule]
    return {
        "name": output.name,
        "params": list(output.params),
        "rule": rule.name,
        "rule_description": rule.description,
        "signals": [_param(param, signals) for param in rule.params],
        "lookback": _lookback(indicator, output, params, signals),
    }


def _lookback(
    indicator: Indicator, output: Output, params: Mapping[str, Any], signals: Mapping[str, Any]
) -> dict[str, int] | None:
    """Return the lookback of the default grid in bars; None where an axis has no default."""
    names = [param.name for param in RULES[output.rule].params]
    if not set(output.params) <= set(params) or not set(names) <= set(signals):
        return None
    block = BlockRequest(
        name=indicator.id,
        indicator=indicator,
        output=output,
        sources=(),
        params={name: axis_values(params[name]) for name in output.params},
        signals={name: axis_values(signals[name]) for name in names},
    )
    return {
        "defined_after": longest(block, defined_after),
        "settled_after": longest(block, settled_after),
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
