"""Distributions that bring indicators, installed into a folder, and programs run beside them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.indicators import registry

ROOT = Path(__file__).parents[3]

DECLARATION = """
from engine.indicators.declaration import Indicator, Output, window

INDICATORS = (
    Indicator(
        id="{id}",
        inputs=("source",),
        params=(window(),),
        outputs=(Output("value", "sign", ("window",)),),
        kernel="{package}.kernels:value",
        description="A value.",
        formula="a formula",
    ),
)
"""


@dataclass(frozen=True)
class Ended:
    """What a program left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Folder:
    """A folder on the import path."""

    path: Path

    def install(
        self,
        name: str,
        *,
        source: str | None = None,
        kernels: str = "",
        version: str = "1.0.0",
        indicator_id: str | None = None,
    ) -> None:
        """Install distribution `<name>-indicators` with the plugin `name`, or replace it."""
        package = self.path / f"{name}_indicators"
        package.mkdir(exist_ok=True)
        declaration = DECLARATION.format(id=indicator_id or f"{name}.value", package=package.name)
        (package / "__init__.py").write_text(declaration if source is None else source)
        (package / "kernels.py").write_text(kernels)
        for old in self.path.glob(f"{package.name}-*.dist-info"):
            old.rename(old.with_name(f"{package.name}-{version}.dist-info"))
        metadata = self.path / f"{package.name}-{version}.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-indicators\nVersion: {version}\n"
        )
        (metadata / "entry_points.txt").write_text(
            f"[backtest.indicators]\n{name} = {package.name}:INDICATORS\n"
        )

    @contextmanager
    def imported(self) -> Iterator[None]:
        """Have this process know the plugins of the folder, and forget them in the end.

        Also their modules: tests give plugins the same few names.
        """
        known = set(sys.modules)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(self.path)
            registry._found.cache_clear()
            try:
                yield
            finally:
                registry._found.cache_clear()
                for name in set(sys.modules) - known:
                    if name.partition(".")[0].endswith("_indicators"):
                        del sys.modules[name]

    def run(self, *arguments: str, **environ: str) -> Ended:
        """Run Python with this folder and the product on its path."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTEST", "ROEHUB", "NUMBA", "CH_", "STRATEGY"))
        }
        paths = os.pathsep.join((str(self.path), str(ROOT)))
        done = subprocess.run(
            [sys.executable, "-B", *arguments],
            cwd=self.path,
            env=kept | {"PYTHONPATH": paths} | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def says(self, program: str) -> str:
        """Run a program that must succeed; returns what it printed, without the last newline."""
        ended = self.run("-c", program)
        assert ended.code == 0, ended
        return ended.out.removesuffix("\n")
