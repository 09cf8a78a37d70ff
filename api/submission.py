"""A request on its way to become a job: read, completed, compared with the candles, estimated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from api import coverage
from api.auth import Identity
from api.context import Context
from api.errors import Detail, not_found, of_request
from api.known import Known
from engine import rate
from engine.grid import Estimate, estimate
from engine.rate import Rate
from engine.request import (
    Request,
    RequestError,
    TooLarge,
    complete,
    engine_params_hash,
    parse,
    read_label,
    read_saved,
    request_hash,
    saved_document,
    spec_hash,
    submission_hash,
)
from engine.request.label import LABEL
from engine.request.warnings import of_fills, of_leverage
from storage import strategies
from storage.connection import Connection
from storage.records import Mode, NewJob
from storage.strategies import Strategy

Json = dict[str, Any]

RATE = "rate"
_RATE = Known(seconds=30, most=1)
"""Finding it, or that there is none yet, takes a look at every kernel's source."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent: name and note, the request beside them, and the hash of that.

    `problems` is what is wrong with name and note; everything is refused together.
    """

    name: str | None
    note: str | None
    document: Any
    hash: str
    problems: tuple[Any, ...] = ()

    @classmethod
    def of(cls, document: Any) -> "Sent":
        """Take a document apart."""
        problems: tuple[Any, ...] = ()
        try:
            name, note, rest = read_label(document)
        except RequestError as error:
            problems, name, note = error.errors, None, None
            rest = {key: value for key, value in document.items() if key not in LABEL}
        return cls(name, note, rest, submission_hash(rest), problems)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A request that says all of itself, and the template of the strategy that it came from."""

    document: Any
    template: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What would be stored, and what is known about it."""

    effective: Json
    request: Request
    coverage: Json | None
    warnings: list[dict[str, str]]


def resolve(document: Any, who: Identity, context: Context) -> Resolved:
    """Put the template of a saved strategy in its place.

    Raises 404 for a strategy that the caller does not have.
    """
    saved = read_saved(document)
    if saved is None:
        return Resolved(document)
    strategy = context.pool.run(lambda conn: own_strategy(conn, who, saved.strategy_id), again=True)
    template = strategy.template_json
    return Resolved(saved_document(template, saved.overrides), template)


def own_strategy(conn: Connection, who: Identity, strategy_id: UUID) -> Strategy:
    """Return a strategy of the caller. Raises 404."""
    found = strategies.get(conn, who.user_id, strategy_id)
    if found is None:
        raise not_found(f"you have no strategy {strategy_id}")
    return found


def check(sent: Sent, resolved: Resolved, context: Context) -> Checked:
    """Check a request in full; raises RequestError for everything that makes a submission fail.

    A candle source that is away is no more than a warning.
    """
    try:
        effective = complete(resolved.document, context.defaults, context.limits)
    except RequestError as error:
        raise RequestError([*sent.problems, *error.errors]) from None
    if sent.problems:
        raise RequestError(sent.problems)
    request = parse(effective)
    found = coverage.check_if_possible(request, context.candles)
    warnings = [*found.warnings, *of_fills(request), *of_leverage(request)]
    return Checked(effective, request, found.coverage, warnings)


def new_job(
    sent: Sent, resolved: Resolved, checked: Checked, who: Identity, context: Context, **rest: Any
) -> NewJob:
    """Return what is stored; `rest` are idempotency key, what becomes of its last job, trace."""
    template = resolved.template
    return NewJob(
        user_id=who.user_id,
        mode=Mode.TEMPLATE if template is None else Mode.SAVED,
        request_json=checked.effective,
        request_hash=request_hash(checked.effective),
        engine_params_hash=engine_params_hash(checked.effective),
        backtest_runtime_config_hash=context.settings.runtime_config_hash,
        name=sent.name,
        note=sent.note,
        submission_hash=sent.hash,
        spec_hash=None if template is None else spec_hash(template),
        spec_payload_json=template,
        coverage_json=checked.coverage,
        **rest,
    )


@dataclass(frozen=True, slots=True)
class Assessed:
    """What a request would be as a job. `errors` say why it would not be accepted."""

    effective: Mapping[str, Any] | None
    size: Json
    coverage: Json | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)
    errors: list[Detail] = field(default_factory=list)


def assess(sent: Sent, resolved: Resolved, context: Context) -> Assessed:
    """Look at a request without storing it.

    Raises RequestError where it cannot be read, and what asking the candle source raises.
    """
    try:
        effective = complete(resolved.document, context.defaults, context.limits)
    except RequestError as error:
        if sent.problems or not isinstance(error, TooLarge):
            raise RequestError([*sent.problems, *error.errors]) from None
        # Counted by the guards, which list nothing: so large a request must not be read further.
        size = sizes(error.estimate, error.risk_total)
        return Assessed(error.effective, size, errors=of_request(error))
    if sent.problems:
        raise RequestError(sent.problems)
    request = parse(effective)
    size = estimated(request, context)
    of_rules = [*of_fills(request), *of_leverage(request)]
    try:
        found = coverage.check(request, context.candles)
    except RequestError as error:
        return Assessed(effective, size, warnings=of_rules, errors=of_request(error))
    return Assessed(effective, size, found.coverage, [*found.warnings, *of_rules])


def estimated(request: Request, context: Context) -> Json:
    """Return how much there is to compute, and how long one worker of this machine takes."""
    threads = context.limits.threads
    known = _rate()
    seconds = None if known is None else round(rate.seconds(request, known, threads=threads), 3)
    return sizes(estimate(request, threads=threads), request.risk.total, seconds)


def _rate() -> Rate | None:
    """Return the rate of this machine; a worker may have measured it a moment ago."""
    looked: tuple[Rate | None] | None = _RATE.get(RATE)
    if looked is None:
        looked = (rate.known(),)
        _RATE.put(RATE, looked)
    return looked[0]


def sizes(found: Estimate | None, risks: int | None, seconds: float | None = None) -> Json:
    """Return the numbers of an estimate; null where nobody counted."""
    return {
        "stage_a_variants": found and found.stage_a_variants,
        "stage_b_variants": found and found.stage_b_variants,
        "risk_combinations": risks,
        "bytes": found and found.bytes,
        "seconds": seconds,
    }
