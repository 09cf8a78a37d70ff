"""The catalogue: complete, free of numba, strict about declarations."""

import subprocess
import sys
from importlib import import_module

import pytest

from engine.indicators import registry
from engine.indicators.declaration import Relation
from engine.indicators.registry import (
    DeclarationError,
    Indicator,
    Output,
    Param,
    UnknownIndicator,
    UnknownOutput,
)

FOREIGN = Indicator(
    id="acme.median",
    inputs=("source",),
    params=(Param("window", "int", 2, 1_000),),
    outputs=(Output("median", "price_vs_output", ("window",)),),
    kernel="acme.kernels:median",
    description="Rolling median.",
    formula="the middle of the sorted window",
)


def test_the_catalogue_is_sorted_and_each_kernel_exists() -> None:
    ids = [indicator.id for indicator in registry.catalogue()]
    assert ids == sorted(ids)
    for indicator in registry.catalogue():
        module, function = indicator.kernel.split(":")
        assert hasattr(import_module(module), function)
        assert registry.get(indicator.id) is indicator


def test_reading_the_catalogue_does_not_import_numba() -> None:
    code = "import sys; from engine.indicators import registry; registry.catalogue(); "
    code += "sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_indicator_is_answered_with_the_closest_ids() -> None:
    with pytest.raises(UnknownIndicator, match=r"'momentum\.rsl'.*momentum\.rsi"):
        registry.get("momentum.rsl")


def test_an_unknown_output_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownOutput, match="hist, line"):
        registry.get("momentum.macd").output("histogram")


def test_the_first_output_is_the_default() -> None:
    assert registry.get("volatility.bbands").output().name == "middle"


def test_validity_rules_compare_as_they_read() -> None:
    below, not_above = Relation("a", "b", strict=True), Relation("a", "b", strict=False)
    assert (str(below), str(not_above)) == ("a < b", "a <= b")
    assert [below.holds(1, b) for b in (0, 1, 2)] == [False, False, True]
    assert [not_above.holds(1, b) for b in (0, 1, 2)] == [False, True, True]
    psar = registry.get("trend.psar")
    assert psar.relations == (Relation("accel_start", "accel_max", strict=False),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": ("price",)}, "unknown input 'price'"),
        ({"inputs": ("close", "close")}, "input is declared twice"),
        ({"outputs": ()}, "no outputs"),
        ({"outputs": (Output("x", "sgn"),)}, "unknown rule 'sgn'"),
        ({"outputs": (Output("x", "sign", ("windw",)),)}, "unknown parameter 'windw'"),
        ({"ordered": (("fast", "window"),)}, "unknown parameter 'fast'"),
        ({"not_above": (("window", "most"),)}, "unknown parameter 'most'"),
        ({"signals": {"long_threshold": {}}}, "unknown signal parameter 'long_threshold'"),
        ({"kernel": "acme.kernels.median"}, "module:function"),
    ],
)
def test_a_contradictory_declaration_is_refused(change: dict[str, object], message: str) -> None:
    fields = {name: getattr(FOREIGN, name) for name in Indicator.__dataclass_fields__}
    with pytest.raises(DeclarationError, match=message):
        Indicator(**(fields | change))
