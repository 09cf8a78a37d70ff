"""One file of candles after the other into the spool, and what each proves about itself."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from storage.candles.importing import drops, sources
from storage.candles.importing.choices import Choices
from storage.candles.importing.csv_file import CsvFile
from storage.candles.importing.drops import Drops
from storage.candles.importing.errors import CandleFileError, Learnt, ReadAgain
from storage.candles.importing.evidence import Evidence
from storage.candles.importing.form import Form, judged, placed
from storage.candles.importing.json_file import JsonFile
from storage.candles.importing.layout import UnknownColumns, choose
from storage.candles.importing.pieces import Extractor
from storage.candles.importing.report import FileReport
from storage.candles.importing.sources import Member, Source
from storage.candles.importing.spacing import Spacing
from storage.candles.importing.spool import Overlaps, Run, Spool
from storage.candles.importing.tables import TableFile
from storage.candles.importing.times import Clock
from storage.candles.known import Known
from storage.candles.records import MINUTE_MS

# Names of exchanges' dumps tell the instrument and the length of bars, those of Lean's the day.
DUMP = re.compile(r"([A-Z0-9]{5,})-(\d+(?:mo|[smhdw]))-\d{4}")
DAY = re.compile(r"(?:^|\D)((?:19|20)\d\d)([01]\d)([0-3]\d)(?:\D|$)")


@dataclass(frozen=True, slots=True)
class Instrument:
    """What files are imported into; `stored` is the form that its bars have already."""

    market_id: int
    symbol: str
    stored: Known | None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that was read into `runs` of the spool and judged.

    `overlaps` are all of its rows that another one of it replaced, `unmerged` those that are still
    in the runs, and are found again whenever they are merged.
    """

    report: FileReport
    runs: Sequence[Run]
    spacing: Spacing
    overlaps: Overlaps
    unmerged: Overlaps
    form: Form


@dataclass(slots=True)
class Reader:
    """Reads files of one instrument into a spool; raises `CandleFileError` for what is wrong."""

    spool: Spool
    instrument: Instrument
    choices: Choices

    def read(self, source: Source, advance: Callable[[float], None]) -> list[ReadFile]:
        """Read a file and whatever it contains, again from its start when a later part says so.

        `advance` is told the share that was read.
        """
        found: list[ReadFile] = []
        learnt = Learnt()
        while True:
            try:
                with source.path.open("rb") as raw, sources.reading(source.name):
                    for number, member in enumerate(sources.members(source, raw)):
                        if number < len(found):
                            continue
                        one = _File(self, source, member, learnt)
                        found.append(one.read(lambda: advance(raw.tell() / source.size)))
                        learnt = Learnt()
                return found
            except ReadAgain as again:
                self.spool.forget()
                learnt = Learnt(
                    again.learnt.date_order or learnt.date_order,
                    learnt.volume if again.learnt.volume is None else again.learnt.volume,
                )


class _File:
    """One file while it is read."""

    def __init__(self, reader: Reader, source: Source, member: Member, learnt: Learnt) -> None:
        self.spool, self.choices, self.instrument = reader.spool, reader.choices, reader.instrument
        self.source, self.name = source, member.name
        self.content = _content(member, self.choices)
        symbol = self.instrument.symbol
        try:
            sample = self.content.sample()
            self.layout = choose(self.content.names, sample, symbol, self.choices, learnt)
        except UnknownColumns as error:
            raise CandleFileError(f"{member.name}: {_line(self.content)}{error}") from error
        order = learnt.date_order or self.choices.date_order
        self.clock = Clock(self.choices.zone, order, _day(member.name))
        names = self.content.names
        self.extractor = Extractor(member.name, names, self.layout, self.choices, self.clock)
        self.rows = Drops(member.name, self.choices)
        self.evidence = Evidence(member.name, self.choices)

    def read(self, advance: Callable[[], None]) -> ReadFile:
        spacing, ascending = Spacing(), True
        for piece in self.content.pieces(self.extractor):
            times, values, turnover = self.rows.usable(piece)
            self.evidence.add(times, values, turnover)
            self.spool.add(times, values)
            ascending = ascending and spacing.add(times)
            advance()
        if isinstance(self.content, CsvFile):
            self.rows.rows += self.content.bad
            self.rows.add(drops.UNREADABLE, self.content.bad, self.content.first_bad)
        self._check_rows()
        original = self._check_evidence()
        runs, overlaps = self.spool.end_file()
        unmerged = Overlaps()
        if not ascending:
            spacing = _merged(self.spool, runs, unmerged)
        overlaps.add(unmerged)
        self.evidence.check_overlaps(overlaps, self.extractor.labels)
        form, spacing = self._form(runs, spacing)
        report = self._report(original, form)
        return ReadFile(report, runs, spacing, overlaps, unmerged, replace(form, notes=()))

    def _check_rows(self) -> None:
        rows, clock = self.rows, self.clock
        rows.explain_no_time(drops.TWICE, clock.twice, clock.first_twice)
        rows.explain_no_time(drops.NEVER, clock.never, clock.first_never)
        if self.extractor.filtered and rows.rows + rows.empty == 0:
            conditions = " ".join(f"{name}={value}" for name, value in self.choices.where.items())
            raise CandleFileError(f"{self.name}: no row has what --where wants: {conditions}")
        rows.check()
        if clock.order_open is not None:
            raise CandleFileError(
                f"{self.name}: {clock.order_open!r} may begin with the day or the month, and no "
                "row tells: type --date-order dmy or --date-order mdy"
            )

    def _check_evidence(self) -> str | None:
        """Return what the file calls the instrument."""
        layout, names = self.layout, self.extractor.names
        if layout.volume is not None and layout.quote is not None:
            self.evidence.check_columns((names[layout.volume], names[layout.quote]))
        else:
            self.evidence.check_columns(None)
        asked = self.instrument.symbol, self.instrument.market_id
        own = _own_symbol(self.name, self.content)
        return self.evidence.check_instruments(self.extractor.labels, *asked, own)

    def _form(self, runs: Sequence[Run], spacing: Spacing) -> tuple[Form, Spacing]:
        """Say what form the bars have, and how those that have it are spaced."""
        dump = DUMP.match(_base_name(self.name))

        def rests(timeframe_ms: int) -> dict[int, tuple[int, int]]:
            counted: dict[int, tuple[int, int]] = {}
            for bars in self.spool.merged(runs, Overlaps()):
                rest = bars.ts_open % timeframe_ms
                found = np.unique(rest, return_index=True, return_counts=True)
                for one, at, count in zip(*(part.tolist() for part in found), strict=True):
                    before, first = counted.get(one, (0, int(bars.ts_open[at])))
                    counted[one] = before + count, first
            return counted

        found = judged(
            spacing,
            rests,
            rows=self.rows,
            choices=self.choices,
            stored=self.instrument.stored,
            in_name=dump[2] if dump else None,
        )
        if found.timeframe_ms != MINUTE_MS:
            spacing = Spacing()
            for bars in placed(self.spool.merged(runs, Overlaps()), found, self.name):
                spacing.add(bars.ts_open)
        return found, spacing

    def _report(self, original: str | None, found: Form) -> FileReport:
        rows = self.rows
        return FileReport(
            name=self.name,
            path=self.source.path,
            sha256=self.source.sha256,
            rows=rows.rows + rows.empty,
            dropped={reason: (one.rows, one.first) for reason, one in rows.reasons.items()},
            empty=rows.empty,
            filtered=self.extractor.filtered,
            unsorted=self.evidence.unsorted,
            inconsistent=self.evidence.inconsistent,
            traded=self.evidence.traded,
            original_symbol=original,
            notes=self.layout.notes + found.notes,
        )


def _merged(spool: Spool, runs: Sequence[Run], overlaps: Overlaps) -> Spacing:
    spacing = Spacing()
    for bars in spool.merged(runs, overlaps):
        spacing.add(bars.ts_open)
    return spacing


def _content(member: Member, choices: Choices) -> CsvFile | JsonFile | TableFile:
    """Choose the reader by the first bytes."""
    start, content = member.start, member.content
    if start.startswith((b"PAR1", b"ARROW1")):
        return TableFile(member.name, content)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{")):
        return JsonFile(member.name, content, choices)
    return CsvFile(member.name, content, choices)


def _line(file: CsvFile | JsonFile | TableFile) -> str:
    return f"line {file.head.skipped_lines}: " if isinstance(file, CsvFile) else ""


def _own_symbol(name: str, file: CsvFile | JsonFile | TableFile) -> str | None:
    """Return what a file calls its instrument where no column does."""
    if isinstance(file, CsvFile) and file.head.symbol:
        return file.head.symbol
    dump = DUMP.match(_base_name(name))
    return dump[1] if dump else None


def _day(name: str) -> int | None:
    """Milliseconds of the day that a file's name tells."""
    found = DAY.search(_base_name(name))
    if found is None:
        return None
    try:
        day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
    except ValueError:
        return None
    return int(day.timestamp()) * 1000


def _base_name(name: str) -> str:
    return Path(name.rstrip(")").rpartition("(")[2]).name
