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
_MINUS = "\N{MINUS SIGN}"

Json = Mapping[str, Any]


def verdict(
    *,
    coverage: Json | None,
    outcomes: Json | None,
    top: Sequence[Json],
    request: Json,
    state: str,
) -> list[str]:
    """Return the sentences about a job; none while there is nothing to say.

    `coverage` and `outcomes` are what the job stores under these names, None until it is known.
    `top` are its rows, best first; of the first one `total_return_pct` and `metrics_json` are read,
    of the others their number. `request` is the effective request. A part that is missing, as in
    jobs of earlier releases, costs what would be said of it.
    """
    job = _Job(_object(coverage), _object(outcomes), top, _object(request), state)
    end, money, late = job.end(), job.money(), job.not_validated()
    alarms = [sentence for sentence in (job.order(), job.data(), job.history()) if sentence]
    said = [sentence for sentence in (end, money, late) if sentence]
    room = MOST_SENTENCES - len(said)
    rest = [sentence for sentence in (job.field(), job.gaps()) if sentence]
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
        self.primary = str(self.ranking.get("primary_metric") or "total_return_pct")
        best = _object(top[0]) if top else {}
        self.metrics = _object(best.get("metrics_json"))
        self.total_return = _number(best.get("total_return_pct"))
        self.tried = _count(outcomes.get("tried"))

    def end(self) -> str | None:
        """Say that a job ended before its time; what it had found by then may still be there."""
        if self.state not in ("failed", "cancelled"):
            return None
        ended = "failed" if self.state == "failed" else "was cancelled"
        if self.rows:
            return f"The job {ended}: what stands here is the best it had found by then."
        return f"The job {ended} before it had found anything to keep."

    def lost_money(self) -> bool:
        return self.total_return is not None and self.total_return < 0.0

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
        made = self.total_return
        if made is None:
            return "has no return that could be stated: its money overflowed"
        if made <= -100.0:
            return f"was ruined: it lost all its money{self._benchmark()}"
        if made < 0.0:
            return f"lost money: {_percent(made)}{self._benchmark()}"
        if made == 0.0:
            return f"neither made nor lost money{self._benchmark()}"
        return f"made {_percent(made)}{self._benchmark()}"

    def _benchmark(self) -> str:
        held = _number(self.outcomes.get("benchmark_return_pct"))
        if held is None:
            return ""
        return f"; buy and hold {'lost' if held < 0.0 else 'made'} {_percent(abs(held))}"

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
        names = self.coverage.get("undefined")
        if not isinstance(names, Sequence) or isinstance(names, str) or not names:
            return None
        listed = ", ".join(map(str, names[:_MOST_NAMES]))
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
