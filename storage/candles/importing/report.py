"""What an import found, in figures and in sentences."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from storage.candles.importing.choices import timeframe_name
from storage.candles.importing.drops import BAD_VALUE, NO_TIME


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
    market_id: int
    symbol: str
    timeframe_ms: int
    has_volume: bool
    rows: int  # candles in the files
    minutes: int  # distinct valid bars among them
    published: int  # of these, new to the store or different from what it held
    first: datetime  # open time of the first bar, UTC
    last: datetime
    duplicates: int  # rows dropped because a later row has the same time
    conflicts: int  # of these, rows with other values than the one that followed
    gaps: int  # stretches of missing bars between first and last
    missing_minutes: int  # bars missing in them
    widest_gap: tuple[datetime, datetime] | None  # the bars around the widest of them
    _totals: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        for file in self.files:
            for name in ("unsorted", "inconsistent", "empty", "filtered"):
                self._totals[name] += getattr(file, name)

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

    def remarks(self) -> tuple[str, ...]:
        """One sentence for each thing a user should know; empty for a flawless new file."""
        bar = (
            "minute" if self.timeframe_ms == 60_000 else f"{timeframe_name(self.timeframe_ms)} bar"
        )
        widest = ""
        if self.widest_gap is not None:
            begin, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in self.widest_gap)
            widest = f" (the widest from {begin} to {end})"
        sentences = (
            *((True, note) for note in self._notes()),
            *((True, sentence) for sentence in self._dropped()),
            (
                self._totals["empty"],
                counted(self._totals["empty"], "row") + " without any price left out",
            ),
            (
                self._totals["filtered"],
                f"{counted(self._totals['filtered'], 'row')} left out by --where",
            ),
            (
                self.duplicates,
                counted(self.duplicates, "duplicate row")
                + f" dropped, the last of each {bar} was kept ({self.conflicts} had other values)",
            ),
            (self.unsorted, f"{counted(self.unsorted, 'row')} out of order, now sorted"),
            (
                self.inconsistent,
                counted(self.inconsistent, "candle")
                + " kept whose high or low does not enclose open and close",
            ),
            (
                self.gaps,
                counted(self.gaps, "gap")
                + f", {counted(self.missing_minutes, bar)} missing{widest}: "
                f"a bar without any {bar} repeats the last close with volume 0",
            ),
            (not self.has_volume, "there is no volume: it is 0 throughout"),
            (
                self.passed,
                f"{counted(len(self.passed), 'file')} passed over, not called like candles: "
                + ", ".join(path.name for path in self.passed[:3]),
            ),
            (
                not self.published,
                f"nothing changed: the store already held exactly these {bar}s",
            ),
        )
        return tuple(text for applies, text in sentences if applies)

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


def counted(number: int, noun: str) -> str:
    """Write how many there are of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
