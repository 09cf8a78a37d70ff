"""From what a user sent to the effective request: defaults, bounds, limits, all errors at once."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import prod
from typing import Any

from engine.metric_names import METRICS
from engine.request.axes import axis_count
from engine.request.bounds import (
    COUNT,
    FROM_ZERO,
    MAX_STORED_BYTES,
    MAX_TOP_K,
    VARIANT_BYTES,
    WARMUP_BARS,
)
from engine.request.estimate import Estimate, bars_between
from engine.request.fields import REQUIRED, Field, FieldError, Members, RequestError, shown
from engine.request.model import RESULT_BYTES_MAX, VERSION, Defaults, Limits
from engine.request.template import read_template
from engine.timeframes import TIMEFRAMES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", flags=re.ASCII
)
_MOST = 10**15
_KEYS = (
    "version",
    "time_range",
    "template",
    "warmup_bars",
    "preselect",
    "top_k",
    "top_trades_n",
    "result_bytes_max",
    "ranking",
)
_SAVED_KEYS = ("strategy_id", "overrides")


def read_effective(document: Any, defaults: Defaults | None, limits: Limits) -> dict[str, Any]:
    """Return the effective request; without `defaults` the document must already be one.

    Raises RequestError with everything that is wrong.
    """
    errors: list[FieldError] = []
    root_field = Field(document, "", errors)
    _refuse_saved(root_field)
    _refuse_other_versions(root_field)
    root = Members.of(root_field, _KEYS, strict=defaults is None)
    time_range: dict[str, Any] = _read_time_range(root)
    template, blocks = read_template(root, defaults, limits)
    risk_total = _risk_total(root, template["risk_grid"])
    sizes: dict[str, Any] = _read_sizes(root, defaults, risk_total)
    ranking: dict[str, Any] = _read_ranking(root, defaults)
    effective: dict[str, Any] = {
        "time_range": time_range,
        "template": template,
        **sizes,
        "ranking": ranking,
    }
    if any(error.code == "invalid_request" for error in errors):
        raise RequestError(errors)
    traded_bars = bars_between(
        milliseconds(time_range["start"]),
        milliseconds(time_range["end"]),
        TIMEFRAMES[template["timeframe"]],
    )
    if defaults and not traded_bars:
        _refuse_a_range_without_bars(root, time_range, template["timeframe"])
        raise RequestError(errors)
    estimate = Estimate.of(
        [block.total for block in blocks],
        risk_total=risk_total,
        preselect=sizes["preselect"],
        top_k=sizes["top_k"],
        metrics=(ranking["primary_metric"], ranking["secondary_metric"]),
        warmup_bars=sizes["warmup_bars"],
        traded_bars=traded_bars,
        threads=limits.threads,
    )
    exact = all(block.exact for block in blocks)
    errors += estimate.refusals(limits, risk_total=risk_total, exact=exact)
    if errors:
        raise RequestError(errors)
    return effective


def milliseconds(time: str) -> int:
    """Return a time of an effective request in ms since 1970."""
    return (datetime.fromisoformat(time) - _EPOCH) // timedelta(milliseconds=1)


def _refuse_saved(root: Field) -> None:
    if not isinstance(root.value, Mapping):
        return
    saved = [root.member(name, None) for name in _SAVED_KEYS if name in root.value]
    for field in saved:
        field.refuse(
            "saved strategies cannot be run from here: send their template as template instead"
        )
    if saved:
        raise RequestError(root.errors)


def _refuse_other_versions(root: Field) -> None:
    """Refuse a document of another version at once: all of it may mean something else."""
    if not isinstance(root.value, Mapping) or "version" not in root.value:
        return
    version = root.member("version", root.value["version"])
    if version.whole(COUNT) not in (None, VERSION):
        version.refuse(
            f"is {shown(version.value)}, and this program reads version {VERSION} only: "
            "upgrade the program, or leave the version out"
        )
    if root.errors:
        raise RequestError(root.errors)


def _read_time_range(root: Members) -> dict[str, str | None]:
    time_range = root.object("time_range", ("start", "end"))
    times = {name: _read_time(time_range.get(name)) for name in ("start", "end")}
    start, end = times["start"], times["end"]
    if start and end and end <= start:
        time_range.members["end"].refuse(
            f"must be after start ({_written(start)}), got {_written(end)}"
        )
    return {name: _written(time) if time else None for name, time in times.items()}


def _refuse_a_range_without_bars(
    root: Members, time_range: Mapping[str, str], timeframe: str
) -> None:
    """Refuse what has nothing to trade. What was stored before this was checked can be read."""
    root.members["time_range"].refuse(
        f"holds no whole {timeframe} bar from {time_range['start']} to {time_range['end']}: a bar "
        "is traded when it opens and closes in the range; move its end or use a shorter timeframe"
    )


def _read_time(field: Field | None) -> datetime | None:
    if field is None:
        return None
    time = None
    if isinstance(field.value, str) and _TIME.fullmatch(field.value):
        try:
            time = datetime.fromisoformat(field.value).astimezone(UTC)
        except (ValueError, OverflowError):
            time = None
    if time is None:
        field.refuse(f"must be a time like 2024-01-01T00:00:00Z, got {shown(field.value)}")
    elif time.microsecond % 1000:
        field.refuse(f"must be whole milliseconds, got {shown(field.value)}")
    elif not _EPOCH <= time <= _LAST:
        field.refuse(
            f"must be from {_written(_EPOCH)} to {_written(_LAST)}, got {shown(field.value)}"
        )
    else:
        return time
    return None


def _written(time: datetime) -> str:
    text = time.replace(tzinfo=None).isoformat(
        timespec="milliseconds" if time.microsecond else "seconds"
    )
    return f"{text}Z"


def _risk_total(root: Members, axes: Mapping[str, Any]) -> int:
    """Return the number of risk combinations; when an axis was refused, one that blames no size."""
    if any(error.path.startswith("template.risk_grid") for error in root.field.errors):
        return _MOST
    return prod(axis_count(axis) for axis in axes.values() if axis is not None)


def _read_sizes(root: Members, defaults: Defaults | None, risk_total: int) -> dict[str, int | None]:
    """Read how many variants are kept; a default never asks for more than there can be."""
    warmup = root.whole("warmup_bars", WARMUP_BARS, defaults.warmup_bars if defaults else REQUIRED)
    preselect = root.whole("preselect", COUNT, defaults.preselect if defaults else REQUIRED)
    most = (preselect or 1) * risk_total
    top_k = root.whole("top_k", COUNT, min(defaults.top_k, most) if defaults else REQUIRED)
    if top_k and preselect and top_k > most:
        root.members["top_k"].refuse(
            f"must be at most preselect x risk combinations ({preselect} x {risk_total} = {most}), "
            f"got {top_k}"
        )
    if defaults and top_k:
        _refuse_more_than_is_stored(root.field.member("top_k", top_k), top_k, defaults)
    top_trades_n = root.whole(
        "top_trades_n",
        FROM_ZERO,
        min(defaults.top_trades_n, top_k or 1) if defaults else REQUIRED,
    )
    if top_trades_n and top_k and top_trades_n > top_k:
        root.members["top_trades_n"].refuse(f"must be at most top_k ({top_k}), got {top_trades_n}")
    return {
        "warmup_bars": warmup,
        "preselect": preselect,
        "top_k": top_k,
        "top_trades_n": top_trades_n,
        "result_bytes_max": _read_result_bytes(root, defaults),
    }


def _refuse_more_than_is_stored(field: Field, top_k: int, defaults: Defaults) -> None:
    if top_k > defaults.top_k_persisted:
        field.refuse(
            f"must be at most {defaults.top_k_persisted}, the number of variants that are stored, "
            f"got {top_k}"
        )
    elif top_k > MAX_TOP_K:
        field.refuse(
            f"must be at most {MAX_TOP_K}: a stored variant may take {VARIANT_BYTES // 2**10} KiB, "
            f"and those of one job {MAX_STORED_BYTES // 2**20} MiB, got {top_k}"
        )


def _read_result_bytes(root: Members, defaults: Defaults | None) -> int | None:
    """Read the budget of trades and equity curves; requests of version 1 may lack it."""
    most = defaults.result_bytes_max if defaults else RESULT_BYTES_MAX
    if "result_bytes_max" not in root.members:
        return most
    field = root.members["result_bytes_max"]
    size = field.whole(COUNT)
    if defaults and size and size > most:
        field.refuse(f"must be at most {most} (jobs.result_bytes_max), got {size}")
    return size


def _read_ranking(root: Members, defaults: Defaults | None) -> dict[str, Any]:
    names = ("primary_metric", "secondary_metric", "min_trades")
    ranking = root.object("ranking", names, default={})
    primary = ranking.choice(
        "primary_metric", METRICS, "metric", defaults.primary_metric if defaults else REQUIRED
    )
    secondary = ranking.get("secondary_metric", defaults.secondary_metric if defaults else REQUIRED)
    named = secondary is not None and secondary.value is not None
    return {
        "primary_metric": primary,
        "secondary_metric": secondary.choice(METRICS, "metric") if secondary and named else None,
        "min_trades": ranking.whole("min_trades", FROM_ZERO, 0),
    }
