"""The default axes that indicators declare."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.indicators.registry import FAMILIES, Indicator, Param, catalogue

RELEASED: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("default_axes.yaml").read_text())
OURS = [indicator for indicator in catalogue() if indicator.id.split(".")[0] in FAMILIES]


def values(axis: Any) -> list[Any]:
    if axis["mode"] == "explicit":
        return list(axis["values"])
    count = int((axis["stop_incl"] - axis["start"]) / axis["step"] + 1e-9) + 1
    return [axis["start"] + number * axis["step"] for number in range(count)]


def assert_within(param: Param, axis: Any) -> None:
    for value in values(axis):
        if param.kind == "choice":
            assert value in param.choices
            continue
        assert isinstance(value, int) or param.kind == "float"
        assert param.minimum is None or value >= param.minimum
        assert param.maximum is None or value <= param.maximum


@pytest.mark.parametrize("indicator_id", RELEASED)
def test_the_default_axes_are_those_that_were_released(indicator_id: str) -> None:
    (indicator,) = (each for each in OURS if each.id == indicator_id)
    declared = {param.name: param.default for param in indicator.params}
    assert declared == RELEASED[indicator_id]["params"]
    assert indicator.signals == RELEASED[indicator_id]["signals"]


@pytest.mark.parametrize("indicator", OURS, ids=lambda indicator: indicator.id)
def test_every_parameter_has_default_axes_within_its_bounds(indicator: Indicator) -> None:
    assert set(indicator.signals) == set(indicator.signal_params)
    for param in indicator.params:
        assert_within(param, param.default)
    for name, param in indicator.signal_params.items():
        assert_within(param, indicator.signals[name])
