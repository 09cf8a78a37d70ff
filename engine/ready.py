"""Having every kernel ready: compiled, or loaded from the disk cache."""

from time import monotonic

from engine.calibration import measure_once
from engine.compiled import note_cached
from engine.indicators.compute import kernel_loaders
from engine.kernels.preload import (
    preload_records,
    preload_report,
    preload_stage_a,
    preload_stage_b,
)
from engine.ranking import preload_kernels as preload_ranking
from engine.rules import preload_kernels as preload_rules
from engine.validation.search import preload_kernels as preload_validation


def preload(part: int = 0, parts: int = 1) -> float:
    """Compile, or load from the disk cache, every kernel of the engine; return the seconds.

    With `parts`, only each `parts`-th kernel from `part` on: processes may compile side by side.
    Where it is not known yet, the rate of this machine is measured as well.
    """
    begin = monotonic()
    heavy = (preload_stage_b, preload_stage_a, preload_report, preload_records, preload_validation)
    loaders = (*heavy, preload_rules, preload_ranking, *kernel_loaders())
    for load in loaders[part::parts]:
        load()
    if parts == 1:
        note_cached()
        measure_once()
    return monotonic() - begin
