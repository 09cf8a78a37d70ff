"""What an import found, in figures and in sentences."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from storage.candles.importing.choices import timeframe_name
from storage.candles.importing.drops import BAD_VALUE, NO_TIME
from storage.candles.known import ImportedFile, Known
from storage.candles.records import MINUTE_MS

# So many skipped files are named.
NAMED = 3
CLOSES = "If the market closes daily or weekly, type --sessions"


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was found in one file; `name` includes that of an archive's member."""

    name: str
    path: Path
    sha256: str  # of the file on disk, an archive's as a whole
    rows: int
    dropped: dict[str, tuple[int, str]]  # reason → rows, and the first of them
    empty: int  # rows without any price: minutes without a trade
    filtered: int  # rows that --where leaves out
    unsorted: int  # rows whose time lies before that of an earlier row
    inconsistent: int  # kept: high or low does not enclose open and close
    traded: bool  # any volume above 0
    original_symbol: str | None  # what the file calls the instrument
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import found and did. Every row that was dropped or doubtful is counted here."""

    files: tuple[FileReport, ...]
    passed: tuple[Path, ...]  # files of folders that are not called like candles
    skipped: tuple[tuple[str, ImportedFile], ...]  # names, and what was known of such bytes
    market_id: int
    symbol: str
    known: Known  # what the files and the user said
    rows: int  # candles in the files that were read
    bars: int  # distinct valid bars among them
    new: int  # of these, such as the store had not
    changed: int  # and such as it had with other values
    first: datetime | None  # open time of the first bar, UTC; None: no file was read
    last: datetime | None
    duplicates: int  # rows dropped because a later row has the same time
    conflicts: int  # of these, rows with other values than the one that followed
    gaps: int | None  # stretches of missing bars between first and last; None: not known
    missing_bars: int  # bars missing in them
    widest_gap: tuple[datetime, datetime] | None  # the bars around the widest of them
    nights: int  # gaps that are as long as a night or longer
    learnt_sessions: bool  # files were in, and that the market closes is new
    dry_run: bool  # nothing was stored
    _totals: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        for file in self.files:
            for name in ("unsorted", "inconsistent", "empty", "filtered"):
                self._totals[name] += getattr(file, name)

    @property
    def published(self) -> int:
        """Bars that are new to the store or different from what it held."""
        return self.new + self.changed

    @property
    def timeframe(self) -> str:
        """Length of the bars, such as `1m`."""
        return timeframe_name(self.known.timeframe_ms)

    @property
    def unsorted(self) -> int:
        """Rows whose time lies before that of an earlier row of their file."""
        return self._totals["unsorted"]

    @property
    def inconsistent(self) -> int:
        """Bars that were kept though high or low does not enclose open and close."""
        return self._totals["inconsistent"]

    @property
    def invalid(self) -> int:
        """Rows dropped because they are no bars."""
        return sum(rows for file in self.files for rows, _ in file.dropped.values())

    def original_symbols(self) -> tuple[str, ...]:
        """Return what the files call the instrument, each spelling once."""
        names = (file.original_symbol for file in self.files)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def bar(self) -> str:
        """Return the word for one bar."""
        return "minute" if self.known.timeframe_ms == MINUTE_MS else f"{self.timeframe} bar"

    def remarks(self) -> tuple[str, ...]:
        """One sentence for each thing a user should know; empty for a flawless new file."""
        totals = self._totals
        sentences = (
            *((True, sentence) for sentence in self._skipped()),
            (self.learnt_sessions, "from now on the market is one that closes daily or weekly"),
            *((True, note) for note in self._notes()),
            *((True, sentence) for sentence in self._dropped()),
            (
                totals["empty"],
                counted(totals["empty"], "row") + " without any price left out",
            ),
            (totals["filtered"], f"{counted(totals['filtered'], 'row')} left out by --where"),
            (
                self.duplicates,
                counted(self.duplicates, "duplicate row")
                + f" dropped, the last of each {self.bar()} was kept "
                f"({self.conflicts} had other values)",
            ),
            (self.unsorted, f"{counted(self.unsorted, 'row')} out of order, now sorted"),
            (
                self.inconsistent,
                counted(self.inconsistent, "candle")
                + " kept whose high or low does not enclose open and close",
            ),
            (self.gaps is None or self.gaps > 0, self._gaps()),
            (self.files and not self.known.has_volume, "there is no volume: it is 0 throughout"),
            (
                self.passed,
                f"{counted(len(self.passed), 'file')} passed over, not called like candles: "
                + ", ".join(path.name for path in self.passed[:3]),
            ),
            (
                self.files and not self.published,
                f"nothing changed: the store already held exactly these {self.bar()}s",
            ),
        )
        return tuple(text for applies, text in sentences if applies)

    def _skipped(self) -> Iterator[str]:
        for name, file in self.skipped[:NAMED]:
            when = f"on {file.imported_at:%Y-%m-%d}" if file.imported_at else "in this run"
            as_what = "" if file.name == name else f" as {file.name}"
            yield (
                f"{name}: already imported {when}{as_what}, {counted(file.rows, 'row')}, skipped"
            )
        if len(self.skipped) > NAMED:
            yield f"{len(self.skipped) - NAMED:,} more files already imported, skipped"

    def _gaps(self) -> str:
        if self.gaps is None:
            return "the files overlap: `backtest candles gaps` tells what is missing"
        if self.known.sessions:
            return (
                f"{counted(self.gaps, 'stretch', 'stretches')} without bars: "
                "`backtest candles gaps` tells those when the market was open"
            )
        widest = ""
        if self.widest_gap is not None:
            begin, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in self.widest_gap)
            widest = f" (the widest from {begin} to {end})"
        return (
            f"{counted(self.gaps, 'gap')}, {counted(self.missing_bars, self.bar())} missing"
            f"{widest}: a bar without any {self.bar()} repeats the last close with volume 0"
            + (f". {CLOSES}" if self._may_close() else "")
        )

    def _may_close(self) -> bool:
        """Say whether there are as many long gaps as weekends, and many bars missing in them."""
        if self.first is None or self.last is None:
            return False
        weeks = (self.last - self.first).days / 7
        return (
            weeks >= 2 and self.nights >= 0.8 * (weeks - 1) and self.missing_bars > 0.1 * self.bars
        )

    def _notes(self) -> list[str]:
        notes = Counter(note for file in self.files for note in file.notes)
        return [
            note if len(self.files) == 1 else f"{note} (in {count} of {len(self.files)} files)"
            for note, count in notes.items()
        ]

    def _dropped(self) -> list[str]:
        found: dict[str, tuple[int, str]] = {}
        for file in self.files:
            for reason, (rows, first) in file.dropped.items():
                before, told = found.get(reason, (0, ""))
                where = first if len(self.files) == 1 else f"{file.name}: {first}"
                found[reason] = before + rows, told or where
        order = sorted(found, key=lambda reason: (reason not in (BAD_VALUE, NO_TIME), reason))
        return [
            f"{counted(found[reason][0], 'row')} dropped: {reason} (the first: {found[reason][1]})"
            for reason in order
        ]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write how many there are of something."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
