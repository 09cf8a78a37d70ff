"""Traces, where OpenTelemetry is installed and asked for; nothing at all where it is not.

OTEL_TRACES_EXPORTER=otlp turns them on. Where they go, and how many, is said by the variables that
OpenTelemetry itself knows: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and the like.
"""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry import trace

EXPORTER = "OTEL_TRACES_EXPORTER"
OFF = ("", "none")
SAMPLED = 1
CLOSE_SECONDS = 2.0

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Place:
    """A span by its ids, as W3C's Trace Context writes them into `traceparent`."""

    trace_id: int
    span_id: int
    sampled: bool = True

    @classmethod
    def read(cls, text: str | None) -> "Place | None":
        """Read a header; None for one that is not there or not valid, as its standard demands."""
        found = _TRACEPARENT.fullmatch(text or "")
        if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        trace_id, span_id = int(found[2], 16), int(found[3], 16)
        if not trace_id or not span_id:
            return None
        return cls(trace_id, span_id, sampled=bool(int(found[4], 16) & SAMPLED))

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"


class Span:
    """One piece of work under way, to tell about it."""

    def __init__(self, span: "trace.Span") -> None:
        self._span = span

    @property
    def place(self) -> Place:
        """Where its children belong."""
        at = self._span.get_span_context()
        return Place(at.trace_id, at.span_id, sampled=bool(at.trace_flags & SAMPLED))

    def note(self, **attributes: str | int) -> None:
        """Add attributes, under `backtest.`."""
        self._span.set_attributes({f"backtest.{key}": value for key, value in attributes.items()})

    def fail(self, kind: str, message: str, stack: str | None = None) -> None:
        """Say that it failed; `stack` is a traceback as text."""
        from opentelemetry.trace import StatusCode

        self._span.set_status(StatusCode.ERROR, message)
        told = {"exception.type": kind, "exception.message": message}
        self._span.add_event("exception", told | ({"exception.stacktrace": stack} if stack else {}))


class Tracer:
    """Sends spans from a thread of its own, in batches; a receiver that is away costs them alone.

    Spans whose ids are known beforehand can be linked to by somebody who never saw them.
    """

    def __init__(self, service: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Ids(RandomIdGenerator):
            """Random, unless the thread has chosen them."""

            chosen = threading.local()

            def generate_trace_id(self) -> int:
                place: Place | None = getattr(self.chosen, "place", None)
                return place.trace_id if place else super().generate_trace_id()

            def generate_span_id(self) -> int:
                place: Place | None = getattr(self.chosen, "place", None)
                return place.span_id if place else super().generate_span_id()

        self._ids = Ids()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            id_generator=self._ids,
            shutdown_on_exit=False,  # it would wait for a receiver that is away
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(service)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: Place | None = None,
        place: Place | None = None,
        earlier: Place | None = None,
        **attributes: str | int,
    ) -> Iterator[Span]:
        """Measure what is done inside, as a child of `parent`, linked to the span `earlier`.

        `place` are the ids it is to have; with a parent the trace is the parent's.
        """
        from opentelemetry import trace

        self._ids.chosen.place = place
        try:
            span = self._tracer.start_span(
                name,
                trace.set_span_in_context(trace.NonRecordingSpan(_remote(parent))),
                links=[trace.Link(_remote(earlier))] if earlier else (),
            )
        finally:
            self._ids.chosen.place = None
        told = Span(span)
        told.note(**attributes)
        try:
            yield told
        finally:
            span.end()

    def close(self) -> None:
        """Send what is left, and end; what cannot be sent in time is lost."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)


def start(service: str, environ: Mapping[str, str] = os.environ) -> Tracer | None:
    """Return what spans of `service` are sent by; None where traces are off, which they are.

    Raises SettingsError for an exporter that is not there.
    """
    exporter = environ.get(EXPORTER, "")
    if exporter in OFF:
        return None
    if exporter != "otlp":
        raise SettingsError(f"{EXPORTER} is {exporter!r}: set it to otlp, or to none")
    try:
        return Tracer(service)
    except ImportError as error:
        raise SettingsError(
            f"{EXPORTER} is set, and {error.name} is not installed: "
            "pip install 'backtest-jobs[tracing]'"
        ) from None


def _remote(place: Place | None) -> Any:
    from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, TraceFlags

    if place is None:
        return INVALID_SPAN_CONTEXT
    flags = TraceFlags(SAMPLED if place.sampled else 0)
    return SpanContext(place.trace_id, place.span_id, is_remote=True, trace_flags=flags)
