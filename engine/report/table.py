"""The report table: which figures, in which order, and how each is written."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

UNDEFINED, INFINITE = "N/A", "∞"
_DAY_MS = 86_400_000
_QUOTE, _PERCENT, _RATIO = 2, 4, 5

# Label, key of the figure, how it is written: decimals, or one of the words below.
_ROWS: tuple[tuple[str, str, int | str], ...] = (
    ("Total Profit", "total_profit", _QUOTE),
    ("Total Return [%]", "total_return_pct", _PERCENT),
    ("Benchmark Return [%]", "benchmark_return_pct", _PERCENT),
    ("Position Coverage [%]", "position_coverage_pct", _PERCENT),
    ("Max. Drawdown [%]", "max_drawdown_pct", _PERCENT),
    ("Avg. Drawdown [%]", "avg_drawdown_pct", _PERCENT),
    ("Max. Drawdown Duration", "max_drawdown_duration_ms", "duration"),
    ("Avg. Drawdown Duration", "avg_drawdown_duration_ms", "duration"),
    ("Num. Trades", "num_trades", "count"),
    ("Win Rate [%]", "win_rate_pct", _PERCENT),
    ("Best Trade [%]", "best_trade_pct", _PERCENT),
    ("Worst Trade [%]", "worst_trade_pct", _PERCENT),
    ("Avg. Trade [%]", "avg_trade_pct", _PERCENT),
    ("Max. Trade Duration", "max_trade_duration_ms", "duration"),
    ("Avg. Trade Duration", "avg_trade_duration_ms", "duration"),
    ("Expectancy [%]", "expectancy_pct", _PERCENT),
    ("SQN", "sqn", _RATIO),
    ("Profit Factor", "profit_factor", _RATIO),
    ("Gross Exposure", "gross_exposure", _RATIO),
    ("Sharpe", "sharpe", _RATIO),
    ("Sortino", "sortino", _RATIO),
    ("Calmar", "calmar", _RATIO),
)


def table(start: str, end: str, init_cash: float, metrics: Mapping[str, Any]) -> str:
    """Return the report as a Markdown table.

    `start` and `end` are those of what was traded, in UTC; `metrics` are the figures as stored.
    """
    length = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    values = {**metrics, **dict.fromkeys(metrics.get("infinite", ()), math.inf)}
    rows = [
        ("Start", start),
        ("End", end),
        ("Duration", duration(length.total_seconds() * 1000)),
        ("Init. Cash", decimal(init_cash, _QUOTE)),
        *((label, _written(values[key], style)) for label, key, style in _ROWS),
    ]
    lines = ["|Metric|Value|", "|---|---|", *(f"|{label}|{value}|" for label, value in rows)]
    return "\n".join(lines) + "\n"


def decimal(value: float | None, places: int) -> str:
    """Return a number with at most `places` decimals: no trailing zeros, no "-0"."""
    if value == math.inf:
        return INFINITE
    if value is None or not math.isfinite(value):
        return UNDEFINED
    text = f"{value:.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def duration(milliseconds: float | None) -> str:
    """Return a length of time as `12 days 03:15:00`, rounded to seconds."""
    if milliseconds is None:
        return UNDEFINED
    days, rest = divmod(round(milliseconds / 1000), _DAY_MS // 1000)
    minutes, seconds = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{days} days {hours:02d}:{minutes:02d}:{seconds:02d}"


def _written(value: float | None, style: int | str) -> str:
    if style == "duration":
        return duration(value)
    return decimal(value, 0 if style == "count" else int(style))
