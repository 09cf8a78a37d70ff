"""Hashes over the sources that results depend on. Nothing is imported, so it is cheap and safe."""

import hashlib
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import EntryPoint
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
    """Return the files of its package, and whatever else its distribution installed."""
    found: dict[str, Path] = {}
    for installed in (entry_point.dist and entry_point.dist.files) or ():
        if _is_source(installed):
            found[installed.as_posix()] = Path(str(installed.locate()))
    try:
        spec = find_spec(entry_point.module.partition(".")[0])
    except (ImportError, ValueError):
        return found
    if spec is None:
        return found
    if spec.submodule_search_locations is None and spec.origin is not None:
        file = Path(spec.origin)
        return found | {file.name: file}
    for folder in spec.submodule_search_locations or ():
        found |= _sources_in(Path(folder))
    return found


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
