"""From files to bars that can be stored: read all, judge all, and only then give anything away."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from storage.candles.importing import drops, sources
from storage.candles.importing.choices import Choices
from storage.candles.importing.csv_file import CsvFile
from storage.candles.importing.drops import Drops
from storage.candles.importing.errors import CandleFileError, Learnt, ReadAgain
from storage.candles.importing.evidence import Evidence, Spacing
from storage.candles.importing.json_file import JsonFile
from storage.candles.importing.layout import UnknownColumns, choose
from storage.candles.importing.pieces import Extractor
from storage.candles.importing.report import FileReport
from storage.candles.importing.sources import Member, Source
from storage.candles.importing.spool import Overlaps, Run, Spool
from storage.candles.importing.tables import TableFile
from storage.candles.importing.times import Clock
from storage.candles.records import Bars

Advance = Callable[[int, int], None]

# Names of exchanges' dumps tell the instrument, those of Lean's files the day.
DUMP = re.compile(r"([A-Z0-9]{5,})-\d+(?:mo|[smhdw])-\d{4}")
DAY = re.compile(r"(?:^|\D)((?:19|20)\d\d)([01]\d)([0-3]\d)(?:\D|$)")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Bars that were judged and can be stored, and what is known of them.

    `chunks` gives them ascending and without duplicates, in pieces of bounded size.
    """

    files: tuple[FileReport, ...]
    passed: tuple[Path, ...]
    timeframe_ms: int
    has_volume: bool
    spacing: Spacing
    overlaps: Overlaps
    _spool: Spool
    _runs: Sequence[Run]

    def chunks(self, advance: Callable[[float], None]) -> Iterator[Bars]:
        """All bars; `advance` is told the share that was given."""
        given = 0
        for bars in self._spool.merged(self._runs, Overlaps()):
            yield bars
            given += len(bars)
            advance(given / self.spacing.bars)


@contextmanager
def prepared(
    paths: Sequence[Path], market_id: int, symbol: str, choices: Choices, advance: Advance
) -> Iterator[Prepared]:
    """Read and judge files of one instrument; raises `CandleFileError` about the first wrong one.

    `advance(done, total)` is told how many bytes have been read.
    """
    found, passed = sources.expand(paths)
    with Spool() as spool:
        reader = _Reader(spool, market_id, symbol, choices)
        for number, path in enumerate(found):
            with sources.opened(path) as source:
                reader.read(
                    source,
                    lambda share, n=number: advance(  # type: ignore[misc]
                        int(1000 * (n + share)), 1000 * len(found)
                    ),
                )
        spacing, overlaps = reader.judged()
        yield Prepared(
            files=tuple(reader.files),
            passed=tuple(passed),
            timeframe_ms=choices.timeframe_ms,
            has_volume=any(file.traded for file in reader.files),
            spacing=spacing,
            overlaps=overlaps,
            _spool=spool,
            _runs=reader.runs,
        )


@dataclass(slots=True)
class _Reader:
    """Reads one source after the other into the spool."""

    spool: Spool
    market_id: int
    symbol: str
    choices: Choices
    files: list[FileReport] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    overlaps: Overlaps = field(default_factory=Overlaps)
    _members: int = 0
    _kept: int = 0
    _spacing: Spacing = field(default_factory=Spacing)

    def read(self, source: Source, advance: Callable[[float], None]) -> None:
        """Read a file and whatever it contains, again from its start when a later part says so."""
        complete, learnt = 0, Learnt()
        while True:
            try:
                with source.path.open("rb") as raw, sources.reading(source.name):
                    for number, member in enumerate(sources.members(source, raw)):
                        if number < complete:
                            continue
                        self._read_member(
                            source,
                            member,
                            learnt,
                            lambda: advance(raw.tell() / source.size),
                        )
                        complete, learnt = number + 1, Learnt()
                return
            except ReadAgain as again:
                self.spool.forget()
                learnt = Learnt(
                    again.learnt.date_order or learnt.date_order,
                    learnt.volume if again.learnt.volume is None else again.learnt.volume,
                )

    def judged(self) -> tuple[Spacing, Overlaps]:
        """Judge all files together; they may overlap."""
        if len(self.files) == 1:
            return self._spacing, self.overlaps
        within = self.overlaps.conflicts
        spacing = self._merge(self.runs, self.overlaps)
        together = Evidence("the files together", self.choices, kept=self._kept)
        among = Overlaps(conflicts=self.overlaps.conflicts - within)
        together.check_overlaps(among, {})
        return spacing, self.overlaps

    def _read_member(
        self, source: Source, member: Member, learnt: Learnt, advance: Callable[[], None]
    ) -> None:
        file = _reader(member, self.choices)
        sample = file.sample()
        try:
            layout = choose(file.names, sample, self.symbol, self.choices, learnt)
        except UnknownColumns as error:
            raise CandleFileError(f"{member.name}: {_line(file)}{error}") from error
        clock = Clock(
            self.choices.zone, learnt.date_order or self.choices.date_order, _day(member.name)
        )
        extractor = Extractor(member.name, file.names, layout, self.choices, clock)
        rows = Drops(member.name, self.choices)
        evidence = Evidence(member.name, self.choices)
        for piece in file.pieces(extractor):
            times, values, turnover = rows.usable(piece)
            evidence.add(times, values, turnover)
            self.spool.add(times, values)
            advance()
        if isinstance(file, CsvFile):
            rows.rows += file.bad
            rows.add(drops.UNREADABLE, file.bad, file.first_bad)
        self._judge(source, member, rows, evidence, extractor, _own_symbol(member.name, file))

    def _judge(
        self,
        source: Source,
        member: Member,
        rows: Drops,
        evidence: Evidence,
        extractor: Extractor,
        own: str | None,
    ) -> None:
        clock, layout = extractor.clock, extractor.layout
        rows.explain_no_time(drops.TWICE, clock.twice, clock.first_twice)
        rows.explain_no_time(drops.NEVER, clock.never, clock.first_never)
        if extractor.filtered and rows.rows + rows.empty == 0:
            conditions = " ".join(f"{name}={value}" for name, value in self.choices.where.items())
            raise CandleFileError(f"{member.name}: no row has what --where wants: {conditions}")
        rows.check()
        if clock.order_open is not None:
            raise CandleFileError(
                f"{member.name}: {clock.order_open!r} may begin with the day or the month, and no "
                "row tells: type --date-order dmy or --date-order mdy"
            )
        if layout.volume is not None and layout.quote is not None:
            names = (extractor.names[layout.volume], extractor.names[layout.quote])
            evidence.check_columns(names)
        else:
            evidence.check_columns(None)
        original = evidence.check_instruments(extractor.labels, self.symbol, self.market_id, own)
        runs, overlaps = self.spool.end_file()
        spacing = self._merge(runs, overlaps)
        evidence.check_overlaps(overlaps, extractor.labels)
        evidence.check_spacing(spacing)
        self.runs += runs
        self._kept += evidence.kept
        self._spacing = spacing
        self.overlaps.duplicates += overlaps.duplicates
        self.overlaps.conflicts += overlaps.conflicts
        self.files.append(
            FileReport(
                name=member.name,
                path=source.path,
                sha256=source.sha256,
                rows=rows.rows + rows.empty,
                dropped={
                    reason: (found.rows, found.first) for reason, found in rows.reasons.items()
                },
                empty=rows.empty,
                filtered=extractor.filtered,
                unsorted=evidence.unsorted,
                inconsistent=evidence.inconsistent,
                traded=evidence.traded,
                original_symbol=original,
                notes=layout.notes,
            )
        )

    def _merge(self, runs: Sequence[Run], overlaps: Overlaps) -> Spacing:
        spacing = Spacing()
        for bars in self.spool.merged(runs, overlaps):
            spacing.add(bars)
        return spacing


def _reader(member: Member, choices: Choices) -> CsvFile | JsonFile | TableFile:
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
