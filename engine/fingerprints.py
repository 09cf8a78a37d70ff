"""Hashes over the sources that results depend on. Nothing is imported, so it is cheap and safe."""

import hashlib
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import EntryPoint, PackagePath
from importlib.util import find_spec
from pathlib import Path, PurePath

from engine.indicators import plugins

ENGINE = Path(__file__).parent
_DIGITS = 12


def of_engine() -> str:
    """Return the hash of every source file of the engine."""
    return _hash_of(_sources_in(ENGINE))


def of_plugins() -> tuple[str, ...]:
    """Return `name-version+hash` of each installed distribution that brings indicators."""
    files: dict[str, dict[str, Path]] = {}
    for entry_point in plugins.installed():
        own = files.setdefault(plugins.distribution_of(entry_point), {})
        own |= _sources_of(entry_point)
    return tuple(f"{name}+{_hash_of(own)}" for name, own in sorted(files.items()))


def _sources_of(entry_point: EntryPoint) -> dict[str, Path]:
    """Return the files of its package, and whatever else its distribution installed.

    An editable install puts no source into the distribution. What it makes importable is told by
    `top_level.txt`, which setuptools writes, and by the folders in its `.pth` files.
    """
    found: dict[str, Path] = {}
    modules = {entry_point.module.partition(".")[0]}
    for installed in (entry_point.dist and entry_point.dist.files) or ():
        if _is_source(installed):
            found[installed.as_posix()] = Path(str(installed.locate()))
        elif installed.name == "top_level.txt":
            modules |= set(_lines(installed))
        elif installed.suffix == ".pth":
            for line in _lines(installed):
                found |= _importable_from(Path(line))
    for module in modules:
        found |= _sources_of_module(module)
    return found


def _sources_of_module(name: str) -> dict[str, Path]:
    """Return the files of a module or package at the top, found without importing it."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return {}
    if spec is None:
        return {}
    if spec.submodule_search_locations is None:
        return {} if spec.origin is None else {Path(spec.origin).name: Path(spec.origin)}
    found: dict[str, Path] = {}
    for folder in spec.submodule_search_locations:
        found |= _sources_in(Path(folder))
    return found


def _importable_from(folder: Path) -> dict[str, Path]:
    """Return the sources of all modules and packages that lie directly in a folder."""
    found: dict[str, Path] = {}
    for place in folder.iterdir() if folder.is_absolute() and folder.is_dir() else ():
        if _is_source(place):
            found[place.name] = place
        elif (place / "__init__.py").is_file():
            found |= _sources_in(place)
    return found


def _lines(file: PackagePath) -> list[str]:
    try:
        return [line.strip() for line in file.read_text().splitlines()]
    except OSError:
        return []


def _sources_in(package: Path) -> dict[str, Path]:
    """Return the sources under a package by their names from its parent folder on."""
    return {
        file.relative_to(package.parent).as_posix(): file
        for file in package.rglob("*")
        if _is_source(file)
    }


def _is_source(file: PurePath) -> bool:
    return file.name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES))


def _hash_of(files: Mapping[str, Path]) -> str:
    """Return a hash of names and contents, the same wherever the files are installed."""
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:_DIGITS]
