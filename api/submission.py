"""A request on its way to become a job: completed, compared with the candles, estimated."""

from dataclasses import dataclass
from typing import Any

from api import coverage
from api.context import Context
from engine import rate
from engine.grid import estimate
from engine.request import Request, complete, parse

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Submission:
    """What would be stored, and what is known about it."""

    effective: Json
    request: Request
    coverage: Json | None
    warnings: list[dict[str, str]]

    @classmethod
    def of(cls, document: Any, context: Context) -> "Submission":
        """Check a request in full; raises RequestError for what makes a submission fail.

        A candle source that is away is no more than a warning.
        """
        effective = complete(document, context.defaults, context.limits)
        request = parse(effective)
        checked = coverage.check(request, context.candles)
        return cls(effective, request, checked.coverage, checked.warnings)


def estimated(request: Request, *, threads: int) -> Json:
    """Return how much there is to compute, and how long one worker of this machine takes."""
    found, known = estimate(request, threads=threads), rate.known()
    seconds = None if known is None else round(rate.seconds(request, known, threads=threads), 3)
    return {
        "stage_a_variants": found.stage_a_variants,
        "stage_b_variants": found.stage_b_variants,
        "risk_combinations": request.risk.total,
        "bytes": found.bytes,
        "seconds": seconds,
    }
