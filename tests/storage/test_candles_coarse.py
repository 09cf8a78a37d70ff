"""Bars longer than a minute, and what is known of an instrument, in both stores."""

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.timeframes import TIMEFRAMES
from storage.candles import (
    Bars,
    CandleSourceUnavailable,
    CandleStore,
    Compared,
    ImportedFile,
    Known,
    OtherTimeframe,
    normalised,
    side_file,
)
from storage.candles.folder import FolderStore
from storage.candles.server import ServerStore
from tests.storage.candle_reader import Reader
from tests.storage.candle_rows import MINUTE, START, as_tuples, random_rows, roll_up
from tests.storage.candle_table import command, insert, server_of
from tests.storage.clickhouse_endpoint import Endpoint

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
HOURLY = Known(timeframe_ms=HOUR)
FILE = ImportedFile("hours.csv", "ab" * 32, rows=3)

_database_number = itertools.count()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    process = Reader()
    yield process
    process.close()


class Both:
    """One of the two stores: several connections to it, and questions that may need an engine."""

    def __init__(self, new: Callable[[], CandleStore], ask: Callable[..., Any]) -> None:
        self.new, self.ask, self.store = new, ask, new()


@pytest.fixture(params=["folder", "server"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Both]:
    if request.param == "folder":
        reader: Reader = request.getfixturevalue("reader")
        one = Both(
            lambda: FolderStore(tmp_path),
            lambda method, *args: reader.call(tmp_path, method, *args),
        )
    else:
        endpoint = request.getfixturevalue("endpoint")
        server = server_of(endpoint, f"coarse {next(_database_number)}")
        one = Both(
            lambda: ServerStore(server), lambda method, *args: getattr(one.store, method)(*args)
        )
    yield one
    one.store.close()


def flat(count: int, step: int = HOUR, price: float = 10.0, first: int = 0) -> Bars:
    values = np.full(count, price)
    ts_open = START + np.arange(first, first + count) * step
    return Bars(ts_open, *(values.copy() for _ in range(5)))


# ----------------------------------------------------------------------------- bars


@pytest.mark.parametrize("base", ["5m", "1h", "1d"])
def test_longer_bars_are_read_at_their_length_and_at_multiples_of_it(both: Both, base: str) -> None:
    base_ms = TIMEFRAMES[base]
    rows = sorted({r.ts_open: r for r in random_rows(4, 900, step=base_ms)}.values())
    columns = list(zip(*rows, strict=True))
    bars = Bars(np.array(columns[0]), *(np.array(column) for column in columns[1:6]))
    both.store.append(1, "BTCUSDT", [bars], known=Known(timeframe_ms=base_ms))

    for step in TIMEFRAMES.values():
        asked = START + base_ms, START + 800 * base_ms, step
        expected = [] if step % base_ms else roll_up(rows, *asked)
        assert as_tuples(both.store.bars(1, "BTCUSDT", *asked)) == expected


def test_a_server_gives_the_bytes_of_the_slow_roll_up_before_any_merge(
    endpoint: Endpoint,
) -> None:
    server = server_of(endpoint, f"coarse {next(_database_number)}")
    rows = random_rows(8, 600, step=HOUR)
    with ServerStore(server) as store:
        store.append(1, "BTCUSDT", [], known=HOURLY)
        command(server, "SYSTEM STOP MERGES {table}")
        insert(server, rows, HOUR)
        for step in (HOUR, 4 * HOUR, DAY):
            asked = START, START + 590 * HOUR, step
            assert as_tuples(store.bars(1, "BTCUSDT", *asked)) == roll_up(rows, *asked)


def test_a_range_of_many_years_is_read_in_windows(both: Both) -> None:
    both.store.append(1, "BTCUSDT", [flat(2_000, DAY)], known=Known(timeframe_ms=DAY))

    assert len(both.store.bars(1, "BTCUSDT", 0, 10**13, DAY)) == 2_000


def test_only_new_and_changed_bars_are_published(both: Both) -> None:
    both.store.append(1, "BTCUSDT", [flat(8)], known=HOURLY)
    corrected = flat(10)
    corrected.high[3] = 20.0

    assert both.store.append(1, "BTCUSDT", [corrected], known=HOURLY) == 3
    assert both.store.append(1, "BTCUSDT", [corrected], known=HOURLY) == 0
    assert max(both.store.bars(1, "BTCUSDT", START, START + DAY, HOUR).high) == 20.0


def test_what_an_import_would_change_is_counted_before(both: Both) -> None:
    both.store.append(1, "BTCUSDT", [flat(8)], known=HOURLY)
    other = flat(10)
    other.close[[2, 5]] = 9.0
    halves = [
        Bars(*(column[part] for column in (other.ts_open, *other.values())))
        for part in (slice(4), slice(4, None))
    ]

    first, last = START + 2 * HOUR, START + 5 * HOUR
    found = both.store.compare(1, "BTCUSDT", halves, HOURLY)
    assert found == Compared(new=2, changed=2, same=6, first_ms=first, last_ms=last)
    assert both.store.compare(1, "ETHUSDT", halves, HOURLY) == Compared(10, 0, 0)


def test_bars_that_open_between_two_of_their_length_are_refused(both: Both) -> None:
    bars = flat(3)
    bars.ts_open[:] += MINUTE

    with pytest.raises(ValueError, match="no whole multiple of 3600000 ms"):
        both.store.append(1, "BTCUSDT", [bars], known=HOURLY)


@pytest.mark.parametrize("length", [0, 30_000, 90_000, 7 * MINUTE, 2 * DAY])
def test_a_length_that_fills_no_day_is_refused(both: Both, length: int) -> None:
    with pytest.raises(ValueError, match="fill a day"):
        both.store.append(1, "BTCUSDT", [], known=Known(timeframe_ms=length))


def test_an_instrument_has_bars_of_one_length(both: Both) -> None:
    both.store.append(1, "BTCUSDT", [flat(3, MINUTE)])
    both.store.append(1, "AAPL", [flat(3)], known=HOURLY)

    with pytest.raises(OtherTimeframe, match="BTCUSDT is stored as 1m bars, and these are 1h bars"):
        both.store.append(1, "BTCUSDT", [flat(3)], known=HOURLY)
    with pytest.raises(OtherTimeframe, match="AAPL is stored as 1h bars, and these are 1m bars"):
        both.store.append(1, "AAPL", [flat(3, MINUTE)])
    with pytest.raises(OtherTimeframe, match="AAPL is stored as 1h bars, and these are 1d bars"):
        both.store.append(1, "AAPL", [flat(3, DAY)], known=Known(timeframe_ms=DAY))


def test_instruments_are_listed_with_the_length_of_their_bars(both: Both) -> None:
    both.store.append(1, "BTCUSDT", [flat(3, MINUTE)])
    both.store.append(1, "AAPL", [flat(5)], known=HOURLY)
    both.store.append(1, "AAPL", [flat(5, price=11.0)], known=HOURLY)

    found = both.ask("instruments")

    listed = [(one.symbol, one.timeframe_ms, one.minutes) for one in found]
    assert listed == [("AAPL", HOUR, 300), ("BTCUSDT", MINUTE, 3)]
    assert both.ask("names") == [(1, "AAPL"), (1, "BTCUSDT")]
    first, last = both.ask("extent", 1, "AAPL")
    assert [at.timestamp() * 1000 for at in (first, last)] == [START, START + 4 * HOUR]


# ----------------------------------------------------------------------------- what is known


def test_what_an_import_said_is_known(both: Both) -> None:
    said = Known(timeframe_ms=HOUR, sessions=True, has_volume=False, original="aapl Ω")
    both.store.append(1, "AAPL", [flat(3)], known=said, files=[FILE])

    again = both.new()
    assert again.known(1, "AAPL") == said
    file = again.files(1, "AAPL")[FILE.sha256]
    assert replace(file, imported_at=None) == FILE
    assert file.imported_at is not None
    assert abs(datetime.now(UTC) - file.imported_at) < timedelta(minutes=5)
    again.close()


def test_nothing_said_means_minutes_with_volume_that_never_stop(both: Both) -> None:
    both.store.append(1, "BTCUSDT", [flat(3, MINUTE)])

    ordinary = Known(timeframe_ms=MINUTE, sessions=False, has_volume=True)
    assert both.store.known(1, "BTCUSDT") == ordinary
    assert both.store.known(1, "nobody") == both.store.known(70_000, " ") == ordinary
    assert both.store.files(1, "nobody") == {}


def test_sessions_stay_and_a_file_without_volume_takes_it_from_the_instrument(
    both: Both,
) -> None:
    for sessions, volume, original in ((True, True, "A"), (False, False, "B"), (False, True, "C")):
        said = Known(timeframe_ms=HOUR, sessions=sessions, has_volume=volume, original=original)
        both.store.append(1, "AAPL", [flat(3)], known=said)

    assert both.store.known(1, "AAPL") == Known(HOUR, True, False, "A")


def test_a_file_is_registered_after_its_bars_and_what_is_known_before_them(both: Both) -> None:
    def breaks_off() -> Iterator[Bars]:
        yield flat(3)
        raise RuntimeError("the disk of the file is gone")

    with pytest.raises(RuntimeError):
        both.store.append(1, "AAPL", breaks_off(), known=HOURLY, files=[FILE])

    assert both.store.files(1, "AAPL") == {}
    assert both.store.known(1, "AAPL") == HOURLY


def test_imports_at_once_lose_nothing(both: Both) -> None:
    both.store.append(1, "AAPL", [], known=HOURLY)
    failed: list[BaseException] = []

    def import_one(number: int) -> None:
        try:
            with both.new() as store:
                file = ImportedFile(f"{number}.csv", f"{number:064x}")
                store.append(1, "AAPL", [flat(1, first=number)], known=HOURLY, files=[file])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=import_one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    names = {file.name for file in both.store.files(1, "AAPL").values()}
    assert names == {f"{number}.csv" for number in range(8)}
    assert len(both.store.bars(1, "AAPL", START, START + DAY, HOUR)) == 8


def test_a_deleted_instrument_can_be_imported_anew_at_another_length(both: Both) -> None:
    both.store.append(1, "AAPL", [flat(3)], known=HOURLY, files=[FILE])
    both.store.append(1, "MSFT", [flat(3)], known=HOURLY, files=[FILE])

    assert both.store.delete(1, "AAPL")

    assert not both.store.delete(1, "AAPL")
    assert len(both.store.bars(1, "AAPL", 0, 10**13, HOUR)) == 0
    assert both.store.files(1, "AAPL") == {}
    assert both.store.append(1, "AAPL", [flat(4, MINUTE)]) == 4
    assert both.store.delete(1, "AAPL")
    assert len(both.store.bars(1, "AAPL", 0, 10**13, MINUTE)) == 0
    assert len(both.store.bars(1, "MSFT", 0, 10**13, HOUR)) == 3


@pytest.mark.parametrize("length", [MINUTE, DAY])
def test_verifying_reads_every_bar_and_counts_contradicting_prices(both: Both, length: int) -> None:
    bars = flat(1_000, length)
    bars.high[[3, 700]] = 9.0
    bars.low[5] = 11.0
    both.store.append(1, "AAPL", [bars], known=Known(timeframe_ms=length))

    found = both.ask("verify", 1, "AAPL")
    assert (found.bars, found.flawed) == (1_000, 3)
    nothing = both.ask("verify", 1, "MSFT")
    assert (nothing.bars, nothing.flawed) == (0, 0)


@pytest.mark.parametrize("known", [Known(), HOURLY])
def test_verifying_names_a_damaged_file(tmp_path: Path, known: Known) -> None:
    store = FolderStore(tmp_path)
    store.append(1, "AAPL", [flat(1_000, known.timeframe_ms)], known=known)
    (file,) = [*tmp_path.rglob("*.bars"), *tmp_path.rglob("*.parquet")]
    content = bytearray(file.read_bytes())
    content[100:400] = bytes(300)
    file.write_bytes(content)

    found = store.verify(1, "AAPL")

    assert (found.flawed, found.sha256) == (1, None)
    assert file.name in found.flaws[0].place
    assert "cannot be read" in found.flaws[0].what


def test_a_server_of_the_release_before_knows_nothing_and_is_read(endpoint: Endpoint) -> None:
    server = server_of(endpoint, f"coarse {next(_database_number)}")
    with ServerStore(server) as store:
        store._command("create_database")
        store._command("create_table")

        assert len(store.bars(1, "BTCUSDT", START, START + DAY, MINUTE)) == 0
        assert store.known(1, "BTCUSDT") == Known()
        assert store.names() == []
        assert store.instruments() == []
        assert store.append(1, "BTCUSDT", [flat(3, MINUTE)], known=Known(), files=[FILE]) == 3
        assert list(store.files(1, "BTCUSDT")) == [FILE.sha256]


def test_a_damaged_side_file_is_named_and_not_retried(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.append(1, "AAPL", [flat(3)], known=HOURLY)
    path = tmp_path / "1" / "AAPL" / side_file.NAME
    path.write_bytes(path.read_bytes()[:20])

    with pytest.raises(CandleSourceUnavailable, match=r"instrument\.json is damaged") as caught:
        store.bars(1, "AAPL", START, START + DAY, HOUR)

    assert caught.value.permanent


def test_an_unfinished_side_file_counts_for_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.append(1, "AAPL", [flat(3)], known=HOURLY)
    (tmp_path / "1" / "AAPL" / "instrument.tmp").write_text("{")

    assert store.known(1, "AAPL") == HOURLY


def test_minutes_alone_need_no_more_questions_than_before(endpoint: Endpoint) -> None:
    server = server_of(endpoint, f"coarse {next(_database_number)}")
    with ServerStore(server) as store:
        store.append(1, "BTCUSDT", [flat(30, MINUTE)])
        before = len(endpoint.queries())

        assert len(store.bars(1, "BTCUSDT", START, START + DAY, MINUTE)) == 30
        assert len(endpoint.queries()) == before + 1


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("BTC/USDT", "BTCUSDT"),
        ("btcusdt", "BTCUSDT"),
        ("btc-usdt", "BTCUSDT"),
        ("BTC_USDT", "BTCUSDT"),
        ("Eur Usd", "EURUSD"),
        ("BTC/USDT:USDT", "BTCUSDT:USDT"),  # a perpetual, which is another instrument
        ("brk.b", "BRK.B"),
        ("-", "-"),
    ],
)
def test_a_symbol_has_one_spelling(written: str, symbol: str) -> None:
    assert normalised(written) == symbol
