"""Which jobs use the bars of an instrument: those of a range, and others."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.candles import words

if TYPE_CHECKING:
    from storage.jobs import OfInstrument

SECONDS = 5.0
NAMED = 3


@dataclass(frozen=True, slots=True)
class Users:
    """How many jobs use the bars and have not ended, or have; and how many use other bars only.

    None: nobody could be asked, `unknown` says why. `examples` are ids of jobs that have not ended.
    """

    waiting: int | None
    ended: int | None
    others: int | None
    examples: tuple[str, ...]
    unknown: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"waiting": self.waiting, "ended": self.ended, "others": self.others}

    def lines(self, *, whole: bool) -> Iterator[str]:
        """Say what it means for them that the bars go; `whole`: with all others."""
        if self.waiting is None or self.ended is None or self.others is None:
            yield f"which jobs used it is not known: {self.unknown}"
            return
        if self.waiting:
            ids = ", ".join(self.examples) + (", ..." if self.waiting > len(self.examples) else "")
            fate = "fail" if whole else "compute without them"
            jobs = words.counted(self.waiting, "queued or running job")
            yield f"{jobs} of these bars ({ids}): those that have not read them yet will {fate}"
        if self.ended:
            keep = "keeps its" if self.ended == 1 else "keep their"
            yield (
                f"{words.counted(self.ended, 'job')} of these bars that ended {keep} results, but "
                "can no longer be repeated, or drawn with its prices"
            )
        if self.others:
            yield f"{words.counted(self.others, 'other job')} of this instrument: unaffected"
        if not (self.waiting or self.ended):
            yield "no job used these bars"


def users_of(market_id: int, symbol: str, from_ms: int, to_ms: int) -> Users:
    """Ask the database of STRATEGY_PG_DSN, where there is one that answers."""
    from cli.errors import CommandError, understood
    from cli.queue import connected
    from storage import jobs

    try:
        with connected(SECONDS) as session:
            found = session.run(jobs.of_instrument(market_id, symbol).of)
    except Exception as error:
        said = error if isinstance(error, CommandError) else understood(error)
        if said is None:
            raise
        return Users(None, None, None, (), str(said))
    users = [each for each in found if _uses(each, from_ms, to_ms)]
    waiting = [each for each in users if each.state in ("queued", "running")]

    def number(jobs: "list[OfInstrument]") -> int:
        return sum(each.number for each in jobs)

    return Users(
        waiting=number(waiting),
        ended=number(users) - number(waiting),
        others=number(found) - number(users),
        examples=tuple(sorted(each.example for each in waiting)[:NAMED]),
    )


def _uses(job: "OfInstrument", from_ms: int, to_ms: int) -> bool:
    """Whether a job reads bars that open in `[from_ms, to_ms)`, warm-up included."""
    from engine.timeframes import TIMEFRAMES

    if job.start is None or job.end is None:
        return True
    start, end = (datetime.fromisoformat(text).timestamp() * 1000 for text in (job.start, job.end))
    warmup = (job.warmup_bars or 0) * TIMEFRAMES.get(job.timeframe or "", 0)
    return start - warmup < to_ms and end > from_ms
