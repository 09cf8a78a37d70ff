"""From settings to the defaults of requests, every value checked as a request's own would be.

What a request may leave out comes from here, so a mistake must be found when a program starts and
not when the first request meets it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from engine.indicators import registry
from engine.indicators.registry import Indicator
from engine.request.block_axes import compute_total, read_given
from engine.request.block_entries import AXES
from engine.request.bounds import MARKET_ID, MAX_TOP_K, Bounds
from engine.request.entries import TABLE
from engine.request.fields import Field, FieldError
from engine.request.hints import suggestion
from engine.request.members import Reading, read_value
from engine.request.model import UNGUARDED, Defaults
from engine.request.table import Entry
from engine.request.words import shown

_NOWHERE: Mapping[str, str] = MappingProxyType({})


class DefaultsError(ValueError):
    """Settings that cannot complete a request: one line, each problem with its file and key."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        super().__init__("; ".join(f"{error.path}: {error.text}" for error in self.errors))


def read_defaults(values: Mapping[str, Any], origins: Mapping[str, str] = _NOWHERE) -> Defaults:
    """Return the defaults that settings give. Raises DefaultsError with everything wrong in them.

    `values` has one entry per field of `Defaults`; its `indicator_grids` overrides the axes that
    indicators declare, axis by axis. `origins` says by field where its value was written, such as
    "backtest.yaml: backtest.top_k_default", for the errors.
    """
    errors: list[FieldError] = []

    def written(name: str) -> Field:
        return Field(values[name], origins.get(name, name), errors)

    read: dict[str, Any] = {
        "top_k_persisted": written("top_k_persisted").whole(Bounds(minimum=1, maximum=MAX_TOP_K)),
        "indicator_grids": _read_grids(written("indicator_grids")),
    }
    for name, entry in TABLE.settings().items():
        field = written(name)
        read[name] = _read_mapping(field, entry) if entry.default.by else read_value(field, entry)
    for name, entry in TABLE.settings().items():
        most = read.get(entry.most.name) if entry.most else None
        if entry.most and most is not None and (read[name] or 0) > most:
            written(name).refuse(
                f"must be at most {most} ({entry.most.key}), got {shown(read[name])}"
            )
    if errors:
        raise DefaultsError(errors)
    return Defaults(**read)


def _read_mapping(field: Field, entry: Entry) -> dict[int, Any]:
    """Read defaults of a field by market."""
    read: dict[int, Any] = {}
    for market, member in field.all_members().items():
        market_id = Field(market, member.path, field.errors).whole(MARKET_ID)
        if market_id is not None:
            read[market_id] = read_value(member, entry)
    return read


def _read_grids(overrides: Field) -> dict[str, Any]:
    """Return the default axes of every indicator: the declared ones, overridden where given."""
    grids: dict[str, Any] = {
        indicator.id: {
            "params": {p.name: p.default for p in indicator.params if p.default is not None},
            "signals": dict(indicator.signals),
        }
        for indicator in registry.catalogue()
    }
    for indicator_id, override in overrides.all_members().items():
        if registry.left_out_with(str(indicator_id)) is not None:
            continue  # of a plugin that could not be loaded: there is nothing to check it against
        try:
            indicator = registry.get(str(indicator_id))
        except registry.UnknownIndicator as error:
            override.refuse(error.message, hint=error.hint)
        else:
            _override(grids[indicator.id], override, indicator)
    return grids


def _override(grid: dict[str, dict[str, Any]], override: Field, indicator: Indicator) -> None:
    before = len(override.errors)
    declared = {"params": indicator.params, "signals": tuple(indicator.signal_params.values())}
    places = dict(zip(declared, AXES, strict=True))
    reading = Reading(UNGUARDED)
    for part, given in override.all_members().items():
        if part in declared:
            grid[part] |= read_given(given, places[part], declared[part], indicator.id, reading)
        else:
            given.refuse("unknown key", hint=suggestion(part, tuple(declared)))
    complete = len(grid["params"]) == len(indicator.params)
    if complete and len(override.errors) == before:
        compute_total(override, indicator, grid["params"], reading)
