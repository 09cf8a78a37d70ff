"""When the processes of a worker began and ended the steps of a job.

`benchmarks.claim_to_stage_a` copies this file as `sitecustomize.py` into a folder of PYTHONPATH, so
every Python process of a worker loads it first. It wraps the functions of `STEPS` when their
modules are imported, whichever checkout they come from; one that a checkout does not have is not
marked. A mark is a line `name begin end` in the file $BENCHMARK_MARKS, by the clock that Postgres
reads, too.
"""

import functools
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

FILE = "BENCHMARK_MARKS"

STEPS = {
    "tasks.claim": ["take"],
    "tasks.process": ["ForkServer.fork"],
    "tasks.compute": ["main", "parse", "_load_candles"],
    "tasks.isolation": ["limit_memory"],
    "storage.candles.folder": ["FolderStore.start", "FolderStore.bars"],
    "storage.candles.server": ["ServerStore.start", "ServerStore.bars"],
    "storage.candles.store": ["CandleStore.start", "CandleStore.bars"],
    "storage.candles.instrument_files": ["InstrumentFiles.rows"],
    "engine.candles": ["timeline", "Candles.content_hash"],
    "engine.sweep": ["Sweep.stage_a", "Sweep.stage_b"],
    "engine.report": ["reports"],
    "tasks.job_writer": ["JobWriter.start_stage", "JobWriter.start_stage_b", "JobWriter.succeed"],
}


class _Marking(MetaPathFinder):
    """Finds the modules of `STEPS` where everybody finds them, and wraps what they define."""

    def __init__(self) -> None:
        self._finding: set[str] = set()

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in STEPS or name in self._finding:
            return None
        self._finding.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._finding.discard(name)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for step in STEPS[name]:
                _wrap(module, step)

        loader.exec_module = exec_module
        return spec


def _wrap(module: ModuleType, step: str) -> None:
    *parents, attribute = step.split(".")
    owner: Any = module
    for parent in parents:
        owner = getattr(owner, parent, None)
    function = vars(owner).get(attribute) if owner is not None else None
    if function is not None:
        setattr(owner, attribute, _marked(attribute, function))


def _marked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def marked(*arguments: Any, **named: Any) -> Any:
        begin = time.time()
        if name in ("main", "stage_a", "stage_b", "reports"):
            # A generator has done nothing when its call returns, and `main` ends with its process.
            _write(name, begin, begin)
            return function(*arguments, **named)
        try:
            return function(*arguments, **named)
        finally:
            _write(name, begin, time.time())

    return marked


def _write(name: str, begin: float, end: float) -> None:
    handle = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{name} {begin:.6f} {end:.6f}\n".encode())
    finally:
        os.close(handle)


if FILE in os.environ and __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Marking())
