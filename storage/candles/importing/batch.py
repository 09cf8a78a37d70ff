"""Files that are published together: read, judged one by one and against each other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from storage.candles.importing.choices import timeframe_name
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.form import Form, placed
from storage.candles.importing.reading import Reader, ReadFile
from storage.candles.importing.report import FileReport, counted
from storage.candles.importing.sources import Source
from storage.candles.importing.spacing import Spacing
from storage.candles.importing.spool import Overlaps, Spool
from storage.candles.known import ImportedFile, Known
from storage.candles.records import MINUTE_MS, Bars, utc

# About a year of minutes: a killed import has lost no more than a moment's work, and many small
# files do not become many small files of the store.
ROWS = 500_000


@dataclass(slots=True)
class Batch:
    """What was read since the last publication."""

    spool: Spool
    read: list[ReadFile] = field(default_factory=list)
    sources: dict[str, ImportedFile] = field(default_factory=dict)
    spacing: Spacing = field(default_factory=Spacing)
    overlaps: Overlaps = field(default_factory=Overlaps)

    def add(self, source: Source, reader: Reader, advance: Callable[[float], None]) -> None:
        """Read a file and judge it; raises `CandleFileError`."""
        new = reader.read(source, advance)
        form = self.read[0].form if self.read else new[0].form
        for file in new:
            if file.form != form:
                raise CandleFileError(
                    f"{file.report.name}: its bars are {_told(file.form)}, those of the files "
                    f"before it {_told(form)}: import them as two instruments, or say with "
                    "--timeframe what all of them are"
                )
        self.read += new
        rows = sum(file.report.rows for file in new)
        self.sources[source.sha256] = ImportedFile(source.name, source.sha256, rows)

    @property
    def rows(self) -> int:
        """How many rows its files have."""
        return sum(file.report.rows for file in self.read)

    @property
    def form(self) -> Form:
        """Form of its bars."""
        return self.read[0].form

    @property
    def known(self) -> Known:
        """What a further file is told of the bars before it."""
        return Known(timeframe_ms=self.form.timeframe_ms, phase_ms=self.form.phase_ms)

    @property
    def files(self) -> list[FileReport]:
        """What was found in each file."""
        return [file.report for file in self.read]

    def judge(self, *, replace: bool) -> None:
        """Judge the files together; raises `CandleFileError` where they contradict each other."""
        for file in self.read:
            self.overlaps.add(file.overlaps)
        chained = Spacing.chained([file.spacing for file in self.read])
        if chained is not None:
            self.spacing = chained
            return
        among = Overlaps()
        for bars in self._bars(self.read, among):
            self.spacing.add(bars.ts_open)
        for file in self.read:
            among.remove(file.unmerged)
        self.overlaps.add(among)
        ends = {file.spacing.last_ms for file in self.read} - {self.spacing.last_ms}
        if among.conflicts and not replace and not among.times <= ends:
            first = utc(min(among.times))
            raise CandleFileError(
                f"the files together: {counted(among.conflicts, 'bar')} of "
                f"{self.read[0].report.name} and {len(self.read) - 1} more have other values in a "
                f"later file (the first opens at {first:%Y-%m-%d %H:%M}); if the later files are "
                "right, type --replace"
            )

    def chunks(self, advance: Callable[[float], None] | None = None) -> Iterator[Bars]:
        """All bars, ascending and without duplicates, in pieces of bounded size."""
        given = 0
        for bars in self._bars(self.read, Overlaps()):
            yield bars
            given += len(bars)
            if advance is not None:
                advance(given / self.spacing.bars)

    def chunks_of(self, file: ReadFile) -> Iterator[Bars]:
        """Bars of one file."""
        yield from self._bars([file], Overlaps())

    def _bars(self, files: list[ReadFile], overlaps: Overlaps) -> Iterator[Bars]:
        form = self.form
        merged = self.spool.merged([run for file in files for run in file.runs], overlaps)
        if form.timeframe_ms == MINUTE_MS:
            return merged
        return placed(merged, form, files[-1].report.name)


def _told(form: Form) -> str:
    return f"{timeframe_name(form.timeframe_ms)} long" + (
        f" and open {form.phase_ms // MINUTE_MS} minutes later" if form.phase_ms else ""
    )
