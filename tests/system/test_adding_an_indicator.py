"""The package of docs/adding-an-indicator.md, built from that text, works as it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.system.plugin_package import ROOT, install, run

DOCUMENT = ROOT / "docs/adding-an-indicator.md"

SWEEP = """
import json
from pathlib import Path

from configs.settings import load
from engine import synthetic
from engine.indicators.registry import catalogue
from engine.request import Limits, complete, parse, read_defaults, read_json
from engine.sweep import Sweep

document = read_json(Path("request.json").read_text()) | {"ranking": {"min_trades": 0}}
candles = synthetic.bars(2, 2_000, 900_000, warmup_bars=200)


def best_of(config):
    settings = load(config, {"ROEHUB_ENV": "dev"})
    defaults = read_defaults(*settings.request_defaults())
    request = parse(complete(document, defaults, Limits(**settings.request_limits())))
    sweep = Sweep(request, candles)
    *_, last = sweep.stage_a()
    total = last.total
    *_, last = sweep.stage_b(last.top.indexes())
    variants = [sweep.grid.variant(index) for index in last.top.indexes()]
    return total, last.top.scores()[0].tolist(), variants


total, returns, variants = best_of(None)
overridden, *_ = best_of("backtest.yaml")
ids = [indicator.id for indicator in catalogue()]
print(json.dumps([ids, total, returns, variants, overridden]))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the document's files as an installed distribution would."""
    return install(DOCUMENT, tmp_path_factory.mktemp("acme"))


@pytest.fixture(scope="module")
def swept(package: Path) -> dict[str, Any]:
    """What a sweep of the document's request came to, beside the package."""
    names = ("ids", "total", "returns", "variants", "overridden")
    return dict(zip(names, json.loads(run(package, "-c", SWEEP).splitlines()[-1]), strict=True))


def test_the_catalogue_of_an_installation_with_the_package_has_its_indicator(
    swept: dict[str, Any],
) -> None:
    assert "acme.median" in swept["ids"]
    assert swept["ids"] == sorted(swept["ids"])


def test_a_sweep_over_its_default_axes_ranks_variants(swept: dict[str, Any]) -> None:
    assert swept["total"] == 10 * 2 * 2 * 2  # windows, long and short thresholds, averages
    assert len(swept["returns"]) == 10
    assert swept["returns"] == sorted(swept["returns"], reverse=True)
    assert any(value != 0.0 for value in swept["returns"])
    for variant in swept["variants"]:
        assert variant["blocks"][0]["indicator_id"] == "acme.median"
        assert variant["blocks"][0]["params"]["window"] in range(5, 51, 5)


def test_an_override_of_the_installation_replaces_its_axis(swept: dict[str, Any]) -> None:
    assert swept["overridden"] == 2 * 2 * 2 * 2


def test_a_parameter_without_default_axes_is_refused_as_the_document_says(package: Path) -> None:
    promised = re.search(r"^    (template\.indicator_grids.*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert promised is not None
    program = """
import acme_indicators
from dataclasses import replace
from pathlib import Path

(median,) = acme_indicators.INDICATORS
window, = median.params
acme_indicators.INDICATORS = (replace(median, params=(replace(window, default=None),)),)

from configs.settings import load
from engine.request import Limits, RequestError, complete, read_defaults, read_json

settings = load(None, {"ROEHUB_ENV": "dev"})
try:
    complete(
        read_json(Path("request.json").read_text()),
        read_defaults(*settings.request_defaults()),
        Limits(**settings.request_limits()),
    )
except RequestError as error:
    print(error)
"""
    assert promised[1] in run(package, "-c", program)


def test_the_tests_of_the_document_pass(package: Path) -> None:
    ours = ("-p", "no:cacheprovider", "--basetemp", str(package / "temporary"))
    printed = run(package, "-m", "pytest", *ours, "test_acme_indicators.py")
    assert re.search(r"\b8 passed", printed)
