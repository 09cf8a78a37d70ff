"""A request on its way to become a job: completed, compared with the candles, estimated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli import render
from configs import settings
from configs.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Submission:
    """What would be stored, what is known about it, and the settings it was read with."""

    effective: Json
    coverage: Json | None
    warnings: list[dict[str, str]]
    estimate: Json
    settings: Settings

    @classmethod
    def of(cls, document: Any, environ: Mapping[str, str]) -> "Submission":
        """Check a request in full; raises what makes a submission fail, but for the quota."""
        from cli import coverage
        from engine.request import Limits, complete, parse, read_defaults

        loaded = settings.load(environ=environ)
        limits = Limits(**loaded.request_limits())
        effective = complete(document, read_defaults(*loaded.request_defaults()), limits)
        request = parse(effective)
        checked = coverage.check(request, environ)
        return cls(
            effective=effective,
            coverage=checked.coverage,
            warnings=checked.warnings,
            estimate=_estimate(request, threads=limits.threads),
            settings=loaded,
        )


def sentence(estimate: Mapping[str, Any]) -> str:
    """Say how much there is to compute."""
    total, risks = estimate["stage_a_variants"], estimate["risk_combinations"]
    size = f"{_spaced(total)} x {_spaced(risks)} variants"
    seconds = estimate["seconds"]
    if seconds is None:
        return size
    time = "less than a second" if seconds < 1 else f"about {render.duration(seconds)}"
    return f"{size}, {time} of one worker"


def _estimate(request: Any, *, threads: int) -> Json:
    from engine import rate
    from engine.grid import estimate

    found, known = estimate(request, threads=threads), rate.known()
    seconds = None if known is None else round(rate.seconds(request, known, threads=threads), 3)
    return {
        "stage_a_variants": found.stage_a_variants,
        "stage_b_variants": found.stage_b_variants,
        "risk_combinations": request.risk.total,
        "bytes": found.bytes,
        "seconds": seconds,
    }


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")
