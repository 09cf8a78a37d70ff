"""From what a user sent to the effective request: defaults, bounds, limits, all errors at once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import prod
from typing import Any

from engine.request.axes import axis_count, axis_of
from engine.request.blocks import ReadBlock
from engine.request.bounds import WARMUP_BARS
from engine.request.entries import TABLE
from engine.request.estimate import Estimate, TooLarge, bars_between, is_charged
from engine.request.fields import Field, FieldError, RequestError
from engine.request.members import Members, Reading
from engine.request.model import VERSION
from engine.request.saved import SAVED
from engine.request.table import REQUIRED
from engine.request.template import read_template
from engine.request.times import milliseconds, written
from engine.request.upgrades import upgraded
from engine.request.validation import read_validation, refuse_empty_parts
from engine.request.warmup import needed
from engine.timeframes import TIMEFRAMES

_MOST = 10**15
_RISK_PATHS = ("template.risk_grid", "template.execution.percent")


def read_effective(document: Any, reading: Reading) -> dict[str, Any]:
    """Return the effective request. Raises RequestError with everything that is wrong."""
    errors: list[FieldError] = []
    _refuse_saved(Field(document, "", errors))
    document = upgraded(document, unnamed=1 if reading.stored else VERSION)
    root = Members.of(Field(document, "", errors), "", reading)
    times = _read_time_range(root)
    template, blocks = read_template(root)
    risk_total = _risk_total(root, template)
    effective: dict[str, Any] = {
        "version": VERSION,
        "time_range": {name: time and written(time) for name, time in times.items()},
        "template": template,
        **_read_sizes(root, risk_total),
        "ranking": _read_all(root.object("ranking")),
        "validation": read_validation(root, times),
    }
    _raise_invalid(errors)
    bars = _bars(times, template["timeframe"])
    if not bars and not reading.stored:
        _refuse_a_range_without_bars(root, effective["time_range"], template["timeframe"])
        raise RequestError(errors)
    if not reading.stored:
        before = _bars_before_the_test(effective, template["timeframe"])
        refuse_empty_parts(root.field, effective["validation"], bars, before)
        _raise_invalid(errors)
    size = _size(effective, blocks, risk_total, bars, reading)
    errors += _beyond_limits(size, blocks, risk_total, reading)
    if not errors and effective["warmup_bars"] is None:
        effective["warmup_bars"] = _resolved_warmup(blocks, template["timeframe"])
        size = _size(effective, blocks, risk_total, bars, reading)
        errors += _beyond_limits(size, blocks, risk_total, reading)
    if errors:
        raise TooLarge(errors, effective, size, risk_total)
    return effective


def _raise_invalid(errors: Sequence[FieldError]) -> None:
    """Raise what is wrong, where that is more than a size."""
    if any(error.code == "invalid_request" for error in errors):
        raise RequestError(errors)


def _refuse_saved(root: Field) -> None:
    if not isinstance(root.value, Mapping):
        return
    saved = [root.member(name, None) for name in SAVED if name in root.value]
    for field in saved:
        field.refuse(
            "cannot be used here: a saved strategy is named at the top, beside its overrides alone"
        )
    if saved:
        raise RequestError(root.errors)


def _read_all(members: Members) -> dict[str, Any]:
    """Return all members of an object that need nothing but the table."""
    return {name: members.read(name) for name in TABLE.keys(members.path)}


def _read_time_range(root: Members) -> dict[str, datetime | None]:
    time_range = root.object("time_range")
    times: dict[str, datetime | None] = _read_all(time_range)
    start, end = times["start"], times["end"]
    if start and end and end <= start:
        time_range.members["end"].refuse(
            f"must be after start ({written(start)}), got {written(end)}"
        )
    return times


def _bars(times: Mapping[str, Any], timeframe: str) -> int:
    return bars_between(
        milliseconds(times["start"]), milliseconds(times["end"]), TIMEFRAMES[timeframe]
    )


def _bars_before_the_test(effective: Mapping[str, Any], timeframe: str) -> int:
    """Return how many bars open in the range before `test_start`; 0 where none is named."""
    validation = effective["validation"]
    if validation is None or validation["test_start"] is None:
        return 0
    first, start = (
        milliseconds(datetime.fromisoformat(text))
        for text in (effective["time_range"]["start"], validation["test_start"])
    )
    step = TIMEFRAMES[timeframe]
    return -(-start // step) - -(-first // step)


def _refuse_a_range_without_bars(
    root: Members, time_range: Mapping[str, str], timeframe: str
) -> None:
    """Refuse what has nothing to trade. What was stored before this was checked can be read."""
    root.members["time_range"].refuse(
        f"holds no whole {timeframe} bar from {time_range['start']} to {time_range['end']}: a bar "
        "is traded when it opens and closes in the range; move its end or use a shorter timeframe"
    )


def _risk_total(root: Members, template: Mapping[str, Any]) -> int:
    """Return the number of risk combinations; when an axis is wrong, one that blames no size."""
    if any(
        error.path.startswith(_RISK_PATHS) and error.code == "invalid_request"
        for error in root.field.errors
    ):
        return _MOST
    levels = [axis for axis in template["risk_grid"].values() if axis is not None]
    return prod(map(axis_count, [*levels, axis_of(template["execution"]["percent"])]))


def _read_sizes(root: Members, risk_total: int) -> dict[str, int | None]:
    """Read how many variants are kept; a default never asks for more than there can be."""
    defaults = root.reading.defaults
    preselect = root.read("preselect")
    most = (preselect or 1) * risk_total
    top_k = root.read("top_k", min(defaults.top_k, most) if defaults else REQUIRED)
    if top_k and preselect and top_k > most:
        root.members["top_k"].refuse(
            f"must be at most preselect x risk combinations ({preselect} x {risk_total} = {most}), "
            f"got {top_k}"
        )
    top_trades_n = root.read(
        "top_trades_n", min(defaults.top_trades_n, top_k or 1) if defaults else REQUIRED
    )
    if top_trades_n and top_k and top_trades_n > top_k:
        root.members["top_trades_n"].refuse(f"must be at most top_k ({top_k}), got {top_trades_n}")
    return {
        "warmup_bars": _read_warmup(root),
        "preselect": preselect,
        "top_k": top_k,
        "top_trades_n": top_trades_n,
        "result_bytes_max": root.read("result_bytes_max"),
    }


def _read_warmup(root: Members) -> int | None:
    """Return the warm-up that is asked for; None when it is to be what the grid needs."""
    field = root.get("warmup_bars")
    if field is not None and field.value is None and root.reading.stored:
        field.refuse("must be a number in a stored request, got null")
    warmup: int | None = root.read("warmup_bars")
    return warmup


def _resolved_warmup(blocks: Iterable[ReadBlock], timeframe: str) -> int:
    """Return what the grid needs, as far as so many bars may be read at all."""
    return min(needed(blocks, TIMEFRAMES[timeframe]), int(WARMUP_BARS.maximum or 0))


def _size(
    effective: Mapping[str, Any],
    blocks: Sequence[ReadBlock],
    risk_total: int,
    traded_bars: int,
    reading: Reading,
) -> Estimate:
    ranking = effective["ranking"]
    return Estimate.of(
        [block.total for block in blocks],
        risk_total=risk_total,
        preselect=effective["preselect"],
        top_k=effective["top_k"],
        metrics=(ranking["primary_metric"], ranking["secondary_metric"]),
        warmup_bars=effective["warmup_bars"] or 0,
        traded_bars=traded_bars,
        threads=reading.limits.threads,
        larger=any("timeframe" in block.document for block in blocks),
        charged=is_charged(effective["template"]["execution"]),
        validation=effective["validation"],
    )


def _beyond_limits(
    size: Estimate, blocks: Sequence[ReadBlock], risk_total: int, reading: Reading
) -> list[FieldError]:
    exact = all(block.exact for block in blocks)
    return size.refusals(reading.limits, risk_total=risk_total, exact=exact)
