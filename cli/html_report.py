"""The report of one variant as a single HTML file with plots that opens without a network."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from cli import page_parts as parts
from cli import report_asked
from cli.client import Client
from cli.errors import CommandError
from engine.metric_words import words

TEMPLATE = Path(__file__).with_name("report_page.html")
PRICE_POINTS = 4000
TRADES_SHOWN = 1000
"""More would make a page of many megabytes; `backtest report --json` has all of them."""
PRICE_DIGITS = 10

Json = Mapping[str, Any]


def write(file: Path, client: Client, status: Json, row: Json) -> None:
    """Write the page of a variant; raises CommandError when the job keeps no plots for it."""
    if row["equity"] is None or row["trades"] is None:
        why = _why_without_trades(status, row)
        raise CommandError(f"job {status['job_id']} has no plots for rank {row['rank']}: {why}")
    asked = report_asked.read(client, status)
    text = page(status, row, *client.closes(status["job_id"]), asked=asked)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None


def _why_without_trades(status: Json, row: Json) -> str:
    if status["state"] != "succeeded":
        return f"it is {status['state']}, reports come with success"
    request = status["request"]
    if row["trades_omitted"]:
        return (
            f"its trades had no room in {request['result_bytes_max'] / 2**20:g} MiB "
            "(result_bytes_max); submit this variant alone to see them"
        )
    return (
        f"trades and equity are kept for its best {request['top_trades_n']} variants (top_trades_n)"
    )


def page(
    status: Json,
    row: Json,
    close_times: Sequence[int],
    closes: Sequence[float],
    every: int = 1,
    *,
    asked: Json | None = None,
) -> str:
    """Return the page of a variant with its trades and equity curve.

    `status` and `row` are a job and one of its variants as the API gives them; `close_times`
    (ms) and `closes` belong to the traded bars, to one of `every` many. `asked` is what
    `report_asked` has read of the search.
    """
    from plotly.offline import get_plotlyjs

    from engine.request.words import fills_text, modes_text, sizing_text

    template = status["request"]["template"]
    instrument, execution = template["instrument_id"], template["execution"]
    fills, modes = fills_text(execution), modes_text(template)
    every_trade = [*row["trades"], *(row.get("test_trades") or ())]
    trades = largest(every_trade, TRADES_SHOWN)
    title = f"{instrument['symbol']} {template['timeframe']}, variant {row['rank']}"
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        symbol=escape(instrument["symbol"]),
        subtitle=escape(
            f"{template['timeframe']} bars of market {instrument['market_id']}, "
            f"{_period(status)}, {template['direction_mode']}, "
            f"{sizing_text(template)}, {modes and f'{modes}, '}"
            f"{_rank(status, row)}"
        ),
        verdict=parts.verdict(status.get("verdict") or ()),
        rank=row["rank"],
        job_id=escape(status["job_id"]),
        variant_key=escape(row["variant_key"]),
        engine_version=escape(str(status["engine_version"])),
        cards="".join(parts.cards(status, row)),
        parameters="".join(parts.parameters(row["payload_json"])),
        metrics_class=" tested" if row.get("test_metrics_json") else "",
        metrics_head=parts.metrics_head(row["report_table_md"]),
        metrics="".join(parts.metric_rows(row["report_table_md"])),
        plots_text=escape(parts.plots_text(row)),
        price_note=parts.price_note(every),
        trades_note=parts.trades_note(len(trades), len(every_trade)),
        trades_head="".join(parts.trade_heads(trades)),
        trades="".join(parts.trade_rows(trades)),
        fills=escape(fills.capitalize() or "Fills at the close of a bar"),
        fee=f"{execution['fee_pct']:g}",
        slippage=f"{execution['slippage_pct']:g}",
        asked_style=report_asked.style() if asked else "",
        asked=report_asked.section(status, row, asked) if asked else "",
        data=report_asked.script_json(_curves(status, row, trades, close_times, closes)),
        plotly=get_plotlyjs(),
    )


def largest(trades: Sequence[Json], most: int) -> list[Json]:
    """Return at most `most` trades in time order, those that won or lost most."""
    if len(trades) <= most:
        return list(trades)
    by_size = sorted(range(len(trades)), key=lambda at: -abs(trades[at]["net_pnl"] or 0.0))
    return [trades[at] for at in sorted(by_size[:most])]


def _curves(
    status: Json,
    row: Json,
    trades: Sequence[Json],
    close_times: Sequence[int],
    closes: Sequence[float],
) -> dict[str, Any]:
    cash = float(status["request"]["template"]["execution"]["init_cash_quote"])
    kept = thinned(closes, PRICE_POINTS)
    times, price = [close_times[i] for i in kept], [closes[i] for i in kept]
    train, test = row["equity"], row.get("test_equity") or []
    border = train[-1][0] if test else None
    equity = _broken(train, test)
    lost = [drawdowns([value for _, value in part], cash) for part in (train, test)]
    return {
        "cash": cash,
        "border": border,
        "times": times,
        "closes": [_rounded(close) for close in price],
        "hold": _held(times, price, cash, border),
        "equityTimes": [time for time, _ in equity],
        "equity": [value for _, value in equity],
        "drawdown": [*lost[0], *([None, *lost[1]] if test else ())],
        "trades": [
            {
                "long": trade["direction"] == "long",
                "times": [trade["entry_time"], trade["exit_time"]],
                "prices": [_rounded(trade["entry_price"]), _rounded(trade["exit_price"])],
                "net": _rounded(trade["net_pnl"]),
                "percent": _rounded(trade["return_pct"]),
                "reason": trade["exit_reason"].replace("_", " "),
            }
            for trade in trades
        ],
    }


def _broken(train: Sequence[Any], test: Sequence[Any]) -> list[Any]:
    """Return the equity of both parts, each of which begins with the initial cash: two lines."""
    return [*train, *([[train[-1][0], None], *test] if test else ())]


def _held(
    times: Sequence[int], closes: Sequence[float], cash: float, border: int | None
) -> list[float]:
    """Return what the cash would be worth if it were held, from the begin of each part on."""
    after = bisect_right(times, border) if border is not None else len(times)
    return [
        round(cash * close / part[0], 2)
        for part in (closes[:after], closes[after:])
        for close in part
    ]


def _rounded(value: float | None) -> float | None:
    """Return a number with as many digits as a plot can show."""
    return None if value is None else float(f"{value:.{PRICE_DIGITS}g}")


def thinned(values: Sequence[float], most: int) -> list[int]:
    """Return ascending positions of at most `most` values that keep ends and extremes.

    Each of equal stretches contributes its lowest and its highest value.
    """
    if len(values) <= most:
        return list(range(len(values)))
    stretches = (most - 2) // 2
    kept = {0, len(values) - 1}
    for number in range(stretches):
        stretch = range(number * len(values) // stretches, (number + 1) * len(values) // stretches)
        kept.add(min(stretch, key=values.__getitem__))
        kept.add(max(stretch, key=values.__getitem__))
    return sorted(kept)


def drawdowns(equity: Sequence[float | None], cash: float) -> list[float | None]:
    """Return the distance from the running peak, which starts at `cash`, in percent (<= 0).

    None where the equity is undefined.
    """
    peak = cash
    found: list[float | None] = []
    for value in equity:
        peak = max(peak, value or peak)
        found.append(None if value is None else round(100 * (value / peak - 1), 4))
    return found


def _period(status: Json) -> str:
    """Say what was traded, or where that is not known, what was asked for."""
    coverage = status.get("coverage")
    period = coverage["traded"] if coverage else status["request"]["time_range"]
    return f"{_day(period['start'])} to {_day(period['end'])}"


def _rank(status: Json, row: Json) -> str:
    ranking = status["request"]["ranking"]
    text = f"ranked by {words(ranking['primary_metric'])}"
    if ranking["min_trades"]:
        text += f", {ranking['min_trades']} trades at least"
    if row.get("twins", 1) > 1:
        text += f"; {row['twins']:,} variants share this outcome"
    return text


def _day(time: str) -> str:
    return time[:10] if "T00:00:00" in time else time
