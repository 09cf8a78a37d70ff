"""What to make of a job, in one to four plain sentences, the most alarming first.

Made of stored numbers whenever it is read, never stored. Needs no compiled kernel.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from engine.metric_words import words

MOST_SENTENCES = 4
_MOST_NAMES = 3
_LARGEST_PERCENT = 1e6
_FEW_MISSING = 0.01
"""Outages of an exchange; no reason to doubt what a year of bars says."""
_FEW_TRADES = 10
_MINUS = "\N{MINUS SIGN}"

Json = Mapping[str, Any]


def verdict(
    *,
    coverage: Json | None,
    outcomes: Json | None,
    top: Sequence[Json],
    request: Json,
    state: str,
    figures: Json | None = None,
) -> list[str]:
    """Return the sentences about a job; none while there is nothing to say.

    `coverage` and `outcomes` are what the job stores under these names, None until it is known.
    `top` are its rows, best first; of the first one `total_return_pct`, `metrics_json` and
    `test_metrics_json` are read, of the others their number. `request` is the effective request.
    `figures` are those that were found for its search, of which `neighbours` is read. A part that
    is missing, as in jobs of earlier releases, costs what would be said of it.
    """
    job = _Job(_object(coverage), _object(outcomes), top, _object(request), state)
    beside = _Neighbours(_object(_object(figures).get("neighbours")))
    end, money, late = job.end(), job.money(), job.not_validated()
    alone = beside.lost_money() and (job.total_return or 0.0) > 0.0
    calm, alarm = (None, beside.said()) if alone else (beside.said(), None)
    told = job.order(), job.test(), alarm, job.data(), job.history()
    alarms = [sentence for sentence in told if sentence]
    said = [sentence for sentence in (end, money, late) if sentence]
    room = MOST_SENTENCES - len(said)
    rest = [sentence for sentence in (calm, job.field(), job.gaps()) if sentence]
    alarms, rest = alarms[:room], rest[: max(0, room - len(alarms))]
    first, then = ([money], alarms) if job.lost_money() else (alarms, [money])
    return [sentence for sentence in (end, *first, *then, *rest, late) if sentence]


class _Job:
    """The stored parts of a job, of which any may be missing."""

    def __init__(
        self, coverage: Json, outcomes: Json, top: Sequence[Json], request: Json, state: str
    ) -> None:
        self.coverage = coverage
        self.outcomes = outcomes
        self.rows = len(top)
        self.state = state
        self.request = request
        self.ranking = _object(request.get("ranking"))
        primary = self.ranking.get("primary_metric")
        self.primary = primary if primary and isinstance(primary, str) else "total_return_pct"
        best = _object(top[0]) if top else {}
        self.metrics = _object(best.get("metrics_json"))
        self.total_return = _number(best.get("total_return_pct"))
        self.tried = _count(outcomes.get("tried"))
        self.tested = _object(best.get("test_metrics_json"))
        self.test_return = _number(self.tested.get("total_return_pct"))

    def end(self) -> str | None:
        """Say that a job ended before its time; what it had found by then may still be there."""
        if self.state not in ("failed", "cancelled"):
            return None
        ended = "failed" if self.state == "failed" else "was cancelled"
        if self.rows:
            return f"The job {ended}: what stands here is the best it had found by then."
        return f"The job {ended} before it had found anything to keep."

    def lost_money(self) -> bool:
        """Whether the best variant lost money, where it was chosen or where it was not."""
        known = [made for made in (self.total_return, self.test_return) if made is not None]
        return any(made < 0.0 for made in known)

    def money(self) -> str | None:
        """Say what the best variant made, and by what it is the best."""
        if not self.rows:
            return "The search stored no variant." if self.state == "succeeded" else None
        begin = "So far, " if self.state in ("queued", "running") else ""
        if self.primary != "total_return_pct":
            begin += f"{'ranked' if begin else 'Ranked'} by {words(self.primary)}, "
        subject = begin + ("the best" if begin else "The best")
        subject += " variant" if self.tried is None else f" of {_counted(self.tried, 'variant')}"
        return f"{subject} {self._result()}."

    def _result(self) -> str:
        if not self.tested:
            return f"{_made(self.total_return)}{_beside(self.outcomes)}"
        there = "never traded" if self.tested.get("num_trades") == 0 else _moved(self.test_return)
        held = _number(_object(self.outcomes.get("test")).get("benchmark_return_pct"))
        beside = "" if held is None else f"; there, buy and hold {_moved(held)}"
        return (
            f"{_moved(self.total_return)} where it was chosen and {there} where it was not{beside}"
        )

    def order(self) -> str | None:
        """Say why the order of the variants means less than it seems to."""
        if not self.rows:
            return None
        wanted = _count(self.ranking.get("min_trades")) or 0
        trades = _count(self.metrics.get("num_trades"))
        eligible = _count(self.outcomes.get("eligible"))
        asked = f"the {_counted(wanted, 'trade')} that ranking asks for"
        if trades == 0:
            return "The best variant never traded."
        if eligible == 0 and wanted:
            return f"No variant made {asked}: the order says little."
        if trades is not None and trades < wanted:
            return f"The best variant made {_counted(trades, 'trade')}, fewer than {asked}."
        if trades == 1:
            return "The best variant made one trade: that is one event, whatever its figures say."
        if (
            eligible is not None
            and self.tried is not None
            and eligible < min(self.rows, self.tried)
        ):
            return f"Only {_whole(eligible)} of {_counted(self.tried, 'variant')} made {asked}."
        if self.primary in self.metrics and self._undefined(self.primary):
            return f"The best variant has no defined {words(self.primary)}: the order says little."
        return None

    def test(self) -> str | None:
        """Say that the test is too short to say much."""
        trades = _count(self.tested.get("num_trades"))
        if not trades or trades >= _FEW_TRADES:
            return None
        return f"Its test is {_counted(trades, 'trade')} long, which says little."

    def _undefined(self, metric: str) -> bool:
        if metric == "total_return_pct":  # its sentence says so
            return False
        infinite = self.metrics.get("infinite")
        named = isinstance(infinite, Sequence) and metric in infinite
        return self.metrics[metric] is None and not named

    def data(self) -> str | None:
        """Say which part of the range there were candles for, where that is far from all of it."""
        expected, missing = self._bars()
        if missing <= _FEW_MISSING * expected:
            return None
        present = expected - missing
        days = _days(_object(self.coverage.get("asked")))
        if days is not None and round(days) >= 2:
            covered = math.floor(days * present / expected + 1e-9)
            if 0 < covered < round(days):
                return f"Data cover {_whole(covered)} of {_whole(round(days))} days."
        return f"Data cover {_whole(present)} of {_counted(expected, 'bar')}."

    def gaps(self) -> str | None:
        """Say how few bars are missing, where they are few."""
        expected, missing = self._bars()
        if not 0 < missing <= _FEW_MISSING * expected:
            return None
        return f"{_whole(missing)} of {_counted(expected, 'bar')} had no candle."

    def _bars(self) -> tuple[int, int]:
        """Return how many bars were asked for, and how many of them are missing."""
        expected = _count(self.coverage.get("bars_expected"))
        present = _count(self.coverage.get("bars_present"))
        if expected is None or present is None:
            return 0, 0
        return expected, max(0, expected - present)

    def history(self) -> str | None:
        """Say that some variants have no value yet where trading begins."""
        given = self.coverage.get("undefined")
        names = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
        if not names:
            return None
        listed = ", ".join(names[:_MOST_NAMES])
        if len(names) > _MOST_NAMES:
            listed += f" and {_whole(len(names) - _MOST_NAMES)} more"
        return f"Too little history for {listed}: some variants have no value on the first bar."

    def field(self) -> str | None:
        """Say how the rest of the search did."""
        if self.state != "succeeded" or not self.rows or not self.tried:
            return None
        beaten = _count(self.outcomes.get("beat_benchmark"))
        parts = []
        if self.ranking.get("distinct") is not False:
            at_least = "At least " if self._list_is_full() else ""
            parts.append(f"{at_least}{_counted(self.rows, 'distinct outcome')}")
        if beaten is not None and _number(self.outcomes.get("benchmark_return_pct")) is not None:
            bare = "without stops and targets " if self._has_risk_levels() else ""
            share = f"{bare}{_share(beaten, self.tried)} of all variants beat buy and hold"
            parts.append(share if parts else share[0].upper() + share[1:])
        return f"{'; '.join(parts)}." if parts else None

    def _list_is_full(self) -> bool:
        places = [_count(self.request.get(name)) for name in ("top_k", "preselect")]
        full = any(place is not None and self.rows >= place for place in places)
        return full and (self._has_risk_levels() or self.rows != self.tried)

    def _has_risk_levels(self) -> bool:
        grid = _object(_object(self.request.get("template")).get("risk_grid"))
        return any(grid.values())

    def not_validated(self) -> str | None:
        """Say that the winner was chosen on the data it is judged by."""
        if self.state != "succeeded" or self.request.get("validation"):
            return None
        return "Not validated out of sample."


class _Neighbours:
    """How the variants did that are one step from the winner."""

    def __init__(self, figures: Json) -> None:
        self.number = _count(figures.get("number")) or 0
        self.twins = _count(figures.get("twins")) or 0
        self.median = _number(figures.get("median_return"))
        self.worst = _number(figures.get("worst_return"))

    def lost_money(self) -> bool:
        """Whether half of them lost money, or more."""
        return self.number > 0 and self.median is not None and self.median < 0.0

    def said(self) -> str | None:
        """Say how they did; and that most of them prove nothing, where that is so."""
        if not self.number or self.median is None or self.worst is None:
            return None
        if self.number == 1:
            same = "trades exactly as it does" if self.twins else _moved(self.median)
            return f"The only neighbour of the winner {same}."
        if self.twins >= self.number:
            return f"All {_whole(self.number)} neighbours of the winner trade exactly as it does."
        said = f"Neighbours of the winner: median {_percent(self.median)}"
        said += f", worst {_percent(self.worst)}"
        if 2 * self.twins > self.number:
            said += f"; {_whole(self.twins)} of {_whole(self.number)} trade exactly as it does"
        return f"{said}."


def _made(total_return: float | None) -> str:
    """Say what a variant made."""
    if total_return is None:
        return "has no return that could be stated: its money overflowed"
    if total_return <= -100.0:
        return "was ruined: it lost all its money"
    if total_return < 0.0:
        return f"lost money: {_percent(total_return)}"
    if total_return == 0.0:
        return "neither made nor lost money"
    return f"made {_percent(total_return)}"


def _beside(part: Json) -> str:
    """Say what buy and hold made on the bars of a part."""
    held = _number(part.get("benchmark_return_pct"))
    if held is None:
        return ""
    return f"; buy and hold {_moved(held)}"


def _moved(total_return: float | None) -> str:
    """Say the same in few words, for a sentence that has to say it twice."""
    if total_return is None:
        return "overflowed"
    return f"{'lost' if total_return < 0.0 else 'made'} {_percent(abs(total_return))}"


def _object(part: Any) -> Json:
    return part if isinstance(part, Mapping) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _days(asked: Json) -> float | None:
    try:
        start, end = (datetime.fromisoformat(asked[edge]) for edge in ("start", "end"))
        return (end - start) / timedelta(days=1)
    except (KeyError, TypeError, ValueError):
        return None


def _whole(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _counted(number: int, noun: str) -> str:
    return f"{_whole(number)} {noun}{'' if number == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    """Return a share as a percentage that says neither 0 nor 100 where it is only near."""
    if 0 < part < whole:
        if part / whole > 0.99:
            return "more than 99 %"
        return _percent(100.0 * part / whole)
    return "0 %" if part == 0 else "100 %"


def _percent(value: float) -> str:
    """Return `−97 %`, `1.5 %`, `0.02 %`; never 0 for what is not."""
    size = abs(value)
    if size > _LARGEST_PERCENT:
        return f"more than {_whole(int(_LARGEST_PERCENT))} %"
    if 0.0 < size < 0.01:
        return "less than 0.01 %"
    places = 0 if size >= 10.0 else 1 if size >= 1.0 else 2
    digits = f"{size:,.{places}f}".replace(",", " ")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{_MINUS if value < 0.0 else ''}{digits} %"
