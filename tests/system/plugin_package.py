"""Packages that documents show, put where an installation has them, and programs beside them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from engine.kernel_cache import cache_folder

ROOT = Path(__file__).parents[2]
NAMED_BLOCK = re.compile(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def install(document: Path, folder: Path) -> Path:
    """Write the named files of a document as an installed distribution would have them."""
    blocks = dict(NAMED_BLOCK.findall(document.read_text()))
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
