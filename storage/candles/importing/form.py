"""How long the bars of a file are, and when they open: said, evident, or asked for."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from storage.candles.importing.choices import TIMEFRAMES, Choices, timeframe_name
from storage.candles.importing.drops import OFF_PHASE, Drops
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.report import counted
from storage.candles.importing.spacing import Spacing
from storage.candles.known import Known, opening
from storage.candles.records import MINUTE_MS, Bars, Int64, utc

# By how much clocks are set forward and back.
CLOCKS_MOVE_MS = 60 * MINUTE_MS
# So many bars without one stray step between them prove their length.
EVIDENT_BARS = 100

Rests = Callable[[int], Mapping[int, tuple[int, int]]]
"""Counts what is left of the bars' opens when they are divided by a length: rest → how many, and
the open of the first."""


@dataclass(frozen=True, slots=True)
class Form:
    """Length of bars, and how long after multiples of it they open; `notes` say what was found.

    Bars that open up to `early_ms` before that are stored as if they opened then.
    """

    timeframe_ms: int
    phase_ms: int
    early_ms: int = 0
    notes: tuple[str, ...] = ()

    def late(self, opens: Int64) -> Int64:
        """Return how much later than each of the opens a bar of this form opens."""
        return np.asarray((self.phase_ms - opens) % self.timeframe_ms)

    def has(self, opens: Int64) -> NDArray[np.bool_]:
        """Say which opens are those of such bars."""
        return self.late(opens) <= self.early_ms


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
        return Form(timeframe_ms, 0, notes=notes)
    found = rests(timeframe_ms)
    counts = {rest: count for rest, (count, _) in sorted(found.items())}
    form = _opens(counts, timeframe_ms, rows.file, choices, stored)
    belongs = form.has(np.array([*counts]))
    elsewhere = [rest for rest, here in zip(counts, belongs, strict=True) if not here]
    if elsewhere:
        strays = sum(counts[rest] for rest in elsewhere)
        _check(counts, strays, spacing, rows, form)
        first = min(found[rest][1] for rest in elsewhere)
        told = f"a {timeframe_name(timeframe_ms)} bar that opens at {utc(first):%Y-%m-%d %H:%M}"
        rows.add(OFF_PHASE, strays, told)
    notes += tuple(
        f"{counted(counts[rest], 'bar')} opened {_opening(rest, form)} and got the others' time"
        for rest in counts
        if rest != form.phase_ms and rest not in elsewhere
    )
    if form.phase_ms:
        notes += (f"bars open {_opening(form.phase_ms, form)}",)
    return replace(form, notes=notes)


def placed(chunks: Iterable[Bars], form: Form, file: str) -> Iterator[Bars]:
    """Bars of a form with the opens that are stored; raises where two would have the same."""
    last_ms = -1
    for bars in chunks:
        here = form.has(bars.ts_open)
        if not here.any():
            continue
        opens = (bars.ts_open + form.late(bars.ts_open))[here]
        same = np.flatnonzero(np.diff(opens, prepend=last_ms) <= 0)
        if len(same):
            raise CandleFileError(
                f"{file}: with --align-opens two bars would open at "
                f"{utc(int(opens[same[0]])):%Y-%m-%d %H:%M}: it is not for bars whose opens differ "
                "for another reason than a change of the clock"
            )
        yield Bars(opens, *(column[here] for column in bars.values()))
        last_ms = int(opens[-1])


def _opens(
    counts: Mapping[int, int], timeframe_ms: int, file: str, choices: Choices, stored: Known | None
) -> Form:
    """Find the opens that most bars have.

    Of opens that a clock moves it is the latest: so no bar seems to have ended before it did.
    """
    if not choices.align_opens:
        return Form(timeframe_ms, max(counts, key=lambda rest: counts[rest]))
    if timeframe_ms <= CLOCKS_MOVE_MS:
        raise CandleFileError(
            f"{file}: --align-opens is for bars that are longer than an hour, and these are "
            f"{timeframe_name(timeframe_ms)} long"
        )
    rests = np.array([*counts])
    forms = [Form(timeframe_ms, rest, CLOCKS_MOVE_MS) for rest in counts]
    if stored is not None and stored.timeframe_ms == timeframe_ms:
        # A later file may hold nothing but summers.
        forms.insert(0, Form(timeframe_ms, stored.phase_ms, CLOCKS_MOVE_MS))
    of_each = np.array([*counts.values()])
    return max(forms, key=lambda form: int(of_each[form.has(rests)].sum()))


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


def _check(
    counts: Mapping[int, int], strays: int, spacing: Spacing, rows: Drops, form: Form
) -> None:
    """Raise if more bars than may be open elsewhere than most."""
    if rows.dropped + strays <= rows.allowed:
        return
    name, usual = timeframe_name(form.timeframe_ms), spacing.usual()
    if usual is not None and usual < form.timeframe_ms and timeframe_name(usual) in TIMEFRAMES:
        raise CandleFileError(
            f"{rows.file}: these are no {name} bars: most steps between them are "
            f"{timeframe_name(usual)}; type --timeframe {timeframe_name(usual)}"
        )
    some = Counter(counts).most_common(2)
    told = " and ".join(f"{count} open {_opening(rest, form)}" for rest, count in some)
    may_align = form.timeframe_ms > CLOCKS_MOVE_MS and not form.early_ms
    raise CandleFileError(
        f"{rows.file}: bars of {name} do not always open at the same time: {told}. "
        + ("Where a change of the clock is the reason, type --align-opens; " if may_align else "")
        + f"to leave out those that open elsewhere, type --max-bad-rows {rows.dropped + strays}"
    )


def _opening(rest_ms: int, form: Form) -> str:
    return opening(Known(timeframe_ms=form.timeframe_ms, phase_ms=rest_ms))
