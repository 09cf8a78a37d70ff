"""`backtest export`: every stored variant as a row of one flat table."""

import csv
import io
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyarrow import parquet

from tests.cli.conftest import Backtest, finish, submitted


@pytest.fixture
def finished(service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]) -> str:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    connection.execute(
        "UPDATE backtest_job_top_variants SET metrics_json = metrics_json"
        """ || '{"profit_factor": null, "infinite": ["profit_factor"]}'"""
        " WHERE rank = 2 AND job_id = %s",
        (job_id,),
    )
    return job_id


COLUMNS = [
    *("rank", "variant_key", "indicator_variant_key", "variant_index", "twins"),
    *("ma.cross.source", "ma.cross.output", "ma.cross.ma", "ma.cross.fast", "ma.cross.slow"),
    *("risk.sl", "risk.tp", "risk.tsl"),
    *("total_return_pct", "num_trades", "sharpe", "profit_factor"),
]


def test_a_csv_has_keys_parameters_and_metrics_of_every_variant(
    service: Backtest, tmp_path: Path, finished: str
) -> None:
    file = tmp_path / "variants.csv"
    ended = service("export", finished, "--csv", file)
    assert (ended.code, ended.out) == (0, f"wrote 4 variants to {file}\n")
    rows = list(csv.DictReader(file.open(newline="")))
    assert sorted(rows[0]) == sorted(COLUMNS)
    known = service("top", finished, "--json").json
    for row, stored in zip(rows, known, strict=True):
        (block,) = stored["payload_json"]["blocks"]
        assert int(row["rank"]) == stored["rank"]
        assert row["variant_key"] == stored["variant_key"]
        assert float(row["total_return_pct"]) == stored["total_return_pct"]
        assert int(row["ma.cross.fast"]) == block["params"]["fast"]
        assert row["risk.sl"] == str(stored["payload_json"]["risk"]["sl"] or "")
        assert row["sharpe"] == ""
    assert [row["profit_factor"] for row in rows] == ["", "inf", "", ""]


def test_csv_goes_to_standard_output_alone(service: Backtest, finished: str) -> None:
    ended = service("export", finished, "--csv", "-")
    assert len(list(csv.DictReader(io.StringIO(ended.out)))) == 4


def test_parquet_has_numbers_as_numbers(service: Backtest, tmp_path: Path, finished: str) -> None:
    file = tmp_path / "variants.parquet"
    assert service("export", finished, "--parquet", file).code == 0
    table = parquet.read_table(file)
    assert sorted(table.column_names) == sorted(COLUMNS)
    types = {name: str(table.schema.field(name).type) for name in COLUMNS}
    assert (types["ma.cross.fast"], types["rank"]) == ("int64", "int64")
    assert (types["total_return_pct"], types["sharpe"], types["risk.tp"]) == ("double",) * 3
    assert table["profit_factor"].to_pylist() == [None, float("inf"), None, None]


@pytest.mark.parametrize("options", [(), ("--csv", "a", "--parquet", "b")])
def test_one_form_has_to_be_chosen(service: Backtest, finished: str, options: tuple[str]) -> None:
    ended = service("export", finished, *options)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--csv FILE or --parquet FILE" in ended.err


@pytest.mark.parametrize("form", ["--csv", "--parquet"])
def test_a_file_that_cannot_be_written_is_one_line(
    service: Backtest, tmp_path: Path, finished: str, form: str
) -> None:
    ended = service("export", finished, form, tmp_path / "no" / "where")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "cannot be written: No such file or directory" in ended.err


def test_a_job_without_variants_is_refused(service: Backtest, tmp_path: Path) -> None:
    ended = service("export", submitted(service, tmp_path), "--csv", tmp_path / "a.csv")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "no variants yet" in ended.err
    assert not (tmp_path / "a.csv").exists()
