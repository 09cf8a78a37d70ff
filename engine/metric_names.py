"""Names of the metrics a request may rank by; importable without loading a compiled kernel."""

METRICS: tuple[str, ...] = (
    "total_return_pct",
    "num_trades",
    "max_drawdown_pct",
    "return_over_max_drawdown",
    "profit_factor",
    "win_rate_pct",
    "expectancy_pct",
    "sqn",
    "sharpe",
    "sortino",
    "calmar",
)

# Smaller is better; all others rank from the largest down.
ASCENDING: frozenset[str] = frozenset({"max_drawdown_pct"})

# These need no more than the cash after the last trade.
OF_THE_BALANCE: frozenset[str] = frozenset({"total_return_pct", "num_trades"})

# These look at the equity of every bar in position, which costs many times the rest.
WALKING_BARS: frozenset[str] = frozenset({"max_drawdown_pct", "return_over_max_drawdown", "calmar"})
