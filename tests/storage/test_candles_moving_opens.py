"""Bars whose opens move with a clock: 22:00 UTC in winter, 21:00 in summer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from storage.candles import Bars, CandleStore, Known
from storage.candles.folder import FolderStore
from storage.candles.importing import CandleFileError, Choices
from storage.candles.importing.form import Form, placed
from storage.candles.ingest import import_files
from tests.storage.candle_files import MINUTE, START, Row, lines, rows_of, some_bars

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
HEADER = "timestamp,open,high,low,close,volume\n"
NEW_YORK = ZoneInfo("America/New_York")
ALIGNED = Choices(align_opens=True, timeframe="1d")


def evenings(first: datetime, days: int) -> list[int]:
    """Opens of days that begin at five in the afternoon in New York, as UTC."""
    begins = (datetime.combine(first, datetime.min.time(), NEW_YORK) + timedelta(hours=17),)
    return [
        int((begins[0] + timedelta(days=day)).astimezone(UTC).timestamp()) * 1000
        for day in range(days)
    ]


def year(first: datetime = datetime(2024, 1, 1), days: int = 366) -> list[Row]:
    opens = evenings(first, days)
    rows = some_bars(len(opens), DAY)
    return [(opened, *row[1:]) for opened, row in zip(opens, rows, strict=True)]


def in_winter(bars: list[Row]) -> list[Row]:
    return [(-(-(row[0] - 22 * HOUR) // DAY) * DAY + 22 * HOUR, *row[1:]) for row in bars]


@pytest.fixture
def store(tmp_path: Path) -> CandleStore:
    return FolderStore(tmp_path / "store")


def imported(
    store: CandleStore, folder: Path, *files: list[Row], choices: Choices = ALIGNED
) -> tuple[str, ...]:
    paths = []
    for number, bars in enumerate(files):
        path = folder / f"{bars[0][0]}-{number}.csv"
        path.write_text(HEADER + lines(bars))
        paths.append(path)
    return import_files(store, paths, 1, "EURUSD", choices).remarks()


def test_all_bars_get_the_later_open(store: CandleStore, tmp_path: Path) -> None:
    bars = year()

    remarks = imported(store, tmp_path, bars)

    assert rows_of(store, "EURUSD") == in_winter(bars)
    assert store.known(1, "EURUSD") == Known(DAY, phase_ms=22 * HOUR)
    assert remarks == (
        "238 bars opened at 21:00 UTC and got the others' time",
        "bars open at 22:00 UTC",
    )


def test_the_later_open_is_taken_where_more_bars_have_the_earlier_one(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = year(datetime(2024, 3, 1), 100)

    imported(store, tmp_path, bars)

    assert rows_of(store, "EURUSD") == in_winter(bars)


def test_bars_of_four_hours_are_moved_as_well(store: CandleStore, tmp_path: Path) -> None:
    opens = [day + 4 * HOUR * i for day in evenings(datetime(2024, 1, 1), 366) for i in range(5)]
    rows = some_bars(len(opens), 4 * HOUR)
    bars = [(opened, *row[1:]) for opened, row in zip(opens, rows, strict=True)]

    imported(store, tmp_path, bars, choices=Choices(align_opens=True, timeframe="4h"))

    stored = rows_of(store, "EURUSD")
    assert [row[1:] for row in stored] == [row[1:] for row in bars]
    late = {kept[0] - bar[0] for kept, bar in zip(stored, bars, strict=True)}
    assert (late, {row[0] % (4 * HOUR) for row in stored}) == ({0, HOUR}, {2 * HOUR})


def test_a_file_of_one_summer_follows_the_bars_that_are_stored(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = year()
    imported(store, tmp_path, bars[:100])

    imported(store, tmp_path, bars[100:250])

    assert rows_of(store, "EURUSD") == in_winter(bars[:250])


def test_files_of_one_season_each_are_imported_together(store: CandleStore, tmp_path: Path) -> None:
    bars = year()

    imported(store, tmp_path, bars[:60], bars[60:100], bars[100:250])

    assert rows_of(store, "EURUSD") == in_winter(bars[:250])


def test_few_bars_that_no_clock_moved_are_dropped_as_ever(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = year()
    stray = (bars[200][0] + 7 * HOUR, *bars[200][1:])

    remarks = imported(store, tmp_path, [*bars[:201], stray, *bars[201:]])

    assert rows_of(store, "EURUSD") == in_winter(bars)
    assert "1 row dropped: it does not open where the others do" in remarks[2]


def test_without_the_option_it_is_named(store: CandleStore, tmp_path: Path) -> None:
    with pytest.raises(CandleFileError) as caught:
        imported(store, tmp_path, year(), choices=Choices(timeframe="1d"))

    assert str(caught.value).endswith(
        "bars of 1d do not always open at the same time: 238 open at 21:00 UTC and 128 open at "
        "22:00 UTC. Where a change of the clock is the reason, type --align-opens; to leave out "
        "those that open elsewhere, type --max-bad-rows 128"
    )


def test_two_bars_within_an_hour_are_no_clock_that_moved(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = year()
    both = [(bars[9][0] - HOUR, *bars[9][1:])]

    with pytest.raises(CandleFileError) as caught:
        imported(store, tmp_path, [*bars[:9], *both, *bars[9:]])

    assert str(caught.value).endswith(
        "with --align-opens two bars would open at 2024-01-10 22:00: it is not for bars whose "
        "opens differ for another reason than a change of the clock"
    )
    assert store.form(1, "EURUSD") is None


def test_two_files_with_a_day_each_way_are_refused(store: CandleStore, tmp_path: Path) -> None:
    bars = year()
    early = [(row[0] - HOUR, *row[1:]) for row in bars[:60]]

    with pytest.raises(CandleFileError, match="with --align-opens two bars would open at"):
        imported(store, tmp_path, bars[:60], early)


def test_hours_are_moved_by_no_clock(store: CandleStore, tmp_path: Path) -> None:
    with pytest.raises(CandleFileError) as caught:
        imported(
            store,
            tmp_path,
            some_bars(200, HOUR),
            choices=Choices(align_opens=True, timeframe="1h"),
        )

    assert str(caught.value).endswith(
        "--align-opens is for bars that are longer than an hour, and these are 1h long"
    )


def test_two_bars_of_one_open_are_found_where_pieces_of_a_file_meet() -> None:
    one = np.ones(1)
    pieces = [
        Bars(np.array([START + at], np.int64), one, one, one, one, one)
        for at in (21 * HOUR, 22 * HOUR)
    ]

    with pytest.raises(CandleFileError, match="two bars would open at 2024-01-01 22:00"):
        list(placed(pieces, Form(DAY, 22 * HOUR, HOUR), "x.csv"))
