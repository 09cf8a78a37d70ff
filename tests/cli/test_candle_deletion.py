"""`backtest candles delete`, over a folder and over a server, with jobs that used the bars."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from configs.environment import CandlesFolder
from storage.candles import CandleStore, ImportedFile, Known, open_store, side_file
from tests.cli.candle_store import MINUTE, START, minutes, name_store
from tests.cli.conftest import Backtest, changed, finish, taken, written
from tests.storage.candle_table import server_of
from tests.storage.clickhouse_endpoint import Endpoint

FILE = ImportedFile("btc.csv", "ab" * 32, 5_760)
DAY_2 = ("--from", "2024-01-02", "--to", "2024-01-03")


@pytest.fixture(params=["folder", "server"])
def store(
    request: pytest.FixtureRequest,
    bare: Path,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[CandleStore]:
    """A store with four days of two instruments, named in the environment."""
    named = CandlesFolder(bare / "candles"), server_of(endpoint, bare.name)
    source = named[request.param == "server"]
    name_store(source, monkeypatch)
    with open_store(source) as opened:
        opened.append(1, "BTCUSDT", [minutes()], known=Known(original="btc"), files=[FILE])
        opened.append(1, "ETHUSDT", [minutes()])
        yield opened


@pytest.fixture
def folder(bare: Path, monkeypatch: pytest.MonkeyPatch) -> CandleStore:
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(bare / "candles"))
    opened = open_store(CandlesFolder(bare / "candles"))
    opened.append(1, "BTCUSDT", [minutes()], known=Known(), files=[FILE])
    return opened


def days(store: CandleStore, symbol: str = "BTCUSDT") -> list[int]:
    """Return how many bars there are of each of the four days."""
    opens = store.opens(1, symbol)
    return [int(((opens - START) // (1440 * MINUTE) == day).sum()) for day in range(4)]


# ----------------------------------------------------------------------------- what goes


def test_a_range_goes_and_the_rest_stays(store: CandleStore, backtest: Backtest) -> None:
    ended = backtest("candles", "delete", "btc/usdt", *DAY_2, "--yes")

    assert (ended.code, ended.err) == (0, "")
    said = ended.out.splitlines()
    assert said[0] == (
        "BTCUSDT (market 1): 1,440 1m bars from 2024-01-02 00:00 to 2024-01-02 23:59 UTC will be "
        "deleted"
    )
    assert said[1] == "  4,320 bars stay"
    assert said[2] == (
        "  its 1 file will not count as imported any more: importing one again brings its bars back"
    )
    assert said[-1] == "deleted"
    assert days(store) == [1440, 0, 1440, 1440]
    assert days(store, "ETHUSDT") == [1440] * 4
    assert store.files(1, "BTCUSDT") == {}
    assert store.known(1, "BTCUSDT").original == "btc"


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--from", "2024-01-03"), [1440, 1440, 0, 0]),
        (("--to", "2024-01-02T12:00"), [0, 720, 1440, 1440]),
        (("--from", "2024-01-04T01:00+01:00"), [1440, 1440, 1440, 0]),
    ],
)
def test_a_range_may_be_open_at_one_end(
    store: CandleStore, backtest: Backtest, options: tuple[str, ...], left: list[int]
) -> None:
    assert backtest("candles", "delete", "BTCUSDT", *options, "--yes").code == 0
    assert days(store) == left


@pytest.mark.parametrize("options", [(), ("--from", "2020-01-01", "--to", "2030-01-01")])
def test_an_instrument_goes_with_all_that_is_known_of_it(
    store: CandleStore, backtest: Backtest, options: tuple[str, ...]
) -> None:
    ended = backtest("candles", "delete", "BTCUSDT", *options, "--yes")

    assert "5,760 1m bars from 2024-01-01 00:00 to 2024-01-04 23:59 UTC" in ended.out
    assert "nothing of it stays" in ended.out
    assert store.names() == [(1, "ETHUSDT")]
    assert store.known(1, "BTCUSDT") == Known()
    assert "no candles of BTCUSDT" in backtest("candles", "show", "BTCUSDT").err


def test_a_range_without_bars_deletes_nothing(store: CandleStore, backtest: Backtest) -> None:
    ended = backtest("candles", "delete", "BTCUSDT", "--from", "2025-01-01")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == ("BTCUSDT (market 1) has no bars there; nothing to delete of 5,760 bars\n")
    assert list(store.files(1, "BTCUSDT")) == [FILE.sha256]


def test_a_range_that_ends_before_it_begins_is_refused(
    store: CandleStore, backtest: Backtest
) -> None:
    ended = backtest(
        *("candles", "delete", "BTCUSDT", "--yes", "--from", "2024-01-03", "--to", "2024-01-03")
    )
    assert ended.code == 2
    assert "--to has to be later than --from, got 2024-01-03 and 2024-01-03" in ended.err
    assert days(store) == [1440] * 4


def test_what_was_deleted_is_there_for_machines(store: CandleStore, backtest: Backtest) -> None:
    assert backtest("candles", "delete", "BTCUSDT", *DAY_2, "--yes", "--json").json == {
        "market_id": 1,
        "symbol": "BTCUSDT",
        "deleted": 1440,
        "stay": 4320,
        "first": "2024-01-02T00:00:00+00:00",
        "last": "2024-01-02T23:59:00+00:00",
        "jobs": {"waiting": None, "ended": None, "others": None},
    }
    assert days(store) == [1440, 0, 1440, 1440]


# ----------------------------------------------------------------------------- asking


@pytest.mark.parametrize("options", [(), DAY_2, ("--json",)])
def test_without_a_terminal_nothing_is_deleted(
    store: CandleStore, backtest: Backtest, options: tuple[str, ...]
) -> None:
    ended = backtest("candles", "delete", "BTCUSDT", *options)

    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "nothing was deleted: nobody can be asked here; --yes deletes it" in ended.err
    assert days(store) == [1440] * 4
    assert list(store.files(1, "BTCUSDT")) == [FILE.sha256]


@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [
        ("y\n", 0, 4_320),
        ("n\n", 1, 5_760),
        ("\n", 1, 5_760),
        ("\x04", 1, 5_760),
    ],
)
def test_in_a_terminal_it_asks_first(
    folder: CandleStore, answer: str, code: int, left: int
) -> None:
    ended, said = typed("delete", "BTCUSDT", *DAY_2, answer=answer)

    assert "1,440 1m bars from 2024-01-02 00:00" in said
    assert "Delete 1,440 bars for good? [y/N]" in said
    assert len(folder.opens(1, "BTCUSDT")) == left
    assert ended == code


def typed(*arguments: str, answer: str) -> tuple[int, str]:
    """Type a command in a terminal and answer its question; returns exit code and what it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    program = [sys.executable, "-m", "cli", "candles", *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    with subprocess.Popen(
        program,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        said, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.5)[0]:
                try:
                    said += os.read(ours, 4096)
                except OSError:  # as Linux says that the other end is closed
                    break
            if b"[y/N]" in said:
                # Again and again: what comes before the question waits for it may be thrown away.
                os.write(ours, answer.encode())
        else:
            process.kill()
        code = process.wait(timeout=60)
    os.close(ours)
    return code, said.decode()


# ----------------------------------------------------------------------------- damage


def test_a_damaged_instrument_can_be_deleted_whole(folder: CandleStore, backtest: Backtest) -> None:
    place = Path(folder.place) / "1" / "BTCUSDT"
    (file,) = place.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:2_000])

    refused = backtest("candles", "delete", "BTCUSDT", *DAY_2, "--yes")
    assert refused.code == 2
    assert f"{file.name} cannot be read" in refused.err
    assert "delete the instrument without --from and --to" in refused.err
    (place / side_file.NAME).write_text("{")
    ended = backtest("candles", "delete", "BTCUSDT", "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert "BTCUSDT (market 1): everything will be deleted" in ended.out
    assert folder.names() == []


# ----------------------------------------------------------------------------- jobs


def submit(service: Backtest, folder: Path, **changes: object) -> str:
    ended = service("submit", written(folder, changed(**changes)), "--json")
    assert ended.code == 0, ended.err
    return str(ended.json["job_id"])


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("TRUNCATE backtest_jobs CASCADE")
        yield conn


@pytest.fixture
def jobs(
    service: Backtest, connection: psycopg.Connection, tmp_path: Path
) -> Callable[..., list[str]]:
    """Type a deletion of TESTUSDT where a job has ended, one waits and one is running.

    All of them trade the first two days of 2024; their warm-up begins in the year before.
    """
    ended, running, waiting = (
        submit(service, tmp_path, preselect=preselect) for preselect in (8, 7, 6)
    )
    finish(connection, ended)
    taken(connection, running)

    def typed(*options: str) -> list[str]:
        said = service("candles", "delete", "TESTUSDT", *options).out.splitlines()
        return [line.strip().replace(waiting, "W").replace(running, "R") for line in said[2:]]

    return typed


def test_jobs_that_used_the_bars_are_named(jobs: Callable[..., list[str]]) -> None:
    said = jobs()
    names = "W, R" if "(W, R)" in said[0] else "R, W"
    assert said == [
        f"2 queued or running jobs of these bars ({names}): those that have not read them yet will "
        "fail",
        "1 job of these bars that ended keeps its results, but can no longer be repeated, or drawn "
        "with its prices",
    ]


def test_jobs_of_other_bars_are_unaffected(jobs: Callable[..., list[str]]) -> None:
    assert jobs("--to", "2023-12-28") == [
        "3 other jobs of this instrument: unaffected",
        "no job used these bars",
    ]


def test_warm_up_is_used_too(jobs: Callable[..., list[str]]) -> None:
    said = jobs("--from", "2023-12-31T20:00", "--to", "2024-01-01")
    assert "those that have not read them yet will compute without them" in said[0]
    assert said[1].startswith("1 job of these bars that ended")


def test_jobs_of_other_instruments_and_markets_do_not_count(
    service: Backtest, connection: psycopg.Connection, tmp_path: Path
) -> None:
    submit(service, tmp_path)
    with open_store(CandlesFolder(tmp_path / "candles")) as store:
        store.append(2, "TESTUSDT", [minutes()])
        store.append(1, "OTHER", [minutes()])
    for symbol, market in (("TESTUSDT", 2), ("OTHER", 1)):
        ended = service("candles", "delete", symbol, "--market-id", market, "--yes", "--json")
        assert ended.json["jobs"] == {"waiting": 0, "ended": 0, "others": 0}


def test_without_a_database_it_is_said_that_nobody_knows(
    folder: CandleStore, backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", "postgresql://nobody@127.0.0.1:1/none")
    ended = backtest("candles", "delete", "BTCUSDT", "--yes")
    assert ended.code == 0
    assert "which jobs used it is not known: " in ended.out
    assert folder.names() == []
