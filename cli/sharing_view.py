"""What a terminal says of a stage that several workers compute."""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

MOST_NAMED = 12


def sharing_rows(status: Json) -> Iterator[tuple[str, str]]:
    """Yield how far the shards are and who computes them, as labelled rows; none if not shared."""
    sharing = _sharing(status)
    if sharing is None:
        return
    yield "shared", sharing["said"]
    workers, label = sharing["workers"], "workers"
    for share in workers[:MOST_NAMED]:
        counts = (f"{share[state]:,} {state}" for state in ("running", "done") if share[state])
        yield label, f"{share['worker']}: {', '.join(counts)}"
        label = ""
    if len(workers) > MOST_NAMED:
        yield label, f"and {len(workers) - MOST_NAMED:,} more"


def on_workers(status: Json) -> str:
    """Say on how many workers a shared stage runs; nothing where it is not shared."""
    sharing = _sharing(status)
    if sharing is None:
        return ""
    running = sum(share["running"] > 0 for share in sharing["workers"])
    return f"on {running:,} worker{'' if running == 1 else 's'}"


def _sharing(status: Json) -> Json | None:
    # An API of an older release does not tell.
    return status.get("sharing")
