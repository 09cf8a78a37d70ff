"""What a job has found as the text that is stored: JSON, made where it was found.

Importing this loads no database client: the process that computes has none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from storage.records import TopVariant


def rows(top: Iterable[TopVariant], *, reports: bool) -> str:
    """Write rows as the JSON text that `results.save_snapshot` and `results.succeed` send.

    Without `reports` the report, trades and equity are left out: they are stored once, when the job
    succeeds. Raises ValueError for NaN and infinity, which are no JSON.
    """
    return _text([_plain(row, reports=reports) for row in top])


def answers(
    *,
    figures: Mapping[str, Any],
    pictures: Mapping[str, Any],
    surfaces: Sequence[Mapping[str, Any]],
) -> str:
    """Write what was asked of a search as the JSON text that `results.succeed` sends.

    Surfaces are numbered from 1 in their order; of each, `x` and `y` say by `axis` what it lies
    over. Raises ValueError for NaN and infinity, which are no JSON.
    """
    return _text({"figures": figures, "pictures": pictures, "surfaces": surfaces})


def _text(plain: Any) -> str:
    # Characters as they are: a database in SQL_ASCII refuses their escaped form.
    return json.dumps(plain, allow_nan=False, ensure_ascii=False)


def _plain(row: TopVariant, *, reports: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "rank": row.rank,
        "variant_key": row.variant_key,
        "indicator_variant_key": row.indicator_variant_key,
        "variant_index": row.variant_index,
        "total_return_pct": row.total_return_pct,
        "twins": row.twins,
        "metrics_json": row.metrics_json,
        "payload_json": row.payload_json,
    }
    if reports:
        plain |= {
            "report_table_md": row.report_table_md,
            "trades_json": row.trades_json,
            "equity_json": row.equity_json,
            "trades_omitted": row.trades_omitted,
            "test_metrics_json": row.test_metrics_json,
            "test_trades_json": row.test_trades_json,
            "test_equity_json": row.test_equity_json,
            "beside_json": row.beside_json,
        }
    return plain
