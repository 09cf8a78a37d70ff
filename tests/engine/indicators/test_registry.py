"""The catalogue: complete, free of numba, open to other packages, strict about declarations."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint

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
NO_INDICATOR = "a string"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points of packages that are installed as far as the registry can see."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda **_: points)
    registry._by_id.cache_clear()
    yield points
    registry._by_id.cache_clear()


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


@pytest.mark.parametrize("attribute", ["FOREIGN", "PAIR"])
def test_a_package_adds_indicators_through_its_entry_point(
    installed: list[EntryPoint], attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PAIR", (FOREIGN,), raising=False)
    installed.append(EntryPoint("acme", f"{__name__}:{attribute}", registry.ENTRY_POINT_GROUP))
    assert registry.get("acme.median") is FOREIGN


@pytest.mark.parametrize(
    "value", ["no.such.module:X", f"{__name__}:MISSING", f"{__name__}:NO_INDICATOR"]
)
def test_a_broken_package_is_named(installed: list[EntryPoint], value: str) -> None:
    installed.append(EntryPoint("acme", value, registry.ENTRY_POINT_GROUP))
    with pytest.raises(DeclarationError, match="entry point acme"):
        registry.catalogue()


def test_an_id_can_be_declared_only_once(installed: list[EntryPoint]) -> None:
    point = EntryPoint("acme", f"{__name__}:FOREIGN", registry.ENTRY_POINT_GROUP)
    installed.extend((point, point))
    with pytest.raises(DeclarationError, match=r"declares acme\.median once more"):
        registry.catalogue()


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
        ({"kernel": "acme.kernels.median"}, "module:function"),
    ],
)
def test_a_contradictory_declaration_is_refused(change: dict[str, object], message: str) -> None:
    fields = {name: getattr(FOREIGN, name) for name in Indicator.__dataclass_fields__}
    with pytest.raises(DeclarationError, match=message):
        Indicator(**(fields | change))
