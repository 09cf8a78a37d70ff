"""What `--json` prints of jobs and variants where not everything is asked for.

Keys are stable: a script may rely on each. Times are UTC texts, absent values null.
"""

from collections.abc import Collection, Mapping
from typing import Any

Json = Mapping[str, Any]

LEFT_OUT = (
    *("user_id", "mode", "priority", "request", "request_hash", "engine_params_hash"),
    *("backtest_runtime_config_hash", "progress_updated_at", "coverage", "outcomes"),
)
INCLUDED = {
    "report": ("report_table_md",),
    "trades": ("trades_json",),
    "equity": ("equity_json",),
}


def listed(status: Json) -> dict[str, Any]:
    """Return one of many jobs: the verdict takes the rows of a job, which a list does not read."""
    return {name: value for name, value in job(status).items() if name != "verdict"}


def job(status: Json) -> dict[str, Any]:
    """Return how a job is and what it is about; `show --json` has all of it."""
    request = status["request"]
    template = request["template"]
    about = {
        **template["instrument_id"],
        "timeframe": template["timeframe"],
        **request["time_range"],
        "primary_metric": request["ranking"]["primary_metric"],
    }
    kept = {name: value for name, value in status.items() if name not in LEFT_OUT}
    return kept | about


def variant(row: Json, include: Collection[str] = ()) -> dict[str, Any]:
    """Return a variant without its report, trades and equity curve but those to `include`."""
    left_out = {name for part, names in INCLUDED.items() if part not in include for name in names}
    return {name: value for name, value in row.items() if name not in left_out}
