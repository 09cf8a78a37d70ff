"""The package of docs/own-signals.md, built from that text, says what its page says."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.system.plugin_package import ROOT, install, run

DOCUMENT = ROOT / "docs/own-signals.md"
PRINTED = re.findall(r"^```text\n(.*?)^```$", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
PATIENCE, STAY = (1, 3, 10, 400), (1, 4, 64)

COMPUTED = """
import json
from dataclasses import replace

import numpy as np

from engine import synthetic
from engine.indicators.compute import compute
from engine.indicators.registry import get

rows = np.array(json.loads("ROWS"), dtype=float)
candles = synthetic.bars(seed=5, count=700, timeframe_ms=900_000)
indicator = get("acme.inside_bar")
columns = ("ts_open", "open", "high", "low", "close", "volume")

def signals(first, last):
    part = {name: getattr(candles, name)[first:last] for name in columns}
    return compute(indicator, indicator.output(), replace(candles, **part), None, rows)

def differs(first, last, after):
    parts = zip(signals(first, last), whole[:, first:last], after)
    return any((part[n:] != same[n:]).any() for part, same, n in parts)

whole = signals(0, 700)
lookbacks = [indicator.output().lookback.defined(*map(int, row)) for row in rows]
print(json.dumps({
    "bars": {name: getattr(candles, name).tolist() for name in ("high", "low", "close")},
    "signals": whole.tolist(),
    "ends": [last for last in range(1, 700) if differs(0, last, [0] * len(rows))],
    "starts": [first for first in range(1, 700) if differs(first, 700, lookbacks)],
}))
"""

AS_VALUES = """
from acme_signals.kernels import inside_bar

def values(inputs, params, output, out):
    out[:] = 0.0
    inside_bar(inputs, params, output, out)
"""

SWEPT = """
import json
from dataclasses import replace
from pathlib import Path

import acme_signals
from configs.settings import load
from engine import synthetic
from engine.request import Limits, complete, parse, read_defaults, read_json
from engine.sweep import Sweep

ours, = acme_signals.INDICATORS
output, = ours.outputs
acme_signals.INDICATORS = (
    ours,
    replace(
        ours, id="acme.values", kernel="as_values:values", outputs=(replace(output, rule="sign"),)
    ),
)

def swept(indicator_id, places):
    settings = load(None, {"ROEHUB_ENV": "dev"})
    document = read_json(Path("request.json").read_text()) | {"ranking": {"min_trades": 0}}
    template = document["template"]
    opening, average = template["indicator_grids"]
    if "entry" in places:
        opening["indicator_id"] = indicator_id
    if "larger" in places:
        opening["timeframe"] = "1h"
    if "exit" in places:
        template["position"] = "hold"
        template["exit_grids"] = [opening]
        template["indicator_grids"] = [average]
    defaults = read_defaults(*settings.request_defaults())
    request = parse(complete(document, defaults, Limits(**settings.request_limits())))
    bars = synthetic.bars(2, 2_000, 900_000, warmup_bars=request.warmup_bars)
    sweep = Sweep(request, bars)
    *_, best = sweep.stage_a()
    *_, last = sweep.stage_b(best.top.indexes())
    scores = last.top.scores()[0].tolist()
    return best.total, last.top.indexes().tolist(), scores, last.top.twins().tolist()

for places in json.loads("PLACES"):
    print(json.dumps([swept(f"acme.{name}", places) for name in ("inside_bar", "values")]))
"""

PLACES = [["entry"], ["entry", "larger"], ["entry", "exit"], ["entry", "exit", "larger"]]


def plain_signals(
    high: list[float], low: list[float], close: list[float], patience: int, stay: int
) -> list[int]:
    """What the page says in words: for each bar, the newest breakout that still lasts."""
    inside = [t > 0 and high[t] < high[t - 1] and low[t] > low[t - 1] for t in range(len(close))]

    def beyond(pattern: int, t: int) -> int:
        outer = pattern - 1
        return 1 if close[t] > high[outer] else -1 if close[t] < low[outer] else 0

    def breakout(t: int) -> int:
        patterns = [s for s in range(max(0, t - patience), t) if inside[s]]
        if not patterns or any(beyond(patterns[-1], s) for s in range(patterns[-1] + 1, t)):
            return 0
        return beyond(patterns[-1], t)

    broken = [breakout(t) for t in range(len(close))]
    return [
        next((broken[s] for s in range(t, max(-1, t - stay), -1) if broken[s]), 0)
        for t in range(len(close))
    ]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(DOCUMENT, tmp_path_factory.mktemp("acme"))


@pytest.fixture(scope="module")
def rows() -> list[tuple[int, int]]:
    return list(product(PATIENCE, STAY))


@pytest.fixture(scope="module")
def computed(package: Path, rows: list[tuple[int, int]]) -> dict[str, Any]:
    printed = run(package, "-c", COMPUTED.replace("ROWS", json.dumps(rows)))
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def test_its_signals_are_those_of_a_plain_loop(
    computed: dict[str, Any], rows: list[tuple[int, int]]
) -> None:
    for params, signals in zip(rows, computed["signals"], strict=True):
        assert {1, -1} <= set(signals)
        assert signals == plain_signals(*computed["bars"].values(), *params)


def test_wherever_the_candles_end_no_signal_before_changes(computed: dict[str, Any]) -> None:
    assert computed["ends"] == []


def test_wherever_they_begin_no_signal_after_its_lookback_changes(computed: dict[str, Any]) -> None:
    assert computed["starts"] == []


def test_the_catalogue_prints_what_the_page_shows(package: Path) -> None:
    printed = run(package, "-m", "cli", "indicators", "acme.inside_bar")
    assert [line.rstrip() for line in printed.splitlines()] == PRINTED[0].splitlines()


def test_the_sweep_prints_what_the_page_shows(package: Path) -> None:
    assert run(package, "sweep.py") == PRINTED[1]


def test_in_any_place_of_a_sweep_signals_do_what_values_above_and_below_0_do(package: Path) -> None:
    (package / "as_values.py").write_text(AS_VALUES)
    places = json.dumps(PLACES).replace('"', '\\"')
    printed = run(package, "-c", SWEPT.replace("PLACES", places))
    found = [json.loads(line) for line in printed.splitlines()]
    assert len(found) == len(PLACES)
    for signals, values in found:
        assert signals == values
        assert signals[0] == 30 * 2
        assert all(score != 0.0 for score in signals[2])
    assert len({str(signals) for signals, _ in found}) == len(PLACES)
