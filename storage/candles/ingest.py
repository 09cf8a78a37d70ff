"""Importing candle files: what was read and judged is published in a store, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from storage.candles.importing import CandleFileError, Choices, FileReport, ImportReport, sources
from storage.candles.importing.batch import ROWS, Batch
from storage.candles.importing.reading import Instrument, Reader
from storage.candles.importing.report import counted
from storage.candles.importing.spacing import Spacing
from storage.candles.importing.spool import Overlaps, Spool
from storage.candles.known import (
    ImportedFile,
    Known,
    OtherTimeframe,
    check_form,
    normalised,
    together,
)
from storage.candles.minutes import Compared, check_instrument
from storage.candles.records import utc
from storage.candles.store import CandleStore

Progress = Callable[[int, int], None]

# A stretch without bars that may be a night.
NIGHT_MS = 6 * 3_600_000


def import_files(
    store: CandleStore,
    paths: Sequence[Path],
    market_id: int,
    symbol: str,
    choices: Choices | None = None,
    *,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Import files, folders, patterns or archives of one instrument's candles.

    Files are read, judged and published one after the other, small ones together. A file that was
    imported before is skipped, so what was interrupted is done by doing it again. Values that are
    stored are changed only with `replace`, which skips nothing either; the last stored bar may
    change, for it may have been unfinished, if bars follow it. With `dry_run` everything is done
    but storing.

    `symbol` may be written in any way: `BTC/USDT` and `btcusdt` are `BTCUSDT`. `progress(done,
    total)` is called as work proceeds; only the ratio means something. Raises `CandleFileError`
    when a file is not usable, which says what was published before, and
    `CandleSourceUnavailable` when the store is not.
    """
    try:
        check_instrument(market_id, normalised(symbol))
    except ValueError as error:
        raise CandleFileError(f"{paths[0]} cannot be imported: {error}") from error
    found, passed = sources.expand(paths)
    with Spool() as spool:
        run = _Run(
            *(store, spool, market_id, symbol, choices or Choices()),
            replace=replace,
            dry_run=dry_run,
            tell=progress or (lambda _done, _total: None),
        )
        try:
            run.all(found)
        except CandleFileError as error:
            if not run.files or dry_run:
                raise
            done = f"{counted(len(run.files), 'file')} before it, imported already, will be skipped"
            raise CandleFileError(f"{error} ({done} when you do this again)") from error
        return run.report(passed)


@dataclass(slots=True)
class _Run:
    """One import: what it is about, and what was done so far."""

    store: CandleStore
    spool: Spool
    market_id: int
    typed: str
    choices: Choices
    replace: bool
    dry_run: bool
    tell: Progress
    files: list[FileReport] = field(default_factory=list)
    skipped: list[tuple[str, ImportedFile]] = field(default_factory=list)
    compared: Compared = field(default_factory=lambda: Compared(0, 0, 0))
    spacings: list[Spacing] = field(default_factory=list)
    overlaps: Overlaps = field(default_factory=Overlaps)
    known: Known = field(default_factory=Known)
    learnt_sessions: bool = False

    def all(self, paths: Sequence[Path]) -> None:
        """Import one file after the other."""
        symbol = normalised(self.typed)
        before = dict(self.store.files(self.market_id, symbol))
        stored = self.store.form(self.market_id, symbol)
        reader = Reader(self.spool, Instrument(self.market_id, symbol, stored), self.choices)
        # Each file is read, and published later.
        batch, progress, waiting = Batch(self.spool), _Shares(self.tell, 2 * len(paths)), 0
        for path in paths:
            with sources.opened(path) as source:
                same = batch.sources.get(source.sha256) or before.get(source.sha256)
                if same is not None and not self.replace:
                    self.skipped.append((source.name, same))
                    progress.done(2)
                    continue
                batch.add(source, reader, progress.of(1))
                reader.instrument = Instrument(self.market_id, symbol, batch.known)
                progress.done(1)
                waiting += 1
            if batch.rows >= ROWS:
                self._publish(batch, symbol, progress.of(waiting), new=not before)
                before |= batch.sources
                progress.done(waiting)
                batch, waiting = Batch(self.spool), 0
        if batch.read:
            self._publish(batch, symbol, progress.of(waiting), new=not before)
        elif self.choices.sessions:
            self._learn_sessions(symbol)
        self.tell(progress.total, progress.total)

    def _learn_sessions(self, symbol: str) -> None:
        """Remember that a market closes, though its files are in already."""
        known = self.store.known(self.market_id, symbol)
        self.learnt_sessions = not known.sessions
        if self.learnt_sessions and not self.dry_run:
            said = replace(known, sessions=True)
            self.store.append(self.market_id, symbol, [], known=said)

    def _publish(
        self, batch: Batch, symbol: str, advance: Callable[[float], None], *, new: bool
    ) -> None:
        batch.judge(replace=self.replace)
        asked = self.market_id, symbol
        known = self._known(batch, symbol, new=new)
        try:
            compared = self._compared(batch, symbol, known)
            if not self.dry_run:
                chunks, files = batch.chunks(advance), tuple(batch.sources.values())
                self.store.append(*asked, chunks, known=known, files=files)
        except OtherTimeframe as error:
            raise CandleFileError(f"{batch.files[0].name}: {error}") from error
        self.compared = self.compared.then(compared)
        self.known = together(self.known, known) if self.files else known
        self.files += batch.files
        self.spacings.append(batch.spacing)
        self.overlaps.add(batch.overlaps)
        self.spool.clear()

    def _known(self, batch: Batch, symbol: str, *, new: bool) -> Known:
        """Say what the files and the user tell of the instrument."""
        traded = any(file.traded for file in batch.files)
        if not traded and not new and not self.choices.no_volume:
            # Nobody may have traded for a while.
            traded = self.store.known(self.market_id, symbol).has_volume
        own = next((file.original_symbol for file in batch.files if file.original_symbol), "")
        original = own if self.typed == symbol else self.typed
        return Known(
            timeframe_ms=batch.form.timeframe_ms,
            phase_ms=batch.form.phase_ms,
            sessions=self.choices.sessions,
            has_volume=traded,
            original="" if original == symbol else original,
        )

    def _compared(self, batch: Batch, symbol: str, known: Known) -> Compared:
        """Count what is new and what would change; raise where that was not asked for."""
        asked, spacing = (self.market_id, symbol), batch.spacing
        check_form(symbol, self.store.form(*asked), known)
        span = self.store.span(*asked, known.timeframe_ms)
        if span is None or span[1] < spacing.first_ms or spacing.last_ms < span[0]:
            return Compared(spacing.bars, 0, 0)
        found = self.store.compare(*asked, batch.chunks(), known)
        if found.changed and not self.replace and not self.dry_run:
            # The bar that was the last one may have been unfinished.
            may_change = span[1] if span[1] < spacing.last_ms else None
            self._refuse_changes(batch, symbol, known, may_change)
        return found

    def _refuse_changes(
        self, batch: Batch, symbol: str, known: Known, may_change: int | None
    ) -> None:
        """Raise for the first file that changes anything but the bar that may change."""
        for file in batch.read:
            chunks = batch.chunks_of(file)
            found = self.store.compare(self.market_id, symbol, chunks, known)
            if found.changed and not found.first_ms == found.last_ms == may_change:
                raise CandleFileError(
                    f"{file.report.name}: {found.changed:,} of its {file.spacing.bars:,} bars have "
                    "other values than those that are stored (the first opens at "
                    f"{utc(found.first_ms):%Y-%m-%d %H:%M}). If the file is right, type --replace; "
                    "--dry-run only tells what would change"
                )

    def report(self, passed: Sequence[Path]) -> ImportReport:
        """Say what was found and done."""
        symbol, spacing = normalised(self.typed), Spacing.chained(self.spacings)
        known = self.known if self.files else self.store.known(self.market_id, symbol)
        step = known.timeframe_ms
        gaps, missing = (None, 0) if spacing is None else spacing.missing(step)
        widest = spacing.widest if spacing is not None and gaps else None
        parts = self.spacings
        return ImportReport(
            files=tuple(self.files),
            passed=tuple(passed),
            skipped=tuple(self.skipped),
            market_id=self.market_id,
            symbol=symbol,
            known=known,
            rows=sum(file.rows for file in self.files),
            bars=sum(part.bars for part in parts),
            new=self.compared.new,
            changed=self.compared.changed,
            first=utc(min(part.first_ms for part in parts)) if parts else None,
            last=utc(max(part.last_ms for part in parts)) if parts else None,
            duplicates=self.overlaps.duplicates,
            conflicts=self.overlaps.conflicts,
            gaps=gaps,
            missing_bars=missing,
            nights=0 if spacing is None else spacing.longer_than(NIGHT_MS + step),
            widest_gap=(utc(widest[0]), utc(widest[1])) if widest is not None else None,
            learnt_sessions=self.learnt_sessions,
            dry_run=self.dry_run,
        )


@dataclass(slots=True)
class _Shares:
    """Turns shares of single steps into progress of them all."""

    tell: Progress
    steps: int
    finished: int = 0

    @property
    def total(self) -> int:
        """Return what the progress of all steps is told as."""
        return 1000 * self.steps

    def of(self, steps: int) -> Callable[[float], None]:
        """Return who is told the share of the next steps that is done."""
        begun = self.finished
        return lambda share: self.tell(int(1000 * (begun + share * steps)), self.total)

    def done(self, steps: int) -> None:
        """Finish steps."""
        self.finished += steps
