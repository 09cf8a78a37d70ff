"""`engine.identity()`: which code computes, the versions and sources of plugins included."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from tests.engine.indicators.distributions import ROOT, Folder

IDENTITY = "import engine; print(engine.identity())"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def identity(folder: Folder) -> str:
    return folder.says(IDENTITY)


def test_it_is_the_version_and_a_hash(folder: Folder) -> None:
    assert re.fullmatch(rf"{re.escape(engine.VERSION)}\+[0-9a-f]{{12}}", identity(folder))
    assert engine.identity() == identity(folder)


def test_plugins_follow_with_their_versions(folder: Folder) -> None:
    ours = identity(folder)
    folder.install("bell", version="2.1")
    folder.install("acme")
    plugins = r"acme-indicators-1\.0\.0\+[0-9a-f]{12} bell-indicators-2\.1\+[0-9a-f]{12}"
    assert re.fullmatch(f"{re.escape(ours)} {plugins}", identity(folder))


CHANGES: dict[str, Callable[[Folder], None]] = {
    "upgraded": lambda folder: folder.install("acme", version="1.0.1"),
    "declaration edited": lambda folder: folder.install("acme", source="INDICATORS = ()"),
    "kernel edited": lambda folder: folder.install("acme", kernels="# edited"),
    "does not load any more": lambda folder: folder.install("acme", source="raise RuntimeError"),
    "joined by another": lambda folder: folder.install("bell"),
    "file added": lambda folder: (folder.path / "acme_indicators/more.py").write_text("") and None,
    "removed": lambda folder: shutil.rmtree(next(folder.path.glob("*.dist-info"))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_of_a_plugin_gives_another_identity(
    folder: Folder, change: Callable[[Folder], None]
) -> None:
    folder.install("acme")
    before = identity(folder)
    change(folder)
    assert identity(folder) != before


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_of_a_plugin_leads_to_another_folder_of_compiled_kernels(
    folder: Folder, change: Callable[[Folder], None]
) -> None:
    cache = "from engine.kernel_cache import cache_folder; print(cache_folder())"
    folder.install("acme")
    before = folder.says(cache)
    change(folder)
    assert folder.says(cache) != before


def test_it_is_the_same_wherever_a_plugin_is_installed(tmp_path: Path) -> None:
    identities = set()
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        elsewhere = Folder(tmp_path / place)
        elsewhere.install("acme")
        identities.add(identity(elsewhere))
    assert len(identities) == 1


def test_what_python_leaves_behind_does_not_change_it(folder: Folder) -> None:
    folder.install("acme")
    before = identity(folder)
    (folder.path / "acme_indicators/__pycache__").mkdir()
    (folder.path / "acme_indicators/__pycache__/kernels.cpython-311.pyc").write_bytes(b"x")
    assert identity(folder) == before


def test_everything_a_distribution_installs_counts(folder: Folder) -> None:
    folder.install("acme")
    (metadata,) = folder.path.glob("*.dist-info")
    (metadata / "RECORD").write_text("acme_indicators/__init__.py,,\nacme_arithmetic.py,,\n")
    (folder.path / "acme_arithmetic.py").write_text("one = 1")
    before = identity(folder)
    (folder.path / "acme_arithmetic.py").write_text("one = 2")
    assert identity(folder) != before


def edit(file: Path) -> None:
    file.write_text(f"{file.read_text()}# edited\n")


EDITABLE: dict[str, tuple[dict[str, str], list[str]]] = {
    "a folder on the path": (
        {"_acme.pth": "{project}\n"},
        ["acme_indicators/kernels.py", "acme_arithmetic/deep/sums.py", "acme_single.py"],
    ),
    "names at the top": (
        {"acme.dist-info/top_level.txt": "acme_indicators\nacme_arithmetic\nacme_single\n"},
        ["acme_indicators/kernels.py", "acme_arithmetic/deep/sums.py", "acme_single.py"],
    ),
}


@pytest.mark.parametrize(("said", "sources"), EDITABLE.values(), ids=EDITABLE.keys())
def test_of_an_editable_install_all_sources_count_that_it_makes_importable(
    tmp_path: Path, said: dict[str, str], sources: list[str]
) -> None:
    project, site = tmp_path / "project", tmp_path / "site"
    metadata = site / "acme.dist-info"
    metadata.mkdir(parents=True)
    for file in ("acme_indicators/__init__.py", "acme_arithmetic/__init__.py", *sources):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text("")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[backtest.indicators]\nacme = acme_indicators:INDICATORS\n"
    )
    for name, text in said.items():
        (site / name).write_text(text.format(project=project))
    (metadata / "RECORD").write_text("".join(f"{name},,\n" for name in said))
    program = f"import site; site.addsitedir({str(site)!r}); {IDENTITY}"
    folder = Folder(site)

    def of_the_install() -> str:
        return folder.says(f"import sys; sys.path.append({str(project)!r}); {program}")

    for source in sources:
        before = of_the_install()
        assert " acme-1+" in before
        edit(project / source)
        assert of_the_install() != before, source


def test_of_a_plugin_of_one_module_the_module_counts(folder: Folder) -> None:
    folder.install("acme")
    (metadata,) = folder.path.glob("*.dist-info")
    (metadata / "entry_points.txt").write_text(
        "[backtest.indicators]\nacme = acme_single:INDICATORS\n"
    )
    (folder.path / "acme_single.py").write_text("INDICATORS = ()\n")
    before = identity(folder)
    edit(folder.path / "acme_single.py")
    assert identity(folder) != before


@pytest.mark.parametrize(
    "source", ["kernels/execution.py", "indicators/kernels/ma.py", "ranking.py", "request/axes.py"]
)
def test_any_edit_of_the_engine_gives_another_identity(tmp_path: Path, source: str) -> None:
    copy = tmp_path / "engine"
    shutil.copytree(ROOT / "engine", copy, ignore=shutil.ignore_patterns("__pycache__"))

    def of_the_copy() -> str:
        return subprocess.run(
            [sys.executable, "-B", "-c", IDENTITY],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    before = of_the_copy()
    assert before.strip() == engine.identity()
    (copy / source).write_text((copy / source).read_text() + "\n# edited\n")
    assert of_the_copy() != before


def test_it_loads_neither_the_compiler_nor_a_plugin(folder: Folder) -> None:
    folder.install("acme", source="import sys; sys.exit('loaded')")
    program = f"{IDENTITY}; import sys; print('numba' in sys.modules)"
    assert folder.says(program).splitlines()[-1] == "False"
