"""Installed packages bring indicators; one that cannot be loaded takes nothing else away."""

import json
from pathlib import Path

import pytest

from engine.indicators.registry import catalogue
from tests.engine.indicators.distributions import DECLARATION, Folder

IDS = [indicator.id for indicator in catalogue()]

LISTED = "from engine.indicators import registry as r; print([i.id for i in r.catalogue()])"

SUBMITTED = """
import json, sys
from engine.request import RequestError, complete
from tests.engine.requests import DEFAULTS, LIMITS, with_value

try:
    complete(with_value("template.indicator_grids", json.loads(sys.argv[1])), DEFAULTS, LIMITS)
except RequestError as error:
    print(error)
"""

BROKEN = {
    "raises": ("raise RuntimeError('no licence\\nfor acme')", "RuntimeError: no licence for acme"),
    "imports what is not there": ("import no_such_module", "ModuleNotFoundError: No module named"),
    "exits": ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
    "does not parse": ("def", "SyntaxError: invalid syntax"),
    "has no such attribute": ("", "AttributeError: module 'acme_indicators' has no attribute"),
    "holds no indicators": ("INDICATORS = ['a string']", "DeclarationError: the entry point holds"),
    "holds nothing to look through": ("INDICATORS = 7", "TypeError: 'int' object"),
    "contradicts itself": (
        DECLARATION.format(id="acme.value", package="x").replace('"sign"', '"sgn"'),
        "DeclarationError: indicator acme.value: unknown rule 'sgn'",
    ),
    "declares an id of ours": (
        DECLARATION.format(id="ma.sma", package="x"),
        "DeclarationError: ma.sma is declared once more",
    ),
    "declares an id twice": (
        DECLARATION.format(id="acme.value", package="x") + "\nINDICATORS *= 2",
        "DeclarationError: acme.value is declared once more",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def refusal(folder: Folder, *indicator_ids: str) -> str:
    """What is wrong with a request of these indicators."""
    grids = json.dumps([{"indicator_id": indicator_id} for indicator_id in indicator_ids])
    ended = folder.run("-c", SUBMITTED, grids)
    assert ended.code == 0, ended
    return ended.out


@pytest.mark.parametrize("single", [False, True])
def test_a_package_adds_indicators_through_its_entry_point(folder: Folder, single: bool) -> None:
    source = DECLARATION.format(id="acme.value", package="acme_indicators")
    folder.install("acme", source=source + ("\nINDICATORS, = INDICATORS" if single else ""))
    ended = folder.run("-c", LISTED)
    assert ended.out.strip() == str(sorted([*IDS, "acme.value"]))
    assert ended.err == ""


@pytest.mark.parametrize(("source", "error"), BROKEN.values(), ids=BROKEN.keys())
def test_a_package_that_cannot_be_loaded_is_named_once_and_left_out(
    folder: Folder, source: str, error: str
) -> None:
    folder.install("acme", source=source)
    folder.install("bell")
    ended = folder.run("-c", f"{LISTED}; r.catalogue(); r.left_out()")
    assert ended.code == 0, ended
    assert ended.out.strip() == str(sorted([*IDS, "bell.value"]))
    (warning,) = ended.err.splitlines()
    assert warning.startswith(
        "plugin acme (acme-indicators-1.0.0) is left out, it could not be loaded: "
    )
    assert error in warning


def test_of_two_packages_that_declare_one_id_the_second_by_name_is_left_out(folder: Folder) -> None:
    folder.install("bell", indicator_id="shared.value")
    folder.install("acme", indicator_id="shared.value")
    ended = folder.run("-c", f"{LISTED}; print(r.get('shared.value').kernel)")
    assert ended.out.splitlines()[1] == "acme_indicators.kernels:value"
    assert "plugin bell (bell-indicators-1.0.0) is left out" in ended.err


def test_a_request_for_its_indicator_is_refused_with_the_reason(folder: Folder) -> None:
    folder.install("acme", source="raise RuntimeError('no licence')")
    assert refusal(folder, "acme.value").strip() == (
        "template.indicator_grids[0].indicator_id: indicator 'acme.value' is not available: "
        "plugin acme (acme-indicators-1.0.0) could not be loaded: RuntimeError: no licence"
    )


def test_a_request_for_an_id_of_another_name_hears_of_it_too(folder: Folder) -> None:
    folder.install("acme", source="raise RuntimeError('no licence')")
    said = refusal(folder, "momentum.rsj")
    assert "unknown indicator 'momentum.rsj'; did you mean momentum.rsi" in said
    assert "plugin acme (acme-indicators-1.0.0) could not be loaded: RuntimeError" in said


def test_requests_for_other_indicators_do_not_notice(folder: Folder) -> None:
    folder.install("acme", source="raise RuntimeError('no licence')")
    assert refusal(folder, "ma.sma", "momentum.rsi") == ""


def test_an_override_of_its_axes_does_not_keep_programs_from_starting(folder: Folder) -> None:
    folder.install("acme", source="raise RuntimeError('no licence')")
    program = """
from engine.request import DefaultsError, read_defaults
from tests.engine.test_request_defaults import GIVEN

for id in ("acme.value", "acmee.value"):
    try:
        print(len(read_defaults(GIVEN | {"indicator_grids": {id: {}}}).indicator_grids))
    except DefaultsError as error:
        print(error)
"""
    without, misspelt = folder.says(program).splitlines()
    assert without == str(len(IDS))
    assert misspelt.startswith("indicator_grids.acmee.value: unknown indicator 'acmee.value'")
    assert "RuntimeError: no licence" in misspelt


def test_a_plugin_named_like_a_family_of_ours_does_not_hide_it(folder: Folder) -> None:
    folder.install("momentum", source="raise RuntimeError('no licence')")
    program = """
from engine.request import DefaultsError, read_defaults
from tests.engine.test_request_defaults import GIVEN

try:
    read_defaults(GIVEN | {"indicator_grids": {"momentum.rsi": {"parms": {}}}})
except DefaultsError as error:
    print(error)
"""
    assert "indicator_grids.momentum.rsi.parms: unknown key" in folder.says(program)


def test_a_kernel_that_cannot_be_loaded_breaks_its_own_jobs_only(folder: Folder) -> None:
    folder.install("acme", kernels="raise RuntimeError('no compiler')")
    program = """
import numpy as np
from engine import synthetic
from engine.indicators.compute import compute, kernel_loaders
from engine.indicators.registry import catalogue, get
from engine.indicators.plugins import PluginFault

ids = [indicator.id for indicator in catalogue()]
kernel_loaders()[ids.index("acme.value")]()
candles = synthetic.bars(seed=1, count=30, timeframe_ms=900_000)
indicator = get("acme.value")
try:
    compute(indicator, indicator.output(), candles, "close", np.array([[2.0]]))
except PluginFault as error:
    print(error)
"""
    ended = folder.run("-c", program)
    assert ended.code == 0, ended
    said = (
        "plugin acme (acme-indicators-1.0.0): acme.value: the kernel could not be loaded: "
        "RuntimeError: no compiler"
    )
    assert ended.out.strip() == said
    assert said in ended.err


RAISING = """
from numba import njit

@njit(nogil=True, error_model="numpy")
def value(inputs, params, output, out):
    raise ValueError("run")
"""


def test_a_kernel_is_compiled_but_not_run_before_a_job_asks_for_it(folder: Folder) -> None:
    folder.install("acme", kernels=RAISING)
    program = """
from acme_indicators.kernels import value
from engine.indicators.compute import kernel_loaders
from engine.indicators.registry import catalogue

ids = [indicator.id for indicator in catalogue()]
kernel_loaders()[ids.index("acme.value")]()
print(len(value.signatures))
"""
    ended = folder.run("-c", program)
    assert (ended.out.strip(), ended.err) == ("1", "")


def test_the_list_of_indicators_shows_what_was_left_out(folder: Folder) -> None:
    folder.install("acme", source="raise RuntimeError('no licence')")
    reason = "plugin acme (acme-indicators-1.0.0) could not be loaded: RuntimeError: no licence"
    ended = folder.run("-m", "cli", "indicators", COLUMNS="200")
    assert ended.code == 0, ended
    assert reason in ended.out
    assert "momentum.rsi" in ended.out
    one = folder.run("-m", "cli", "indicators", "acme.value")
    assert one.code == 2
    assert reason in one.err.splitlines()[-1]


def test_plugins_of_one_name_do_not_meet_in_a_process_of_tests(tmp_path: Path) -> None:
    for name in ("first", "second"):
        folder = Folder(tmp_path / name)
        folder.path.mkdir()
        folder.install("acme", indicator_id=f"acme.{name}")
        with folder.imported():
            assert {indicator.id for indicator in catalogue()} == {*IDS, f"acme.{name}"}
    assert [indicator.id for indicator in catalogue()] == IDS
