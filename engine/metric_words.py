"""What figures of a variant are called where people read them: page, terminal, report, verdict.

Requests, stored rows and machine-readable output say `total_return_pct`; people read
"total return".
"""

WORDS: dict[str, str] = {
    "total_return_pct": "total return",
    "benchmark_return_pct": "buy and hold",
    "max_drawdown_pct": "max drawdown",
    "num_trades": "trades",
    "win_rate_pct": "win rate",
    "profit_factor": "profit factor",
    "sharpe": "Sharpe ratio",
    "return_over_max_drawdown": "return / max drawdown",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "expectancy_pct": "expectancy per trade",
    "sqn": "SQN",
    "avg_drawdown_pct": "average drawdown",
    "position_coverage_pct": "time in the market",
    "gross_exposure": "gross exposure",
    "best_trade_pct": "best trade",
    "worst_trade_pct": "worst trade",
    "max_drawdown_duration_ms": "longest drawdown",
    "avg_trade_duration_ms": "average time in a trade",
}
"""Every metric that variants can be ranked by, and the other figures that lists and pages show."""

PERCENT = "_pct"


def words(name: str) -> str:
    """Return the name of a figure for people; one that is not known is spelled out."""
    return WORDS.get(name) or name.removesuffix(PERCENT).replace("_", " ")


def unit(name: str) -> str:
    """Return the unit that its numbers are written with, empty where they are plain numbers."""
    return "%" if name.endswith(PERCENT) else ""


def words_with_unit(name: str) -> str:
    """Return the name with its unit, for headings and menus: `total return (%)`."""
    return f"{words(name)} ({unit(name)})" if unit(name) else words(name)
