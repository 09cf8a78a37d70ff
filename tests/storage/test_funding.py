"""Rates of funding: the files people have, what is refused, and what a store keeps of them."""

import gzip
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.candles import Bars, CandleSourceUnavailable, CandleStore, FundingRates
from storage.candles.folder import FolderStore
from storage.candles.funding_ingest import import_funding
from storage.candles.importing import CandleFileError
from storage.candles.importing.funding import read_funding
from storage.candles.server import ServerStore
from tests.storage.candle_files import MINUTE, START, some_bars
from tests.storage.candle_table import command, server_of
from tests.storage.clickhouse_endpoint import Endpoint

HOUR = 60 * MINUTE
TIMES = [START + 8 * HOUR * number for number in range(3)]
PERCENTS = [0.01, -0.0075, 0.007]
FRACTIONS = ["0.00010000", "-0.00007500", "0.00007"]
ISO = ["2024-01-01 00:00:00", "2024-01-01 08:00:00", "2024-01-01 16:00:00"]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    numbers = itertools.count()

    def written(text: str | bytes, name: str = "rates.csv") -> Path:
        path = tmp_path / f"{next(numbers)}-{name}"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return written


def lines(header: str, *rows: Any) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


# As Binance stamps them: some milliseconds late.
BINANCE = lines(
    "calc_time,funding_interval_hours,last_funding_rate",
    *((at + late, 8, rate) for at, late, rate in zip(TIMES, (0, 5, 1), FRACTIONS, strict=True)),
)
API = [
    {"symbol": "BTCUSDT", "fundingTime": at + 2, "fundingRate": rate, "markPrice": "42313.9"}
    for at, rate in zip(TIMES, FRACTIONS, strict=True)
]
BYBIT = {
    "retCode": 0,
    "result": {
        "category": "linear",
        "list": [
            {"symbol": "BTCUSDT", "fundingRate": rate, "fundingRateTimestamp": str(at)}
            for at, rate in zip(TIMES, FRACTIONS, strict=True)
        ][::-1],
    },
    "retExtInfo": {},
    "time": 1_704_120_000_000,
}
PLAIN = {
    "Binance's dump": BINANCE,
    "Binance's answer": json.dumps(API),
    "Bybit's answer": json.dumps(BYBIT, indent=1),
    "lines of JSON": "".join(f"{json.dumps(one)}\n" for one in API),
    "percent": lines("time,rate_pct", *zip(ISO, PERCENTS, strict=True)),
    "fractions by the exchange's name": lines(
        "fundingRate,date", *zip(FRACTIONS, ISO, strict=True)
    ),
    "tabs, a mark and a comment": "\ufeff# rates\r\n"
    + lines("Time,rate_pct", *zip(ISO, PERCENTS, strict=True))
    .replace(",", "\t")
    .replace("\n", "\r\n"),
    "seconds": lines("timestamp,rate_pct", *zip([t // 1000 for t in TIMES], PERCENTS, strict=True)),
    "a zone": lines(
        "time,rate_pct",
        *zip(
            ("2024-01-01T01:00:00+01:00", "2024-01-01T09:00:00+01:00", "2024-01-01T17:00:00+01:00"),
            PERCENTS,
            strict=True,
        ),
    ),
}


@pytest.mark.parametrize("form", PLAIN)
def test_the_forms_that_people_have_are_one_series(form: str, write: Write) -> None:
    found = read_funding([write(PLAIN[form])])
    assert found.times.tolist() == TIMES
    assert found.rates.tolist() == PERCENTS


def test_packed_files_that_overlap_are_joined(write: Write, tmp_path: Path) -> None:
    packed = write(gzip.compress(BINANCE.encode()), "rates.csv.gz")
    later = lines("time,rate_pct", (ISO[2], 0.007), ("2024-01-02", 0.02))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("rates.csv", later)
    found = read_funding([tmp_path / "more.zip", packed])
    assert found.times.tolist() == [*TIMES, TIMES[-1] + 8 * HOUR]
    assert found.rates.tolist() == [*PERCENTS, 0.02]


@pytest.mark.parametrize(("unit", "percent"), [("fraction", 2.0), ("percent", 0.02)])
def test_the_unit_of_a_column_that_does_not_tell_is_typed(
    unit: str, percent: float, write: Write
) -> None:
    assert read_funding([write(lines("time,rate", (ISO[0], 0.02)))], unit).rates.tolist() == [
        percent
    ]


@pytest.mark.parametrize("late", [-29_999, -5, 5, 29_999])
def test_a_time_beside_its_minute_belongs_to_it(late: int, write: Write) -> None:
    text = lines("time,rate_pct", (TIMES[1] + late, 0.01))
    assert read_funding([write(text)]).times.tolist() == [TIMES[1]]


def rows(*rates: Any, header: str = "time,rate_pct") -> str:
    return lines(header, *zip(ISO, rates, strict=False))


# What a file holds, and what is said of it; FILE stands for its name.
REFUSED: dict[str, tuple[str, str]] = {
    "an unclear unit": (
        rows("0.0001", header="time,rate"),
        "FILE, line 2: is 0.0001 in the column rate a fraction (0.0001 is 0.01 %) or in percent? "
        "Type --unit fraction or --unit percent, or call the column rate_pct",
    ),
    "a rate beyond ten percent": (
        rows(0.01, -10.5),
        "FILE, line 3: a rate of -10.5 % is beyond 10 %, as no exchange pays",
    ),
    "percent in the place of fractions": (
        rows(0.25, header="time,fundingRate"),
        "FILE, line 2: a rate of 25 % is beyond 10 %, as no exchange pays; if it is in percent "
        "already, type --unit percent",
    ),
    "one time twice": (
        lines("time,rate_pct", (ISO[0], 0.01), (ISO[0], 0.01), (f"{ISO[0]}.005", 0.02)),
        "FILE, line 4: 2024-01-01 00:00 UTC has a rate of 0.02 %, and 0.01 % in FILE, line 2: "
        "take one of them away",
    ),
    "no time": (
        lines("time,rate_pct", (ISO[0], 0.01), ("noon", 0.01)),
        "FILE, line 3: 'noon' is not a time; write 2024-01-31 23:59:00, 2024-01-31T23:59:00Z or an "
        "epoch in s, ms or µs",
    ),
    "an empty time": (
        lines("time,rate_pct", ("", 0.01)),
        "FILE, line 2: '' is not a time; write 2024-01-31 23:59:00, 2024-01-31T23:59:00Z or an "
        "epoch in s, ms or µs",
    ),
    "no number": (rows("n/a"), "FILE, line 2: 'n/a' is no rate; write 0.0001"),
    "infinity": (rows("inf"), "FILE, line 2: 'inf' is no rate; write 0.0001"),
    "too few columns": (
        lines("time,rate_pct", (ISO[0],)),
        "FILE, line 2: 1 columns instead of 2; repair the line",
    ),
    "no known column": (
        lines("open,close", (1, 2)),
        "FILE, line 1: the columns are open, close; the time and the rate need columns of their "
        "own, such as time,rate_pct or Binance's calc_time,funding_interval_hours,"
        "last_funding_rate",
    ),
    "two instruments": (
        json.dumps([*API[:1], {**API[1], "symbol": "ETHUSDT"}]),
        "FILE, payment 2: this is ETHUSDT, and FILE, payment 1 is BTCUSDT: import one "
        "instrument at a time",
    ),
    "nothing": (lines("time,rate_pct"), "there are no rates of funding in these files"),
    "no payment": ('{"result": []}', "there are no rates of funding in these files"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_cannot_be_used_is_refused(what: str, write: Write) -> None:
    text, expected = REFUSED[what]
    path = write(text)
    with pytest.raises(CandleFileError) as refusal:
        read_funding([path])
    assert str(refusal.value).replace(str(path), "FILE") == expected


def test_an_unknown_unit_is_refused(write: Write) -> None:
    with pytest.raises(CandleFileError, match="--unit: 'bps' is neither fraction nor percent"):
        read_funding([write(BINANCE)], "bps")


_database_number = itertools.count()


@pytest.fixture(params=["folder", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CandleStore]:
    if request.param == "folder":
        opened: CandleStore = FolderStore(tmp_path / "store")
    else:
        endpoint = request.getfixturevalue("endpoint")
        opened = ServerStore(server_of(endpoint, f"funding {next(_database_number)}"))
    with opened:
        yield opened


def series(*percents: float, first: int = START) -> FundingRates:
    times = first + 8 * HOUR * np.arange(len(percents))
    return FundingRates(times, np.array(percents))


def bars() -> Bars:
    columns = zip(*some_bars(), strict=True)
    return Bars(*(np.array(column) for column in columns))


def stored(store: CandleStore, from_ms: int = 0, to_ms: int = 2**42) -> list[tuple[int, float]]:
    found = store.funding(1, "BTCUSDT", from_ms, to_ms)
    return list(zip(found.times.tolist(), found.rates.tolist(), strict=True))


def test_an_import_is_read_back_and_listed(store: CandleStore, write: Write) -> None:
    found = import_funding(store, [write(BINANCE)], 1, "btc/usdt")
    assert (found.symbol, found.rates, found.new, found.changed) == ("BTCUSDT", 3, 3, 0)
    assert (found.least_pct, found.most_pct) == (-0.0075, 0.01)
    assert stored(store) == list(zip(TIMES, PERCENTS, strict=True))
    assert stored(store, TIMES[1], TIMES[2]) == [(TIMES[1], PERCENTS[1])]
    import_funding(store, [write(BINANCE)], 0, "A/B:B")
    listed = [(one.market_id, one.symbol, one.rates) for one in store.funding_series()]
    assert listed == [(0, "AB:B", 3), (1, "BTCUSDT", 3)]
    assert store.funding_series()[1].last.isoformat() == "2024-01-01T16:00:00+00:00"


def test_nothing_is_stored_of_what_nobody_imported(store: CandleStore) -> None:
    assert stored(store) == []
    assert store.funding_series() == []
    store.append(1, "BTCUSDT", [bars()])
    assert stored(store) == []
    assert len(store.funding(1, "", 0, 2**42)) == 0


def test_stored_values_change_only_where_that_is_typed(store: CandleStore, write: Write) -> None:
    import_funding(store, [write(BINANCE)], 1, "BTCUSDT")
    other = lines("time,rate_pct", (ISO[0], 0.01), (ISO[1], 0.5), ("2024-01-02", 0.02))
    expected = "1 of 3 rates are stored with other values, the first at 2024-01-01 08:00 UTC"
    with pytest.raises(CandleFileError, match=re.escape(expected)):
        import_funding(store, [write(other)], 1, "BTCUSDT")
    assert stored(store) == list(zip(TIMES, PERCENTS, strict=True))

    found = import_funding(store, [write(other)], 1, "BTCUSDT", replace=True)
    assert (found.new, found.changed) == (1, 1)
    assert stored(store) == [
        *((TIMES[0], 0.01), (TIMES[1], 0.5), (TIMES[2], 0.007), (TIMES[2] + 8 * HOUR, 0.02)),
    ]
    again = import_funding(store, [write(other)], 1, "BTCUSDT")
    assert (again.new, again.changed) == (0, 0)


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        (FundingRates(np.array([START, START]), np.zeros(2)), "must ascend by whole minutes"),
        (FundingRates(np.array([START + 1]), np.zeros(1)), "must ascend by whole minutes"),
        (series(10.01), "at most 10 percent"),
        (series(float("nan")), "at most 10 percent"),
        (FundingRates(np.array([START]), np.zeros(2)), "differ in length"),
    ],
)
def test_a_store_refuses_what_is_no_series(
    store: CandleStore, rates: FundingRates, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        store.append_funding(1, "BTCUSDT", rates)
    assert stored(store) == []


def test_funding_goes_with_its_instrument(store: CandleStore) -> None:
    store.append(1, "BTCUSDT", [bars()])
    for symbol in ("BTCUSDT", "ETHUSDT"):
        store.append_funding(1, symbol, series(0.01))
    assert store.names() == [(1, "BTCUSDT")]
    assert store.delete(1, "BTCUSDT")
    assert [one.symbol for one in store.funding_series()] == ["ETHUSDT"]
    assert not store.delete(1, "BTCUSDT")


def test_a_damaged_file_of_rates_is_named(tmp_path: Path) -> None:
    with FolderStore(tmp_path) as store:
        store.append_funding(1, "BTCUSDT", series(0.01))
        path = tmp_path / "1" / "BTCUSDT" / "funding.rates"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(CandleSourceUnavailable, match="damaged: delete it and import") as fault:
            stored(store)
    assert fault.value.permanent
    assert str(path) in str(fault.value)


def test_rows_that_are_no_rates_are_never_read(endpoint: Endpoint) -> None:
    server = server_of(endpoint, f"funding {next(_database_number)}")
    with ServerStore(server) as store:
        store.append_funding(1, "BTCUSDT", series(0.01, 0.02, 0.03))
        for at, rate in ((TIMES[0], "nan"), (TIMES[1], "11"), (TIMES[2], "0.04")):
            command(
                server,
                f"INSERT INTO `{server.database}`.funding_rates VALUES (1, 'BTCUSDT', "
                f"fromUnixTimestamp64Milli({at}), {rate}, now64(3) + INTERVAL 1 HOUR)",
            )
        assert stored(store) == [(TIMES[2], 0.04)]
