"""The report table: which figures, in which order, and how each is written."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

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


class Column(NamedTuple):
    """One column: the start and end of what was traded, in UTC, and its figures as stored."""

    start: str
    end: str
    metrics: Mapping[str, Any]


def table(init_cash: float, *columns: Column) -> str:
    """Return the report as a Markdown table: one column, or those of training and test."""
    heads = ("Value",) if len(columns) == 1 else ("Train", "Test")
    rows = [_cells(init_cash, column) for column in columns]
    labels = ("Start", "End", "Duration", "Init. Cash", *(label for label, _, _ in _ROWS))
    lines = [
        ("Metric", *heads),
        ("---",) * (1 + len(heads)),
        *zip(labels, *rows, strict=True),
    ]
    return "".join(f"|{'|'.join(line)}|\n" for line in lines)


def _cells(init_cash: float, column: Column) -> list[str]:
    start, end, metrics = column
    length = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    values = {**metrics, **dict.fromkeys(metrics.get("infinite", ()), math.inf)}
    return [
        start,
        end,
        duration(length.total_seconds() * 1000),
        decimal(init_cash, _QUOTE),
        *(_written(values[key], style) for _, key, style in _ROWS),
    ]


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
