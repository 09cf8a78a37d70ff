"""The report of one variant as a single HTML file with plots that opens without a network."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from cli.errors import CommandError
from cli.render import figure, metric, value_text
from cli.service import Service

TEMPLATE = Path(__file__).with_name("report_page.html")
PRICE_POINTS = 4000
CARDS = (
    ("Total return", "total_return_pct", 2, " %"),
    ("Buy and hold", "benchmark_return_pct", 2, " %"),
    ("Max. drawdown", "max_drawdown_pct", 2, " %"),
    ("Sharpe", "sharpe", 2, ""),
    ("Profit factor", "profit_factor", 2, ""),
    ("Win rate", "win_rate_pct", 1, " %"),
    ("Trades", "num_trades", 0, ""),
)
SIGNED = ("total_return_pct", "benchmark_return_pct")
TRADE_COLUMNS = (
    ("#", "id", None),
    ("Direction", "direction", None),
    ("Entry (UTC)", "entry_time", None),
    ("Exit (UTC)", "exit_time", None),
    ("Entry price", "entry_price", 2),
    ("Exit price", "exit_price", 2),
    ("Net", "net_pnl", 2),
    ("Return %", "return_pct", 3),
    ("Exit by", "exit_reason", None),
)

Json = Mapping[str, Any]


def write(file: Path, service: Service, status: Json, row: Json) -> None:
    """Write the page of a variant; raises CommandError when the job keeps no plots for it."""
    if row["equity_json"] is None or row["trades_json"] is None:
        why = _why_without_trades(status, row)
        raise CommandError(f"job {status['job_id']} has no plots for rank {row['rank']}: {why}")
    text = page(status, row, *service.closes(status))
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


def page(status: Json, row: Json, close_times: Sequence[int], closes: Sequence[float]) -> str:
    """Return the page of a variant with its trades and equity curve.

    `status` and `row` are a job and one of its variants as the service gives them; `close_times`
    (ms) and `closes` belong to the traded bars.
    """
    from plotly.offline import get_plotlyjs

    template, time_range = status["request"]["template"], status["request"]["time_range"]
    instrument = template["instrument_id"]
    title = f"{instrument['symbol']} {template['timeframe']}, variant {row['rank']}"
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        symbol=escape(instrument["symbol"]),
        subtitle=escape(
            f"{template['timeframe']} bars of market {instrument['market_id']}, "
            f"{_day(time_range['start'])} to {_day(time_range['end'])}, "
            f"{template['direction_mode']}, {template['sizing_mode'].replace('_', ' ')}"
        ),
        rank=row["rank"],
        job_id=escape(status["job_id"]),
        variant_key=escape(row["variant_key"]),
        engine_version=escape(str(status["engine_version"])),
        cards="".join(_cards(row)),
        parameters="".join(_parameters(row["payload_json"])),
        metrics="".join(_metric_rows(row["report_table_md"])),
        trades_head="".join(
            f'<th class="{"" if digits is None else "number"}">{name}</th>'
            for name, _key, digits in TRADE_COLUMNS
        ),
        trades="".join(_trade_rows(row["trades_json"])),
        data=_script_json(_curves(status, row, close_times, closes)),
        plotly=get_plotlyjs(),
    )


def _curves(
    status: Json, row: Json, close_times: Sequence[int], closes: Sequence[float]
) -> dict[str, Any]:
    cash = float(status["request"]["template"]["execution"]["init_cash_quote"])
    kept = thinned(closes, PRICE_POINTS)
    price = [closes[i] for i in kept]
    return {
        "cash": cash,
        "times": [close_times[i] for i in kept],
        "closes": price,
        "hold": [round(cash * close / closes[0], 2) for close in price],
        "equityTimes": [time for time, _ in row["equity_json"]],
        "equity": [equity for _, equity in row["equity_json"]],
        "drawdown": drawdowns([equity for _, equity in row["equity_json"]], cash),
        "trades": [
            {
                "long": trade["direction"] == "long",
                "times": [trade["entry_time"], trade["exit_time"]],
                "prices": [trade["entry_price"], trade["exit_price"]],
                "net": trade["net_pnl"],
                "percent": trade["return_pct"],
                "reason": trade["exit_reason"].replace("_", " "),
            }
            for trade in row["trades_json"]
        ],
    }


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


def _cards(row: Json) -> Iterator[str]:
    for label, name, digits, unit in CARDS:
        value = metric(row, name)
        tone = "" if value is None or name not in SIGNED else ("gain" if value >= 0 else "loss")
        sign = "+" if tone == "gain" else ""
        text = figure(value, digits) + (unit if value is not None else "")
        yield f'<div class="card {tone}"><b>{sign}{text}</b><span>{label}</span></div>'


def _parameters(payload: Json) -> Iterator[str]:
    for block in payload["blocks"]:
        values = {name: block[name] for name in ("source", "output") if block[name] is not None}
        values |= block["params"] | block["signals"]
        yield _chips(block["name"], values)
    levels = {name: level for name, level in payload["risk"].items() if level is not None}
    yield _chips("risk", {f"{name} %": level for name, level in levels.items()} or {"off": ""})


def _chips(name: str, values: Json) -> str:
    chips = "".join(
        f"<span>{escape(key.replace('_', ' '))} <b>{escape(value_text(value))}</b></span>"
        for key, value in values.items()
    )
    return f'<div class="block"><i>{escape(name)}</i>{chips}</div>'


def _metric_rows(table_md: str) -> Iterator[str]:
    lines = [line.strip().strip("|").split("|") for line in table_md.splitlines() if line.strip()]
    for cells in lines[2:]:  # behind the heading and its rule
        name, value = (escape(cell.strip()) for cell in cells)
        yield f"<tr><td>{name}</td><td>{value}</td></tr>"


def _trade_rows(trades: Sequence[Json]) -> Iterator[str]:
    for trade in trades:
        tone = "gain" if (trade["net_pnl"] or 0) > 0 else "loss"
        cells = []
        for _name, key, digits in TRADE_COLUMNS:
            value = trade[key]
            text = figure(value, digits) if digits is not None else _words(key, str(value))
            style = "" if digits is None else "number"
            if key in ("net_pnl", "return_pct"):
                style += f" {tone}"
            cells.append(f'<td class="{style}">{escape(text)}</td>')
        yield f"<tr>{''.join(cells)}</tr>"


def _words(key: str, text: str) -> str:
    if key.endswith("_time"):
        return text.replace("T", " ").removesuffix("Z").removesuffix(":00")
    return text.replace("_", " ")


def _day(time: str) -> str:
    return time[:10] if "T00:00:00" in time else time


def _script_json(value: Any) -> str:
    # "</script>" inside a string would end the element.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
