"""`backtest funding import|list`, and what commands say of a request that wants the rates."""

import itertools
from pathlib import Path

import pytest

from configs.environment import CandlesFolder
from tests.cli.candle_store import name_store
from tests.cli.conftest import Backtest
from tests.cli.test_job_view import ASKED, COVERAGE, facts, job, page
from tests.storage.candle_table import server_of
from tests.storage.clickhouse_endpoint import Endpoint

_numbers = itertools.count()

RATES = "calc_time,funding_interval_hours,last_funding_rate\n" + "".join(
    f"{1_704_067_200_005 + 28_800_000 * number},8,{rate}\n"
    for number, rate in enumerate(("0.0001", "-0.00005", "0.0002"))
)
INSTRUMENT = ("--market-id", "1", "--symbol", "btc/usdt")


@pytest.fixture(params=["folder", "server"])
def funding(
    request: pytest.FixtureRequest,
    backtest: Backtest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Backtest:
    """Type `backtest funding ...` where nothing is stored yet."""
    if request.param == "folder":
        name_store(CandlesFolder(tmp_path / "candles"), monkeypatch)
    else:
        endpoint: Endpoint = request.getfixturevalue("endpoint")
        name_store(server_of(endpoint, f"typed funding {next(_numbers)}"), monkeypatch)
    return lambda *arguments: backtest("funding", *arguments)


def test_rates_are_imported_listed_and_changed_where_that_is_typed(
    funding: Backtest, tmp_path: Path
) -> None:
    assert "no funding rates yet; type: backtest funding import FILE" in funding("list").out
    file = tmp_path / "rates.csv"
    file.write_text(RATES)
    assert funding("import", file, *INSTRUMENT).out == (
        "BTCUSDT (market 1): 3 funding rates, 2024-01-01 00:00 to 2024-01-01 16:00 UTC, "
        "-0.005 to 0.02 %, 3 of them new\n"
    )
    assert funding("list").out.split() == [
        *("market", "symbol", "from", "(UTC)", "to", "(UTC)", "rates"),
        *("1", "BTCUSDT", "2024-01-01", "00:00", "2024-01-01", "16:00", "3"),
    ]
    file.write_text(RATES.replace("0.0002", "0.0003"))
    refused = funding("import", file, *INSTRUMENT)
    assert (refused.code, refused.out) == (2, "")
    assert "1 of 3 rates are stored with other values" in refused.err
    changed = funding("import", file, *INSTRUMENT, "--replace", "--json").json
    assert changed == {
        "market_id": 1,
        "symbol": "BTCUSDT",
        "rates": 3,
        "new": 0,
        "changed": 1,
        "first": "2024-01-01T00:00:00+00:00",
        "last": "2024-01-01T16:00:00+00:00",
        "least_pct": -0.005,
        "most_pct": 0.03,
    }
    (listed,) = funding("list", "--json").json
    assert (listed["symbol"], listed["rates"]) == ("BTCUSDT", 3)


def test_a_unit_that_the_column_does_not_tell_is_asked_for(
    funding: Backtest, tmp_path: Path
) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("time,rate\n2024-01-01,0.02\n")
    assert "Type --unit fraction or --unit percent" in funding("import", file, *INSTRUMENT).err
    told = funding("import", file, *INSTRUMENT, "--unit", "fraction").out
    assert ", 2 to 2 %," in told


def test_a_job_says_how_many_rates_its_range_has() -> None:
    execution = ASKED["template"]["execution"] | {"funding_pct_per_8h": "stored"}
    asked = ASKED | {"template": ASKED["template"] | {"execution": execution}}
    counted = COVERAGE | {"funding": {"rates": 1095}}
    shown = facts(page(job(request=asked, coverage=counted)))
    assert shown["costs"].endswith(", funding as stored")
    assert "; 1,095 funding | rates" in shown["candles"]
    usual = facts(page(job(request=asked, coverage=COVERAGE)))
    assert usual["candles"].endswith("of 200 bars")
