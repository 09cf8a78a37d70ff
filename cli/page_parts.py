"""Pieces of the report page as HTML: everything that comes from a job is escaped here."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import inf
from typing import Any

from cli.axes import of_variant, percent_of
from cli.render import figure, metric, value_text
from engine.metric_words import unit, words

CARDS = (
    ("total_return_pct", 2),
    ("benchmark_return_pct", 2),
    ("max_drawdown_pct", 2),
    ("sharpe", 2),
    ("profit_factor", 2),
    ("win_rate_pct", 1),
    ("num_trades", 0),
)
SIGNED = ("total_return_pct", "benchmark_return_pct")
TRADE_COLUMNS = (
    ("#", "id", None),
    ("Direction", "direction", None),
    ("Entry (UTC)", "entry_time", None),
    ("Exit (UTC)", "exit_time", None),
    ("Entry price", "entry_price", None),
    ("Exit price", "exit_price", None),
    ("Net", "net_pnl", 2),
    ("Return %", "return_pct", 3),
    ("Exit by", "exit_reason", None),
)

RESULTS = ("net_pnl", "return_pct")
"""What says whether a trade won."""
NUMBERS = ("entry_price", "exit_price", "margin", "carry")
CHARGES = (("Margin", "margin", 2), ("Carry", "carry", 2))
"""What only trades have that are levered, or cost something to hold."""

Json = Mapping[str, Any]


def verdict(sentences: Sequence[str]) -> str:
    """Return the sentences of the verdict as a section; nothing where there are none."""
    if not sentences:
        return ""
    lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<section class="verdict" aria-label="Verdict"><ul>{lines}</ul></section>'


def plots_text(row: Json) -> str:
    """Say in words what the plots show."""
    facts = ", ".join(
        f"{words(name)} {_with_unit(name, value, digits)}"
        for name, digits in CARDS
        if (value := metric(row, name)) is not None
    )
    return f"Plots of equity beside buy and hold, drawdown, and price with the trades: {facts}"


def cards(status: Json, row: Json) -> Iterator[str]:
    """Yield a card per key figure, first of all the metric that variants are ranked by."""
    primary = status["request"]["ranking"]["primary_metric"]
    chosen = list(CARDS)
    if all(name != primary for name, _digits in chosen):
        chosen.insert(0, (primary, 2))
    for name, digits in chosen:
        label = words(name)[0].upper() + words(name)[1:]
        value = metric(row, name)
        tone = "" if value is None or name not in SIGNED else ("gain" if value >= 0 else "loss")
        text = _signed(name, value, digits)
        tested = metric(row, name, test=True) if row.get("test_metrics_json") else None
        under = "" if tested is None else f"<em>test {_signed(name, tested, digits)}</em>"
        yield f'<div class="card {tone}"><b>{text}</b><span>{label}</span>{under}</div>'


def _signed(name: str, value: float | None, digits: int) -> str:
    """Return a figure with its unit, a gain with its sign."""
    sign = "+" if name in SIGNED and value is not None and value >= 0 else ""
    return "∞" if value == inf else f"{sign}{_with_unit(name, value, digits)}"


def parameters(payload: Json) -> Iterator[str]:
    """Yield a line per block of a variant's parameters, one for its risk levels, and its size."""
    for title, block in of_variant(payload).items():
        values = {name: block[name] for name in ("source", "output") if block[name] is not None}
        values |= block["params"] | block["signals"]
        yield _chips(title, values)
    levels = {name: level for name, level in payload["risk"].items() if level is not None}
    yield _chips("risk", {f"{name} %": level for name, level in levels.items()} or {"off": ""})
    if (percent := percent_of(payload)) is not None:
        yield _chips("size", {"percent": percent})


def metric_rows(table_md: str) -> Iterator[str]:
    """Yield the rows of a report table that is given as Markdown."""
    lines = [line.strip().strip("|").split("|") for line in table_md.splitlines() if line.strip()]
    for cells in lines[2:]:  # behind the heading and its rule
        name, *values = (escape(cell.strip()) for cell in cells)
        found = "".join(f"<td>{value}</td>" for value in values)
        yield f'<tr><th scope="row">{name}</th>{found}</tr>'


def metrics_head(table_md: str) -> str:
    """Return the heading of the columns of a report table; nothing where one has the figures."""
    heads = [escape(cell.strip()) for cell in table_md.split("\n", 1)[0].strip("|").split("|")]
    if len(heads) < 3:
        return ""
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads[1:])
    return f"<thead><tr><td></td>{cells}</tr></thead>"


def price_note(every: int) -> str:
    """Say what the line of the price leaves out."""
    if every == 1:
        return ""
    return (
        f"; price and buy and hold have the close of one bar in {every:,}, not the extremes between"
    )


def trades_note(shown: int, total: int) -> str:
    """Say which trades are shown where they are not all."""
    if shown == total:
        return ""
    return f"{shown:,} of {total:,} trades, those that won or lost most; --json has all of them"


def trade_columns(trades: Sequence[Json]) -> list[tuple[str, str, int | None]]:
    """Return name, key and digits of every column that these trades have."""
    charges = [column for column in CHARGES if any(column[1] in trade for trade in trades)]
    net = next(at for at, (_, key, _) in enumerate(TRADE_COLUMNS) if key == "net_pnl")
    return [*TRADE_COLUMNS[:net], *charges, *TRADE_COLUMNS[net:]]


def trade_heads(trades: Sequence[Json]) -> Iterator[str]:
    """Yield the heading of every column."""
    for name, key, _ in trade_columns(trades):
        yield f'<th scope="col"{_column_class(key)}>{name}</th>'


def trade_rows(trades: Sequence[Json]) -> Iterator[str]:
    """Yield a table row per trade."""
    columns = trade_columns(trades)
    for trade in trades:
        tone = "gain" if (trade["net_pnl"] or 0) > 0 else "loss"
        cells = []
        for _name, key, digits in columns:
            value = trade[key]
            text = figure(value, digits) if digits is not None else _words(key, value)
            cells.append(f"<td{_column_class(key)}>{escape(text)}</td>")
        yield f'<tr class="{tone}">{"".join(cells)}</tr>'


def _column_class(key: str) -> str:
    if key in RESULTS:
        return ' class="number result"'
    return ' class="number"' if key in NUMBERS else ""


def _with_unit(name: str, value: float | None, digits: int) -> str:
    known = value is not None and unit(name)
    return f"{figure(value, digits)} {unit(name)}" if known else figure(value, digits)


def _chips(name: str, values: Json) -> str:
    chips = "".join(
        f"<span>{escape(key.replace('_', ' '))} <b>{escape(value_text(value))}</b></span>"
        for key, value in values.items()
    )
    return f'<div class="block"><i>{escape(name)}</i>{chips}</div>'


def _words(key: str, value: Any) -> str:
    if key.endswith("_price"):
        return price_text(value)
    text = str(value)
    if key.endswith("_time"):
        return text.replace("T", " ").removesuffix("Z").removesuffix(":00")
    return text.replace("_", " ")


def price_text(price: float | None) -> str:
    """Write a price with the digits that tell it apart: 43,210.5, 1.07333, 0.00001234."""
    if price is None:
        return "-"
    whole, _, decimals = f"{float(f'{price:.8g}'):,.10f}".partition(".")
    return f"{whole}.{decimals}".rstrip("0").removesuffix(".")
