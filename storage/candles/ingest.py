"""Importing candle files: what was read and judged is published in a store."""

from collections.abc import Callable, Sequence
from pathlib import Path

from storage.candles.importing import CandleFileError, Choices, ImportReport, Prepared, prepared
from storage.candles.importing.choices import timeframe_name
from storage.candles.minutes import check_instrument
from storage.candles.records import MINUTE_MS, utc
from storage.candles.store import CandleStore

Progress = Callable[[int, int], None]


def import_files(
    store: CandleStore,
    paths: Sequence[Path],
    market_id: int,
    symbol: str,
    choices: Choices | None = None,
    *,
    progress: Progress | None = None,
) -> ImportReport:
    """Import files, folders, patterns or archives of one instrument's candles as one.

    `progress(done, total)` is called as work proceeds; only the ratio means something. Raises
    `CandleFileError` when one of the files is not usable as a whole – then nothing was published –
    and `CandleSourceUnavailable` when the store is not.
    """
    try:
        check_instrument(market_id, symbol)
    except ValueError as error:
        raise CandleFileError(f"{paths[0]} cannot be imported: {error}") from error
    tell = progress or (lambda _done, _total: None)
    with prepared(
        paths, market_id, symbol, choices or Choices(), lambda done, total: tell(done, 2 * total)
    ) as bars:
        _check_storable(bars)
        total = 2 * 1000 * len(bars.files)
        published = store.append(
            market_id, symbol, bars.chunks(lambda share: tell(int(total * (1 + share) / 2), total))
        )
        tell(total, total)
    gaps, missing = bars.spacing.missing(bars.timeframe_ms)
    widest = bars.spacing.widest
    return ImportReport(
        files=bars.files,
        passed=bars.passed,
        market_id=market_id,
        symbol=symbol,
        timeframe_ms=bars.timeframe_ms,
        has_volume=bars.has_volume,
        rows=sum(file.rows for file in bars.files),
        minutes=bars.spacing.bars,
        published=published,
        first=utc(bars.spacing.first_ms),
        last=utc(bars.spacing.last_ms),
        duplicates=bars.overlaps.duplicates,
        conflicts=bars.overlaps.conflicts,
        gaps=gaps,
        missing_minutes=missing,
        widest_gap=(utc(widest[0]), utc(widest[1])) if widest is not None and gaps else None,
    )


def _check_storable(bars: Prepared) -> None:
    if bars.timeframe_ms != MINUTE_MS:
        raise CandleFileError(
            f"{bars.files[0].name}: {bars.spacing.bars} bars of "
            f"{timeframe_name(bars.timeframe_ms)} were read and are right, but only 1-minute "
            "candles can be stored; nothing was imported"
        )
