"""The trace that a submission belongs to: that of its caller, or one that begins here."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from api.context import Context
from configs.tracing import Place

HEADER = "traceparent"
SPAN = "submit a backtest"


@contextmanager
def traced(request: Request, context: Context) -> Iterator[str | None]:
    """Measure a submission; yields the `traceparent` to store with its job, None without one.

    Where traces are off here, the caller's is passed on.
    """
    caller = Place.read(request.headers.get(HEADER))
    if context.tracer is None:
        yield None if caller is None else str(caller)
        return
    with context.tracer.span(SPAN, parent=caller) as span:
        yield str(span.place)
