"""What the search sees ends at the border: no figure of it moves when the bars of the test do."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from engine.candles import Candles
from engine.metric_names import METRICS
from engine.report import reports
from engine.request import Request
from engine.request.model import Validation, WalkForward
from engine.sweep import Sweep
from engine.validation.search import ask
from engine.validation.split import Split
from tests.engine.worlds import World

ASKED = Validation(60.0, None, splits=30, draws=2, walk_forward=WalkForward(4, "anchored"))


def altered(candles: Candles) -> Candles:
    """Return candles of which every bar of the test is another one."""
    border = candles.first + candles.traded_bars * 60 // 100
    factors = np.ones(len(candles.close))
    factors[border:] = np.exp(np.random.default_rng(9).normal(0.3, 0.2, len(factors) - border))
    prices = {name: getattr(candles, name) * factors for name in ("open", "high", "low", "close")}
    return replace(candles, volume=candles.volume * factors, **prices)


def found(request: Request, candles: Candles) -> tuple[dict[str, Any], list[Any]]:
    """Return everything that is found in training, and what the test says."""
    split = Split.of(request, candles)
    assert split is not None
    sweep = Sweep(request, split.train)
    *_, first = sweep.stage_a()
    top = first.top
    shortlist = (
        top.indexes().tolist(),
        top.twins().tolist(),
        [score.tobytes() for score in top.scores()],
    )
    assert sweep.outcomes is not None
    *_, last = sweep.stage_b(top.indexes(), twins=top.twins())
    kept = last.top
    rows, tests = [], []
    made = reports(
        sweep,
        kept.indexes(),
        top_trades_n=3,
        result_bytes=10**6,
        twins=kept.twins(),
        test=Sweep(request, split.test),
    )
    for report in made:
        row = asdict(report)
        tests.append([row.pop(name) for name in ("test_metrics", "test_trades", "test_equity")])
        del row["table_md"]  # both stand in it
        rows.append(row)
    return {
        "shortlist": shortlist,
        "outcomes": sweep.outcomes.document(),
        "rows": rows,
        "answers": asdict(ask(sweep, kept, lambda *_: None)),
    }, tests


@pytest.mark.parametrize("metric", METRICS)
def test_no_figure_of_the_search_knows_the_test(metric: str) -> None:
    world = World(3)
    request = replace(world.request(metric, min_trades=2), validation=ASKED)
    request = replace(request, ranking=replace(request.ranking, distinct=True))
    before, test_before = found(request, world.candles)
    after, test_after = found(request, altered(world.candles))
    assert before == after
    assert test_before != test_after
