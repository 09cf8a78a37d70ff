"""The default grids of the three environments."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.indicators.registry import FAMILIES, RULES, Indicator, Param, catalogue

CONFIGS = Path(__file__).parents[3] / "configs"
GRIDS: dict[str, Any] = yaml.safe_load((CONFIGS / "prod/indicators.yaml").read_text())["indicators"]
OURS = [indicator for indicator in catalogue() if indicator.id.split(".")[0] in FAMILIES]


def values(axis: dict[str, Any]) -> list[Any]:
    if axis["mode"] == "explicit":
        return list(axis["values"])
    count = int((axis["stop_incl"] - axis["start"]) / axis["step"] + 1e-9) + 1
    return [axis["start"] + number * axis["step"] for number in range(count)]


def assert_within(param: Param, axis: dict[str, Any]) -> None:
    for value in values(axis):
        if param.kind == "choice":
            assert value in param.choices
            continue
        assert isinstance(value, int) or param.kind == "float"
        assert param.minimum is None or value >= param.minimum
        assert param.maximum is None or value <= param.maximum


@pytest.mark.parametrize("environment", ["dev", "test"])
def test_every_environment_has_the_same_grids(environment: str) -> None:
    prod = (CONFIGS / "prod/indicators.yaml").read_bytes()
    assert (CONFIGS / environment / "indicators.yaml").read_bytes() == prod


def test_every_indicator_has_grids_and_no_other_has() -> None:
    assert list(GRIDS) == [indicator.id for indicator in OURS]


@pytest.mark.parametrize("indicator", OURS, ids=lambda indicator: indicator.id)
def test_every_parameter_has_a_grid_within_its_bounds(indicator: Indicator) -> None:
    grids = GRIDS[indicator.id]
    signals = {
        param.name: param for output in indicator.outputs for param in RULES[output.rule].params
    }
    assert list(grids["params"]) == [param.name for param in indicator.params]
    assert set(grids["signals"]) == set(signals)
    for param in indicator.params:
        assert_within(param, grids["params"][param.name])
    for name, param in signals.items():
        assert_within(param, grids["signals"][name])
