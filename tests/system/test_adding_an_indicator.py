"""The package of docs/adding-an-indicator.md, built from that text, works as it says."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.kernel_cache import cache_folder

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/adding-an-indicator.md"
NAMED_BLOCK = re.compile(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)

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
    folder = tmp_path_factory.mktemp("acme")
    blocks = dict(NAMED_BLOCK.findall(DOCUMENT.read_text()))
    blocks["backtest.yaml"] = (ROOT / "configs/dev/backtest.yaml").read_text()
    for name, text in blocks.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    project = tomllib.loads(blocks["pyproject.toml"])["project"]
    name, version = project["name"], project["version"]
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    take_compiled_kernels(folder)
    return folder


def take_compiled_kernels(package: Path) -> None:
    """Put the engine's kernels into the cache of an installation with the package.

    It has a cache of its own, and would compile for half a minute what is the same in both.
    """
    code = "from engine.kernel_cache import cache_folder; print(cache_folder())"
    own = Path(run(package, "-c", code).splitlines()[-1])
    assert own != cache_folder()
    if cache_folder().exists() and not own.exists():
        # Other processes of the suite may be writing there.
        unfinished = shutil.ignore_patterns("*.tmp.*", "all-kernels")
        shutil.copytree(cache_folder(), own, ignore=unfinished)


def run(package: Path, *arguments: str) -> str:
    """Run Python beside the package, and return what it printed."""
    paths = os.pathsep.join((str(package), str(ROOT)))
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "ROEHUB"))
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=package,
        env=environment | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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
