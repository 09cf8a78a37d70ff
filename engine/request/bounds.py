"""What the numbers of a request may be. The defaults in the settings are held to the same."""

from collections.abc import Mapping

from engine.request.fields import Bounds

MAX_STORED_BYTES = 128 * 2**20
"""What the reports and parameters of one job's variants may take in the database."""

VARIANT_BYTES = 64 * 2**10
"""What the report and the parameters of one variant take at most."""

MAX_TOP_K = MAX_STORED_BYTES // VARIANT_BYTES

COUNT = Bounds(minimum=1, maximum=10**15)
FROM_ZERO = Bounds(minimum=0, maximum=10**15)
WARMUP_BARS = Bounds(minimum=0, maximum=100_000)
MARKET_ID = Bounds(minimum=0, maximum=65_535)

_MONEY = Bounds(above=0)
_COSTS = Bounds(minimum=0, below=50)

EXECUTION: Mapping[str, Bounds] = {
    "init_cash_quote": _MONEY,
    "fee_pct": _COSTS,
    "slippage_pct": _COSTS,
    "fixed_quote": _MONEY,
    "safe_profit_percent": Bounds(minimum=0, maximum=100),
}
"""Members of `template.execution`; percentages are human (0.075 = 0.075 %)."""
