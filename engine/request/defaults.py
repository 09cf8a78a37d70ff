"""From settings to the defaults of requests, every value checked as a request's own would be.

What a request may leave out comes from here, so a mistake must be found when a program starts and
not when the first request meets it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from engine.indicators import registry
from engine.indicators.registry import Indicator
from engine.metric_names import METRICS
from engine.request.axes import MAX_LISTED
from engine.request.block_axes import compute_total, read_given
from engine.request.bounds import COUNT, EXECUTION, MARKET_ID, MAX_TOP_K, WARMUP_BARS
from engine.request.fields import Bounds, Field, FieldError, printable
from engine.request.model import Defaults

_NOWHERE: Mapping[str, str] = MappingProxyType({})
_TOP_K = Bounds(minimum=1, maximum=MAX_TOP_K)
_COUNTS: Mapping[str, Bounds] = {
    "warmup_bars": WARMUP_BARS,
    "top_k": _TOP_K,
    "preselect": COUNT,
    "top_k_persisted": _TOP_K,
    "top_trades_n": COUNT,
    "result_bytes_max": COUNT,
}


class DefaultsError(ValueError):
    """Settings that cannot complete a request: one line, each problem with its file and key."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        super().__init__("; ".join(f"{error.path}: {error.message}" for error in self.errors))


def read_defaults(values: Mapping[str, Any], origins: Mapping[str, str] = _NOWHERE) -> Defaults:
    """Return the defaults that settings give. Raises DefaultsError with everything wrong in them.

    `values` has one entry per field of `Defaults`; its `indicator_grids` overrides the axes that
    indicators declare, axis by axis. `origins` says by field where its value was written, such as
    "backtest.yaml: backtest.top_k_default", for the errors.
    """
    errors: list[FieldError] = []

    def written(name: str) -> Field:
        return Field(values[name], origins.get(name, name), errors)

    metrics = {"primary_metric": written("primary_metric").choice(METRICS, "metric")}
    secondary = written("secondary_metric")
    metrics["secondary_metric"] = (
        None if secondary.value is None else secondary.choice(METRICS, "metric")
    )
    read: dict[str, Any] = {
        **{name: written(name).whole(bounds) for name, bounds in _COUNTS.items()},
        **{
            name: written(name).number(bounds)
            for name, bounds in EXECUTION.items()
            if name != "fee_pct"
        },
        **metrics,
        "fee_pct_by_market_id": _read_fees(written("fee_pct_by_market_id")),
        "indicator_grids": _read_grids(written("indicator_grids")),
    }
    if errors:
        raise DefaultsError(errors)
    return Defaults(**read)


def _read_fees(fees: Field) -> dict[int, float | None]:
    if not isinstance(fees.value, Mapping):
        fees.members(())
        return {}
    read: dict[int, float | None] = {}
    for market, fee in fees.value.items():
        member = fees.member(printable(market), fee)
        market_id = Field(market, member.path, fees.errors).whole(MARKET_ID)
        if market_id is not None:
            read[market_id] = member.number(EXECUTION["fee_pct"])
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
    if not isinstance(overrides.value, Mapping):
        overrides.members(())
        return grids
    for indicator_id, grid in overrides.value.items():
        override = overrides.member(printable(indicator_id), grid)
        if registry.left_out_with(str(indicator_id)) is not None:
            continue  # of a plugin that could not be loaded: there is nothing to check it against
        try:
            indicator = registry.get(str(indicator_id))
        except registry.UnknownIndicator as error:
            override.refuse(str(error))
        else:
            _override(grids[indicator.id], override, indicator)
    return grids


def _override(grid: dict[str, dict[str, Any]], override: Field, indicator: Indicator) -> None:
    before = len(override.errors)
    members = override.members(("params", "signals"))
    declared = {"params": indicator.params, "signals": tuple(indicator.signal_params.values())}
    for part, given in members.items():
        grid[part] |= read_given(given, declared[part], indicator.id, MAX_LISTED)
    complete = len(grid["params"]) == len(indicator.params)
    if complete and len(override.errors) == before:
        compute_total(override, indicator, grid["params"], MAX_LISTED)
