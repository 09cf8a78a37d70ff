"""What to make of a job, in one to four plain sentences, the most alarming first.

Made of stored numbers whenever it is read, never stored. Needs no compiled kernel.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from engine.doubts import Neighbours, Search
from engine.metric_words import words
from engine.phrases import (
    Json,
    count_of,
    counted,
    made,
    moved,
    number_of,
    object_of,
    share,
    whole,
)

MOST_SENTENCES = 4
_MOST_NAMES = 3
_FEW_MISSING = 0.01
"""Outages of an exchange; no reason to doubt what a year of bars says."""
_FEW_TRADES = 10


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
    `figures` are those that were found for its search, of which `neighbours` and `search` are read.
    A part that is missing, as in jobs of earlier releases, costs what would be said of it.
    """
    job = _Job(object_of(coverage), object_of(outcomes), top, object_of(request), state)
    found = object_of(figures)
    beside, search = (
        Neighbours(object_of(found.get("neighbours"))),
        Search(object_of(found.get("search"))),
    )
    end, money, late = job.end(), job.money(), job.not_validated()
    gained = (job.total_return or 0.0) > 0.0
    alarm = beside.said() if gained and beside.lost_money() else None
    luck = search.said() if gained and search.is_luck() else None
    told = job.order(), job.test(), luck, alarm, job.data(), job.history()
    alarms = [sentence for sentence in told if sentence]
    calm = [said for said in (search.said(), beside.said()) if said not in (None, luck, alarm)]
    said = [sentence for sentence in (end, money, late) if sentence]
    room = MOST_SENTENCES - len(said)
    rest = [sentence for sentence in (*calm, job.field(), job.gaps()) if sentence]
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
        self.ranking = object_of(request.get("ranking"))
        primary = self.ranking.get("primary_metric")
        self.primary = primary if primary and isinstance(primary, str) else "total_return_pct"
        best = object_of(top[0]) if top else {}
        self.metrics = object_of(best.get("metrics_json"))
        self.total_return = number_of(best.get("total_return_pct"))
        self.tried = count_of(outcomes.get("tried"))
        self.tested = object_of(best.get("test_metrics_json"))
        self.test_return = number_of(self.tested.get("total_return_pct"))

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
        subject += " variant" if self.tried is None else f" of {counted(self.tried, 'variant')}"
        return f"{subject} {self._result()}."

    def _result(self) -> str:
        if not self.tested:
            return f"{made(self.total_return)}{_beside(self.outcomes)}"
        there = "never traded" if self.tested.get("num_trades") == 0 else moved(self.test_return)
        held = number_of(object_of(self.outcomes.get("test")).get("benchmark_return_pct"))
        beside = "" if held is None else f"; there, buy and hold {moved(held)}"
        return (
            f"{moved(self.total_return)} where it was chosen and {there} where it was not{beside}"
        )

    def order(self) -> str | None:
        """Say why the order of the variants means less than it seems to."""
        if not self.rows:
            return None
        wanted = count_of(self.ranking.get("min_trades")) or 0
        trades = count_of(self.metrics.get("num_trades"))
        eligible = count_of(self.outcomes.get("eligible"))
        asked = f"the {counted(wanted, 'trade')} that ranking asks for"
        if trades == 0:
            return "The best variant never traded."
        if eligible == 0 and wanted:
            return f"No variant made {asked}: the order says little."
        if trades is not None and trades < wanted:
            return f"The best variant made {counted(trades, 'trade')}, fewer than {asked}."
        if trades == 1:
            return "The best variant made one trade: that is one event, whatever its figures say."
        if (
            eligible is not None
            and self.tried is not None
            and eligible < min(self.rows, self.tried)
        ):
            return f"Only {whole(eligible)} of {counted(self.tried, 'variant')} made {asked}."
        if self.primary in self.metrics and self._undefined(self.primary):
            return f"The best variant has no defined {words(self.primary)}: the order says little."
        return None

    def test(self) -> str | None:
        """Say that the test is too short to say much."""
        trades = count_of(self.tested.get("num_trades"))
        if not trades or trades >= _FEW_TRADES:
            return None
        return f"Its test is {counted(trades, 'trade')} long, which says little."

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
        days = _days(object_of(self.coverage.get("asked")))
        if days is not None and round(days) >= 2:
            covered = math.floor(days * present / expected + 1e-9)
            if 0 < covered < round(days):
                return f"Data cover {whole(covered)} of {whole(round(days))} days."
        return f"Data cover {whole(present)} of {counted(expected, 'bar')}."

    def gaps(self) -> str | None:
        """Say how few bars are missing, where they are few."""
        expected, missing = self._bars()
        if not 0 < missing <= _FEW_MISSING * expected:
            return None
        return f"{whole(missing)} of {counted(expected, 'bar')} had no candle."

    def _bars(self) -> tuple[int, int]:
        """Return how many bars were asked for, and how many of them are missing."""
        expected = count_of(self.coverage.get("bars_expected"))
        present = count_of(self.coverage.get("bars_present"))
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
            listed += f" and {whole(len(names) - _MOST_NAMES)} more"
        return f"Too little history for {listed}: some variants have no value on the first bar."

    def field(self) -> str | None:
        """Say how the rest of the search did."""
        if self.state != "succeeded" or not self.rows or not self.tried:
            return None
        beaten = count_of(self.outcomes.get("beat_benchmark"))
        parts = []
        if self.ranking.get("distinct") is not False:
            at_least = "At least " if self._list_is_full() else ""
            parts.append(f"{at_least}{counted(self.rows, 'distinct outcome')}")
        if beaten is not None and number_of(self.outcomes.get("benchmark_return_pct")) is not None:
            bare = "without stops and targets " if self._has_risk_levels() else ""
            part = f"{bare}{share(beaten, self.tried)} of all variants beat buy and hold"
            parts.append(part if parts else part[0].upper() + part[1:])
        return f"{'; '.join(parts)}." if parts else None

    def _list_is_full(self) -> bool:
        places = [count_of(self.request.get(name)) for name in ("top_k", "preselect")]
        full = any(place is not None and self.rows >= place for place in places)
        return full and (self._has_risk_levels() or self.rows != self.tried)

    def _has_risk_levels(self) -> bool:
        grid = object_of(object_of(self.request.get("template")).get("risk_grid"))
        return any(grid.values())

    def not_validated(self) -> str | None:
        """Say that the winner was chosen on the data it is judged by."""
        if self.state != "succeeded" or self.request.get("validation"):
            return None
        return "Not validated out of sample."


def _beside(part: Json) -> str:
    """Say what buy and hold made on the bars of a part."""
    held = number_of(part.get("benchmark_return_pct"))
    if held is None:
        return ""
    return f"; buy and hold {moved(held)}"


def _days(asked: Json) -> float | None:
    try:
        start, end = (datetime.fromisoformat(asked[edge]) for edge in ("start", "end"))
        return (end - start) / timedelta(days=1)
    except (KeyError, TypeError, ValueError):
        return None
