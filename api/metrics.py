"""What the API measures of itself, added up over its processes where they share a folder.

Such a folder is named by PROMETHEUS_MULTIPROC_DIR, which prometheus_client reads at its import:
`backtest api` sets it before it starts the processes.
"""

import os

from prometheus_client import CollectorRegistry, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

__all__ = ["CONTENT_TYPE_PLAIN_0_0_4", "METHODS", "UNMATCHED", "Metrics"]

PREFIX = "backtest_api"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
UNMATCHED = "unmatched"
OTHER = "other"


class Metrics:
    """Durations of calls by the template of their path: what callers make up makes no series."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            f"{PREFIX}_request_duration_seconds",
            "Time from a request to the end of its answer, to the first byte of a stream.",
            ("route", "method", "status"),
            registry=self._registry,
            buckets=SECONDS,
        )

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one call."""
        known = method if method in METHODS else OTHER
        self._seconds.labels(route, known, str(status)).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        registry = self._registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
