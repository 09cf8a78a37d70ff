"""A run of the import: files that are in already, values that would change, what is remembered."""

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.candles import CandleStore, Known, ingest
from storage.candles.folder import FolderStore
from storage.candles.importing import CandleFileError, Choices, ImportReport, spool, text
from storage.candles.ingest import import_files
from storage.candles.server import ServerStore
from tests.storage.candle_files import MINUTE, START, Row, lines, rows_of, some_bars
from tests.storage.candle_table import server_of

HEADER = "timestamp,open,high,low,close,volume\n"
HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
WEEK = 7 * DAY
MONDAY = START  # 2024-01-01

_database_number = itertools.count()


@pytest.fixture(params=["folder", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CandleStore]:
    if request.param == "folder":
        opened: CandleStore = FolderStore(tmp_path / "store")
    else:
        endpoint = request.getfixturevalue("endpoint")
        opened = ServerStore(server_of(endpoint, f"runs {next(_database_number)}"))
    with opened:
        yield opened


def written(path: Path, bars: list[Row]) -> Path:
    path.write_text(HEADER + lines(bars))
    return path


def other(bars: list[Row], *at: int) -> list[Row]:
    """The same bars with other values at some places."""
    return [
        (t, *values[:4], 77.0) if i in at else (t, *values) for i, (t, *values) in enumerate(bars)
    ]  # type: ignore[misc]


def imported(store: CandleStore, *paths: Path, **named: object) -> ImportReport:
    choices = named.pop("choices", None)
    symbol = named.pop("symbol", "BTCUSDT")
    return import_files(store, list(paths), 1, symbol, choices, **named)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------- files that are in


def test_a_file_that_is_in_is_skipped_and_said_to_be(store: CandleStore, tmp_path: Path) -> None:
    first = written(tmp_path / "it's \\a é.csv", some_bars(12))
    imported(store, first)
    second = written(tmp_path / "b.csv", some_bars(12, start_ms=START + 12 * MINUTE))
    again = written(tmp_path / "copy.csv", some_bars(12))

    report = imported(store, first, second, again)

    known = store.files(1, "BTCUSDT")
    date = next(file.imported_at for file in known.values() if file.name == str(first))
    assert [file.name for file in report.files] == [str(second)]
    assert (report.rows, report.new, report.changed) == (12, 12, 0)
    assert report.remarks()[:2] == (
        f"{first}: already imported on {date:%Y-%m-%d}, 12 rows, skipped",
        f"{again}: already imported on {date:%Y-%m-%d} as {first}, 12 rows, skipped",
    )
    assert {file.name: file.rows for file in known.values()} == {str(first): 12, str(second): 12}


def test_when_every_file_is_in_nothing_is_read(store: CandleStore, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", some_bars(120, HOUR))
    imported(store, file)

    report = imported(store, file)

    assert (report.rows, report.bars, report.first, report.timeframe) == (0, 0, None, "1h")
    assert len(report.remarks()) == 1


def test_a_file_is_in_one_instrument_only(store: CandleStore, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", some_bars(12))
    imported(store, file)

    assert imported(store, file, symbol="ETHUSDT").new == 12


def test_replacing_skips_no_file(store: CandleStore, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", some_bars(12))
    imported(store, file)

    report = imported(store, file, replace=True)

    assert (report.rows, report.published, report.skipped) == (12, 0, ())


@pytest.mark.parametrize("batch_rows", [5, 500])
def test_the_same_bytes_twice_in_one_run_are_read_once(
    store: CandleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(ingest, "ROWS", batch_rows)
    files = [written(tmp_path / name, some_bars(12)) for name in ("a.csv", "b.csv")]

    report = imported(store, *files)

    assert (report.rows, report.duplicates) == (12, 0)
    assert report.remarks() == (
        f"{files[1]}: already imported in this run as {files[0]}, 12 rows, skipped",
    )


def test_files_are_published_as_a_run_goes_on(
    store: CandleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ROWS", 20)
    files = [
        written(tmp_path / f"{i}.csv", some_bars(12, start_ms=START + 12 * i * MINUTE))
        for i in range(5)
    ]
    files.append(tmp_path / "wrong.csv")
    files[-1].write_text("rubbish")

    with pytest.raises(CandleFileError) as caught:
        imported(store, *files)

    assert str(caught.value).endswith(
        "(4 files before it, imported already, will be skipped when you do this again)"
    )
    assert [row[0] for row in rows_of(store)] == [START + i * MINUTE for i in range(48)]
    report = imported(store, *files[:5])
    assert [len(report.files), len(report.skipped), report.new] == [1, 4, 12]


def test_batches_are_one_report(
    store: CandleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ROWS", 20)
    begins = [0, 12, 40, 52, 100]
    files = [
        written(tmp_path / f"{i}.csv", some_bars(12, start_ms=START + begin * MINUTE))
        for i, begin in enumerate(begins)
    ]

    whole = imported(store, *files[::-1])

    assert (whole.bars, whole.new, whole.gaps, whole.missing_bars) == (60, 60, 2, 16 + 36)
    assert whole.widest_gap is not None
    assert [round(at.timestamp() * 1000) for at in whole.widest_gap] == [
        START + 63 * MINUTE,
        START + 100 * MINUTE,
    ]


def test_a_killed_import_goes_on_where_it_was(tmp_path: Path) -> None:
    files = [
        written(tmp_path / f"{i}.csv", some_bars(1440, start_ms=START + i * DAY)) for i in range(30)
    ]
    program = (
        "import pathlib, sys\n"
        "from storage.candles import ingest\n"
        "from storage.candles.ingest import import_files\n"
        "from storage.candles.folder import FolderStore\n"
        "ingest.ROWS = 1000\n"
        "store = FolderStore(pathlib.Path(sys.argv[1]))\n"
        "import_files(store, [pathlib.Path(name) for name in sys.argv[2:]], 1, 'BTCUSDT')\n"
    )
    folder = tmp_path / "store"
    arguments = [sys.executable, "-c", program, str(folder), *map(str, files)]
    process = subprocess.Popen(arguments)
    deadline = time.monotonic() + 60
    while len(list(folder.rglob("*.parquet"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()

    with FolderStore(folder) as store:
        before = len(store.files(1, "BTCUSDT"))
        report = imported(store, *files)

        assert 0 < before < 30
        assert (len(report.skipped), len(report.files)) == (before, 30 - before)
        assert len(rows_of(store)) == 30 * 1440


# ----------------------------------------------------------------------------- values that change


def test_stored_values_are_changed_only_if_that_is_said(store: CandleStore, tmp_path: Path) -> None:
    bars = some_bars(12)
    imported(store, written(tmp_path / "new.csv", bars))
    old = written(tmp_path / "old.csv", other(bars, 3, 5))

    with pytest.raises(CandleFileError) as caught:
        imported(store, old)
    assert rows_of(store) == bars
    assert len(store.files(1, "BTCUSDT")) == 1

    report = imported(store, old, replace=True)

    assert str(caught.value) == (
        f"{old}: 2 of its 12 bars have other values than those that are stored (the first opens at "
        "2024-01-01 00:03). If the file is right, type --replace; --dry-run only tells what would "
        "change"
    )
    assert (report.new, report.changed) == (0, 2)
    assert rows_of(store) == other(bars, 3, 5)


def test_the_file_that_would_change_values_is_named(store: CandleStore, tmp_path: Path) -> None:
    bars = some_bars(30)
    imported(store, written(tmp_path / "new.csv", bars))
    harmless = written(tmp_path / "a.csv", bars[:10])
    changing = written(tmp_path / "b.csv", other(bars, 12)[10:20])

    with pytest.raises(CandleFileError, match=r"b\.csv: 1 of its 10 bars"):
        imported(store, harmless, changing)


def test_the_last_stored_bar_may_have_been_unfinished(store: CandleStore, tmp_path: Path) -> None:
    bars = some_bars(20)
    imported(store, written(tmp_path / "yesterday.csv", other(bars, 11)[:12]))

    report = imported(store, written(tmp_path / "today.csv", bars[6:]))

    assert (report.new, report.changed) == (8, 1)
    assert rows_of(store) == bars


def test_the_last_bar_of_another_file_of_the_run_may_have_been_unfinished(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = some_bars(20)
    early = written(tmp_path / "1.csv", other(bars, 11)[:12])

    report = imported(store, early, written(tmp_path / "2.csv", bars[6:]))

    assert (report.new, report.duplicates, report.conflicts) == (20, 6, 1)
    assert rows_of(store) == bars


def test_an_older_file_may_not_bring_an_unfinished_bar_back(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = some_bars(12)
    imported(store, written(tmp_path / "today.csv", bars))

    with pytest.raises(CandleFileError, match="1 of its 8 bars"):
        imported(store, written(tmp_path / "yesterday.csv", other(bars, 7)[:8]))


def test_the_last_stored_bar_may_not_change_if_none_follows(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = some_bars(12)
    imported(store, written(tmp_path / "a.csv", bars))

    with pytest.raises(CandleFileError, match="1 of its 4 bars"):
        imported(store, written(tmp_path / "b.csv", other(bars, 11)[8:]))
    assert rows_of(store) == bars


def test_rows_that_a_file_repeats_are_no_contradiction_of_others(
    store: CandleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The repeated rows are in two pieces of the file, and in two runs.
    monkeypatch.setattr(text, "BLOCK_BYTES", 200)
    monkeypatch.setattr(spool, "RUN_ROWS", 4)
    bars = some_bars(12)
    early = other(bars, 9)[9]
    files = [
        written(tmp_path / "a.csv", [early, *bars]),
        written(tmp_path / "b.csv", bars[6:]),
    ]

    report = imported(store, *files)

    assert (report.new, report.duplicates, report.conflicts) == (12, 7, 1)
    assert rows_of(store) == bars


def test_later_files_of_a_run_win_if_that_is_said(store: CandleStore, tmp_path: Path) -> None:
    bars = some_bars(12)
    files = [
        written(tmp_path / "a.csv", other(bars, 3)),
        written(tmp_path / "b.csv", bars),
    ]

    with pytest.raises(CandleFileError, match="the files together: 1 bar of"):
        imported(store, *files)
    assert imported(store, *files, replace=True).conflicts == 1
    assert rows_of(store) == bars


def test_a_dry_run_tells_all_and_stores_nothing(store: CandleStore, tmp_path: Path) -> None:
    bars = some_bars(12)
    imported(store, written(tmp_path / "new.csv", bars))
    more = written(tmp_path / "more.csv", [*other(bars, 3), *some_bars(4, start_ms=START + HOUR)])

    report = imported(store, more, dry_run=True)

    assert (report.dry_run, report.new, report.changed, report.gaps) == (True, 4, 1, 1)
    assert rows_of(store) == bars
    assert len(store.files(1, "BTCUSDT")) == 1


def test_a_dry_run_into_an_empty_store_leaves_it_empty(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", some_bars(12))
    with FolderStore(tmp_path / "store") as store:
        assert imported(store, file, dry_run=True).new == 12

    assert not (tmp_path / "store").exists()


# ----------------------------------------------------------------------------- lengths and phases


def stock_hours(weeks: int, at_minute: int = 30) -> list[Row]:
    """Seven hours on each working day, the first opens at 14:30."""
    rows = some_bars(weeks * 35, HOUR)
    days = [week * WEEK + day * DAY for week in range(weeks) for day in range(5)]
    opens = [
        MONDAY + day + (14 + hour) * HOUR + at_minute * MINUTE for day in days for hour in range(7)
    ]
    return [(opened, *row[1:]) for opened, row in zip(opens, rows, strict=True)]


def test_a_length_that_leaves_no_doubt_is_found(store: CandleStore, tmp_path: Path) -> None:
    bars = some_bars(100, 5 * MINUTE)

    report = imported(store, written(tmp_path / "a.csv", bars))

    assert store.known(1, "BTCUSDT").timeframe_ms == 5 * MINUTE
    assert rows_of(store) == bars
    assert report.remarks() == ("bars are 5m long, as all steps between them say",)


def test_the_name_of_a_dump_tells_the_length_of_few_bars(tmp_path: Path) -> None:
    with FolderStore(tmp_path / "store") as store:
        file = written(tmp_path / "BTCUSDT-1h-2024-01-01.csv", some_bars(9, HOUR))
        assert imported(store, file).timeframe == "1h"


def test_few_more_bars_are_as_long_as_those_that_are_stored(
    store: CandleStore, tmp_path: Path
) -> None:
    bars = some_bars(103, HOUR)
    imported(store, written(tmp_path / "a.csv", bars[:100]))

    assert imported(store, written(tmp_path / "b.csv", bars[99:102])).new == 2
    assert imported(store, written(tmp_path / "c.csv", bars[102:])).new == 1
    assert rows_of(store) == bars


def test_bars_of_two_lengths_are_refused(store: CandleStore, tmp_path: Path) -> None:
    imported(store, written(tmp_path / "a.csv", some_bars(12)))
    hours = written(tmp_path / "b.csv", some_bars(120, HOUR, START + 100 * DAY))

    with pytest.raises(CandleFileError, match=r"b\.csv: BTCUSDT is stored as 1m bars, and these"):
        imported(store, hours)


def test_bars_of_two_lengths_in_one_run_are_refused(store: CandleStore, tmp_path: Path) -> None:
    minutes = written(tmp_path / "a.csv", some_bars(12))
    hours = written(tmp_path / "b.csv", some_bars(120, HOUR, START + 100 * DAY))

    with pytest.raises(CandleFileError) as caught:
        imported(store, minutes, hours)

    assert str(caught.value) == (
        f"{hours}: its bars are 1h long, those of the files before it 1m long: import them as two "
        "instruments, or say with --timeframe what all of them are"
    )
    assert store.files(1, "BTCUSDT") == {}


def test_hours_may_open_at_half_past(store: CandleStore, tmp_path: Path) -> None:
    bars = stock_hours(6)
    choices = Choices(sessions=True)

    report = imported(store, written(tmp_path / "a.csv", bars), choices=choices)

    known = store.known(1, "BTCUSDT")
    assert replace(known, original="") == Known(HOUR, sessions=True, phase_ms=30 * MINUTE)
    assert rows_of(store) == bars
    assert report.remarks() == (
        "bars are 1h long, as all steps between them say",
        "bars open 30 minutes after each 1h",
        "29 stretches without bars: `backtest candles gaps` tells those when the market was open",
    )
    four = store.bars(1, "BTCUSDT", MONDAY, MONDAY + DAY, 4 * HOUR)
    assert [(opened - MONDAY) / HOUR for opened in four.ts_open.tolist()] == [12.5, 16.5, 20.5]
    assert four.high.tolist() == [max(r[2] for r in bars[a:b]) for a, b in ((0, 2), (2, 6), (6, 7))]


def test_days_may_open_in_the_evening(store: CandleStore, tmp_path: Path) -> None:
    bars = some_bars(300, DAY, START + 22 * HOUR)

    report = imported(
        store, written(tmp_path / "a.csv", bars), choices=Choices(timeframe="1d", no_volume=True)
    )

    assert rows_of(store) == [(*row[:5], 0.0) for row in bars]
    assert store.known(1, "BTCUSDT").phase_ms == 22 * HOUR
    assert report.remarks() == (
        "bars open at 22:00 UTC",
        "there is no volume: it is 0 throughout",
    )


def test_bars_that_open_at_other_times_than_stored_ones_are_refused(
    store: CandleStore, tmp_path: Path
) -> None:
    imported(store, written(tmp_path / "a.csv", some_bars(120, DAY, START + 22 * HOUR)))
    summer = written(tmp_path / "b.csv", some_bars(120, DAY, START + 200 * DAY + 21 * HOUR))

    with pytest.raises(CandleFileError, match="stored as bars that open at 22:00 UTC, and these"):
        imported(store, summer)


def test_few_bars_that_open_elsewhere_are_dropped_and_reported(
    store: CandleStore, tmp_path: Path
) -> None:
    hours = some_bars(100, HOUR)
    stray = (hours[79][0] + MINUTE, *hours[79][1:])

    report = imported(
        store,
        written(tmp_path / "a.csv", [*hours[:80], stray, *hours[80:]]),
        choices=Choices(timeframe="1h"),
    )

    assert rows_of(store) == hours
    assert report.remarks() == (
        "1 row dropped: it does not open where the others do (the first: a 1h bar that opens at "
        "2024-01-04 07:01)",
    )


# ----------------------------------------------------------------------------- what is known


@pytest.mark.parametrize("typed", ["BTC/USDT", "btcusdt", "BTC-USDT"])
def test_a_symbol_is_stored_in_one_spelling_and_as_it_was_typed(
    store: CandleStore, tmp_path: Path, typed: str
) -> None:
    report = imported(store, written(tmp_path / "a.csv", some_bars(12)), symbol=typed)

    assert report.symbol == "BTCUSDT"
    assert len(rows_of(store)) == 12
    assert store.known(1, "BTCUSDT").original == typed
    assert imported(store, tmp_path / "a.csv", symbol="BTCUSDT").skipped


def test_the_spelling_of_the_file_is_kept_where_nobody_typed_another(
    store: CandleStore, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(
        "pair," + HEADER + "".join(f"BTC/USDT,{line}\n" for line in lines(some_bars()).splitlines())
    )
    imported(store, tmp_path / "a.csv")

    assert store.known(1, "BTCUSDT").original == "BTC/USDT"


def test_an_instrument_without_volume_is_known_as_such(store: CandleStore, tmp_path: Path) -> None:
    silent = [(*row[:5], 0.0) for row in some_bars(12)]

    imported(store, written(tmp_path / "a.csv", silent))

    assert not store.known(1, "BTCUSDT").has_volume


def test_a_while_without_a_trade_takes_no_volume_away(store: CandleStore, tmp_path: Path) -> None:
    imported(store, written(tmp_path / "a.csv", some_bars(12)))
    silent = [(*row[:5], 0.0) for row in some_bars(12, start_ms=START + HOUR)]

    imported(store, written(tmp_path / "b.csv", silent))

    assert store.known(1, "BTCUSDT").has_volume


def test_nights_without_a_word_of_sessions_are_told_with_the_option(
    store: CandleStore, tmp_path: Path
) -> None:
    (remark,) = [
        text
        for text in imported(store, written(tmp_path / "a.csv", stock_hours(6))).remarks()
        if "gaps" in text
    ]

    assert remark.startswith("29 gaps, ")
    assert remark.endswith("If the market closes daily or weekly, type --sessions")


def test_a_market_turns_out_to_close_after_its_files_are_in(
    store: CandleStore, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.csv", stock_hours(6))
    imported(store, file)
    told = imported(store, file, choices=Choices(sessions=True), dry_run=True)
    assert not store.known(1, "BTCUSDT").sessions

    report = imported(store, file, choices=Choices(sessions=True))

    assert told.learnt_sessions
    assert store.known(1, "BTCUSDT").sessions
    assert report.remarks()[1:] == ("from now on the market is one that closes daily or weekly",)
    assert not imported(store, file, choices=Choices(sessions=True)).learnt_sessions


def test_a_disk_without_room_for_the_copy_is_said(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", some_bars(30_000))
    program = (
        "import pathlib, resource, sys\n"
        "from storage.candles.importing import CandleFileError\n"
        "from storage.candles.ingest import import_files\n"
        "from storage.candles.folder import FolderStore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "try:\n"
        "    store = FolderStore(pathlib.Path(sys.argv[2]))\n"
        "    import_files(store, [pathlib.Path(sys.argv[1])], 1, 'BTCUSDT')\n"
        "except CandleFileError as error:\n"
        "    print(error)\n"
    )
    arguments = [sys.executable, "-c", program, str(file), str(tmp_path / "store")]

    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)

    assert ended.stdout.startswith("no room for a temporary copy in ")
    assert "make room or set TMPDIR to another folder" in ended.stdout
    assert not (tmp_path / "store").exists()
