"""The variants of a job as one flat table: a column for every parameter and every metric."""

import csv
import sys
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from cli.axes import of_variant, percent_of
from cli.errors import CommandError

KEYS = ("rank", "variant_key", "indicator_variant_key", "variant_index", "twins")

Json = Mapping[str, Any]


def table(rows: Sequence[Json]) -> dict[str, list[Any]]:
    """Return the columns of the rows by name; a value that a row does not have is None."""
    flat = [_flat(row) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row)
    return {name: [row.get(name) for row in flat] for name in names}


def write_csv(file: Path, rows: Sequence[Json]) -> None:
    """Write the table as CSV, `-` to standard output; raises CommandError."""
    columns = table(rows)
    lines = [tuple(columns), *zip(*columns.values(), strict=True)]
    if str(file) == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            csv.writer(opened, lineterminator="\n").writerows(lines)
    except OSError as error:
        raise _unwritable(file, error) from None


def write_parquet(file: Path, rows: Sequence[Json]) -> None:
    """Write the table as Parquet; raises CommandError. A column without a value is of float64."""
    import pyarrow
    from pyarrow import parquet

    arrays = {}
    for name, values in table(rows).items():
        empty = all(value is None for value in values)
        arrays[name] = pyarrow.array(values, type=pyarrow.float64() if empty else None)
    try:
        with file.open("wb") as opened:
            parquet.write_table(pyarrow.table(arrays), opened)
    except OSError as error:
        raise _unwritable(file, error) from None


def _flat(row: Json) -> dict[str, Any]:
    payload, metrics = row["payload_json"], dict(row["metrics_json"])
    infinite = metrics.pop("infinite", ())
    flat = {name: row[name] for name in KEYS}
    for title, block in of_variant(payload).items():
        for name in ("source", "output"):
            if block[name] is not None:
                flat[f"{title}.{name}"] = block[name]
        for name, value in (block["params"] | block["signals"]).items():
            flat[f"{title}.{name}"] = value
    for name, level in payload["risk"].items():
        flat[f"risk.{name}"] = level
    if (percent := percent_of(payload)) is not None:
        flat["percent"] = percent
    return flat | metrics | dict.fromkeys(infinite, inf) | _tested(row)


def _tested(row: Json) -> dict[str, Any]:
    """Return the figures of the bars that a variant was not chosen on; nothing without any."""
    metrics = dict(row.get("test_metrics_json") or {})
    infinite = metrics.pop("infinite", ())
    return {
        f"test.{name}": value for name, value in (metrics | dict.fromkeys(infinite, inf)).items()
    }


def _unwritable(file: Path, error: OSError) -> CommandError:
    return CommandError(f"{file} cannot be written: {error.strerror}")
