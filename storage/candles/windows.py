"""Long ranges, cut into windows that are read one after the other."""

from collections.abc import Callable, Iterator

from storage.candles.records import MINUTE_MS

# A year of minutes with warm-up is one query, so it is one snapshot; longer ranges are read window
# by window to bound the engine's memory. Whole days, so that no bucket is cut.
DAY_MS = 1440 * MINUTE_MS
WINDOW_MS = 400 * DAY_MS
# What DateTime64(3) can hold.
EARLIEST_MS, LATEST_MS = 0, 10_413_791_999_000


def windows(
    from_ms: int, to_ms: int, extent: Callable[[int, int], tuple[int, int] | None]
) -> Iterator[tuple[int, int]]:
    """Cut a range into windows; of one that is longer, only the `extent` (ms) of what is there."""
    begin, end = max(from_ms, EARLIEST_MS), min(to_ms, LATEST_MS)
    if end - begin > WINDOW_MS:
        bounds = extent(begin, end)
        if bounds is None:
            return
        begin, end = max(begin, bounds[0]), min(end, bounds[1] + 1)
    while begin < end:
        stop = min(end, begin - begin % DAY_MS + WINDOW_MS)
        yield begin, stop
        begin = stop
