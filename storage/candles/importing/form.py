"""How long the bars of a file are, and when they open: said, evident, or asked for."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from storage.candles.importing.choices import TIMEFRAMES, Choices, timeframe_name
from storage.candles.importing.drops import OFF_PHASE, Drops
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.spacing import Spacing
from storage.candles.known import Known, opening
from storage.candles.records import MINUTE_MS, utc

# So many bars without one stray step between them prove their length.
EVIDENT_BARS = 100

Rests = Callable[[int], Mapping[int, tuple[int, int]]]
"""Counts what is left of the bars' opens when they are divided by a length: rest → how many, and
the open of the first."""


@dataclass(frozen=True, slots=True)
class Form:
    """Length of bars, and how long after multiples of it they open; `notes` say what was found."""

    timeframe_ms: int
    phase_ms: int
    notes: tuple[str, ...] = ()


def judged(
    spacing: Spacing,
    rests: Rests,
    *,
    rows: Drops,
    choices: Choices,
    stored: Known | None,
    in_name: str | None,
) -> Form:
    """Say what form the bars of a file have; raises `CandleFileError` where that is doubtful.

    `stored` is the form that the instrument's bars have already, `in_name` a length that the file's
    name tells. Bars that open elsewhere than the others are counted in `rows` as dropped.
    """
    timeframe_ms, notes = _length(spacing, rows.file, choices, stored, in_name)
    if timeframe_ms == MINUTE_MS:
        return Form(timeframe_ms, 0, notes)
    found = rests(timeframe_ms)
    counts = Counter({rest: count for rest, (count, _) in sorted(found.items())})
    ((phase_ms, most),) = counts.most_common(1)
    if spacing.bars > most:
        _check(counts, spacing.bars - most, spacing, rows, Known(timeframe_ms=timeframe_ms))
        first = min(first for rest, (_, first) in found.items() if rest != phase_ms)
        told = f"a {timeframe_name(timeframe_ms)} bar that opens at {utc(first):%Y-%m-%d %H:%M}"
        rows.add(OFF_PHASE, spacing.bars - most, told)
    if phase_ms:
        form = Known(timeframe_ms=timeframe_ms, phase_ms=phase_ms)
        notes += (f"bars open {opening(form)}",)
    return Form(timeframe_ms, phase_ms, notes)


def _length(
    spacing: Spacing, file: str, choices: Choices, stored: Known | None, in_name: str | None
) -> tuple[int, tuple[str, ...]]:
    if choices.timeframe is not None:
        return TIMEFRAMES[choices.timeframe], ()
    if stored is not None and not spacing.steps:
        return stored.timeframe_ms, ()
    longer = spacing.longer_bars(MINUTE_MS)
    if longer is None:
        return MINUTE_MS, ()
    step, multiples = longer
    if stored is not None and stored.timeframe_ms == step:
        return step, ()
    total, name = sum(spacing.steps.values()), timeframe_name(step)
    evident = multiples == total and (spacing.bars >= EVIDENT_BARS or in_name == name)
    if name in TIMEFRAMES and evident:
        return step, (f"bars are {name} long, as all steps between them say",)
    advice = (
        f"type --timeframe {name}, or --timeframe 1m if they are minutes"
        if name in TIMEFRAMES
        else "which is no timeframe that can be imported "
        f"({', '.join(TIMEFRAMES)}); type --timeframe 1m if they are minutes"
    )
    raise CandleFileError(
        f"{file}: these are no 1-minute candles: {multiples} of {total} steps are "
        f"{name} or multiples of it; {advice}"
    )


def _check(found: Counter[int], elsewhere: int, spacing: Spacing, rows: Drops, form: Known) -> None:
    """Raise if more bars than may be open elsewhere than most."""
    if rows.dropped + elsewhere <= rows.allowed:
        return
    name, usual = timeframe_name(form.timeframe_ms), spacing.usual()
    if usual is not None and usual < form.timeframe_ms and timeframe_name(usual) in TIMEFRAMES:
        raise CandleFileError(
            f"{rows.file}: these are no {name} bars: most steps between them are "
            f"{timeframe_name(usual)}; type --timeframe {timeframe_name(usual)}"
        )
    some = found.most_common(2)
    told = " and ".join(
        f"{count} open {opening(Known(timeframe_ms=form.timeframe_ms, phase_ms=rest))}"
        for rest, count in some
    )
    raise CandleFileError(
        f"{rows.file}: bars of {name} do not always open at the same time: {told}. Where clocks "
        "that are changed are the reason, import the times as they are written, without --tz, or "
        f"shorter bars; to keep the first only, type --max-bad-rows {rows.dropped + elsewhere}"
    )
