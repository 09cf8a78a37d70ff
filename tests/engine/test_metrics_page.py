"""The examples of docs/metrics.md: what the page says happens is what simulator and engine do."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.candles import Candles
from engine.report import reports
from tests.engine.adapter import Exits
from tests.engine.case_sweep import CaseSweep
from tests.engine.cases import Case
from tests.engine.report_reference import DIRECTIONS, Facts
from tests.engine.simulator import LONG, NEUTRAL, SHORT, Execution, Prices, RiskLevels, simulate
from tests.engine.test_differential import RSI_THRESHOLDS, SMA_CROSS, Rules, engine_outcomes
from tests.engine.test_differential_fills import FILES
from tests.engine.test_report_real_data import real_candles
from tests.engine.worlds import START_MS, explicit

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
HOURS = {"an hour": ("1h", 3_600_000), "four hours": ("4h", 4 * 3_600_000)}
SIGNALS = {"LONG": LONG, "SHORT": SHORT, "NEUTRAL": NEUTRAL}
Row = dict[str, str]
LEVELS = tuple(field.name for field in fields(RiskLevels))
RULES = {field.name: field.type for field in fields(Execution)}
MODES = set(RULES) - {"slippage_pct"}
"""What the rows of an example may differ by."""


@dataclass(frozen=True, slots=True)
class Example:
    title: str
    settings: dict[str, str]
    bars: list[Row]
    trades: list[Row]
    length: str
    payments: tuple[tuple[int, float], ...] | None = None

    def modes(self) -> list[tuple[Execution, RiskLevels, list[Row]]]:
        """Return the rules of each mode that the example shows, with the trades it tells."""
        shown: dict[Execution, list[Row]] = {}
        for row in self.trades:
            told = {k: v for k, v in {**self.settings, **row}.items() if k in RULES and v}
            if self.payments is not None:
                del told["funding_pct_per_8h"]
            read = {name: _read(name, text) for name, text in told.items()}
            rules = Execution(**read, funding_rates=self.payments)
            shown.setdefault(rules, []).append(row)
        levels = {name: float(self.settings[name]) for name in LEVELS if name in self.settings}
        return [(rules, RiskLevels(**levels), rows) for rules, rows in shown.items()]

    @property
    def exits(self) -> Exits:
        """Whether any exit block says LONG, and any SHORT; None where the example has none."""
        if "exits" not in self.bars[0]:
            return None
        return [("LONG" in row["exits"], "SHORT" in row["exits"]) for row in self.bars]

    def case(self, execution: Execution, risk: RiskLevels) -> tuple[Case, Prices]:
        """Return the bars as a case; where only closes are given, they are all prices."""
        columns = [
            [float(row.get(name, row["close"])) for row in self.bars]
            for name in ("open", "high", "low", "close")
        ]
        step = HOURS[self.length][1]
        opens = [START_MS + bar * step for bar in range(len(self.bars))]
        prices = Prices(*columns, opens, [at + step for at in opens])
        signals = [SIGNALS[row["signal"]] for row in self.bars]
        return Case(signals, columns[3], execution, risk), prices


def _read(name: str, text: str) -> Any:
    """Return the value of a rule as the page writes it."""
    kind = RULES[name]
    return text if kind is str else int(text) if kind is int else float(text)


def tables(text: str) -> list[list[Row]]:
    """Return the tables of a text; the second of two columns of a name has a 2 behind it."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = [
            [cell.strip(" `") for cell in line.strip("|").split("|")] for line in block.splitlines()
        ]
        names = [name + "2" * lines[0][:at].count(name) for at, name in enumerate(lines[0])]
        found.append([dict(zip(names, line, strict=True)) for line in lines[2:]])
    return found


def sections() -> dict[str, str]:
    """Return the text under each heading of the page."""
    parts = re.split(r"^##+ ", PAGE.read_text(), flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def examples() -> list[Example]:
    listed = []
    for title, text in sections().items():
        settings = re.search(r"^(?:.* )?Settings: ((?:.+\n)+)", text, re.MULTILINE)
        if settings is not None:
            bars, trades, *others = tables(text)
            named = dict(re.findall(r"`(\w+)` ([\w.]*\w)", settings[1]))
            length = re.search(f"Bars of ({'|'.join(HOURS)})", text)
            hours = length[1] if length else "an hour"
            stored = named.get("funding_pct_per_8h") == "stored"
            payments = _payments(others[0]) if stored else None
            listed.append(Example(title, named, bars, trades, hours, payments))
    return listed


def _payments(rows: list[Row]) -> tuple[tuple[int, float], ...]:
    """Return the stored rates of an example: times in ms, percent."""
    return tuple(
        (pd.Timestamp(row["stored for"]).value // 10**6, float(row["rate %"])) for row in rows
    )


EXAMPLES = {example.title: example for example in examples()}
every_example = pytest.mark.parametrize("title", EXAMPLES)


def test_there_is_an_example_of_every_mode() -> None:
    shown = [execution for example in EXAMPLES.values() for execution, _, _ in example.modes()]
    assert len(EXAMPLES) == 9
    assert len({(rules.entry_fill, rules.stop_fill) for rules in shown}) == 4
    assert {(rules.position, rules.reentry_after_bars) for rules in shown} == {
        *(("state", 0), ("hold", 0)),
        *(("state", 2), ("hold", 2)),
    }
    assert {rules.direction_mode for rules in shown} == {"long-short", "long-only"}
    assert any(example.exits for example in EXAMPLES.values())
    assert {"percent", "risk_per_trade"} < {rules.sizing_mode for rules in shown}
    assert any(rules.leverage for rules in shown)
    assert any(rules.funding_rates for rules in shown)
    assert any(rules.funding_pct_per_8h and rules.borrow_pct_per_year for rules in shown)


def told(trade: dict[str, Any], row: Row) -> Row:
    """Return what a row says of a trade, as the trade of a report has it."""
    times = {name: pd.Timestamp(trade[f"{name}_time"]) for name in ("entry", "exit")}
    amounts = {"Q": "entry_quote", "margin": "margin", "carry": "carry", "net": "net_pnl"}
    whole = {
        "trade": trade["direction"],
        "from": f"{times['entry']:%H:%M}",
        "at": written(trade["entry_price"]),
        "to": f"{times['exit']:%H:%M}",
        "at2": written(trade["exit_price"]),
        "reason": trade["exit_reason"],
        "return %": written(trade["return_pct"]),
        **{name: written(trade[key]) for name, key in amounts.items() if name in row},
    }
    return {name: whole[name] for name in row if name not in MODES}


def written(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def compared(trades: list[dict[str, Any]], rows: list[Row]) -> None:
    shown = [told(trade, row) for trade, row in zip(trades, rows, strict=True)]
    assert shown == [{k: v for k, v in row.items() if k not in MODES} for row in rows]


@every_example
def test_the_engine_does_what_the_page_says(title: str) -> None:
    for execution, risk, rows in EXAMPLES[title].modes():
        case, prices = EXAMPLES[title].case(execution, risk)
        timeframe = HOURS[EXAMPLES[title].length][0]
        variant = CaseSweep(case, timeframe, prices, EXAMPLES[title].exits)
        (report,) = reports(variant, [0], top_trades_n=1, result_bytes=2**40)
        assert report.trades is not None
        compared(report.trades, rows)


@every_example
def test_the_simulator_does_what_the_page_says(title: str) -> None:
    for execution, risk, rows in EXAMPLES[title].modes():
        case, prices = EXAMPLES[title].case(execution, risk)
        exits = EXAMPLES[title].exits
        run = simulate(case.signals, case.closes, execution, risk, prices, exits)
        facts = Facts(run.trades, run.equity, prices, execution)
        trades = [
            {
                "direction": DIRECTIONS[trade.direction],
                "entry_time": pd.Timestamp(entry_ms, unit="ms"),
                "exit_time": pd.Timestamp(exit_ms, unit="ms"),
                "entry_price": trade.entry_fill,
                "exit_price": trade.exit_fill,
                "exit_reason": trade.reason,
                "return_pct": 100 * trade.net / trade.quote,
                "entry_quote": trade.quote,
                "margin": trade.margin,
                "carry": trade.carry,
                "net_pnl": trade.net,
            }
            for trade, _, _, entry_ms, exit_ms in facts.filled
        ]
        compared(trades, rows)


# --- what a stop seen at closes costs --------------------------------------------------------

CROSSINGS = SMA_CROSS | {
    "params": {
        "ma": explicit("sma", "ema"),
        "fast": explicit(4, 8, 16),
        "slow": explicit(24, 48, 96),
    }
}
THRESHOLDS = RSI_THRESHOLDS | {
    "params": {"window": explicit(7, 14, 21)},
    "signals": {"long_threshold": explicit(30, 55), "short_threshold": explicit(70, 45)},
}


def stopped_at(candles: Candles, stop_fill: str) -> list[float]:
    """Return what trades lost that a stop of 2 % ended, in stops of 2 %."""
    rules = Rules("long-short", "fixed_quote", sl=2.0, stop_fill=stop_fill)
    return [
        -trade["return_pct"] / 2
        for block in (CROSSINGS, THRESHOLDS)
        for report, _ in engine_outcomes(candles, block, rules)
        for trade in report.trades or []
        if trade["exit_reason"] == "sl"
    ]


def test_the_cost_of_stops_seen_at_closes_is_what_the_page_says(market_data: Path) -> None:
    (shown,) = tables(sections()["What a stop seen at closes costs"])
    for row, (name, time_column) in zip(shown, FILES.values(), strict=True):
        candles = real_candles(market_data / name, time_column, "15m")
        lost = [stopped_at(candles, stop_fill) for stop_fill in ("close", "intrabar")]
        assert row["trades"] == ", ".join(str(len(trades)) for trades in lost)
        means = [f"{sum(trades) / len(trades):.2f}" for trades in lost]
        assert [row["at closes"], row["inside bars"]] == means
