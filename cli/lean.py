"""What `--json` prints of jobs and variants where not everything is asked for.

Keys are those of the API, and stable: a script may rely on each. Times are UTC texts, absent values
null.
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

LEFT_OUT = (
    *("request", "request_hash", "engine_params_hash", "backtest_runtime_config_hash"),
    *("spec_hash", "spec_payload", "progress_updated_at", "coverage", "outcomes"),
)
INCLUDED = ("report", "trades", "equity")


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
