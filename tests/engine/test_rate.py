"""The rate of a machine: how it is measured and kept, and the seconds that follow from it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import calibration, rate
from engine.metric_names import METRICS
from engine.rate import Cost, Rate
from engine.request import Request, complete, parse
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernels' cache folder, not there yet."""
    kernels = tmp_path / "kernels"
    monkeypatch.setattr(rate, "cache_folder", lambda: kernels)
    return kernels


def made(**by_metric: float) -> Rate:
    """A rate whose metrics cost nothing but what is given, per word."""
    scored = {metric: Cost(0.0, by_metric.get(metric, 0.0)) for metric in METRICS}
    nothing = {metric: Cost(0.0, 0.0) for metric in METRICS}
    return Rate(scored, nothing, nothing, row=0.0, signal=0.0)


def asked(**changes: Any) -> Request:
    """3 x (2 x 5) base variants over 6 400 minutes, 100 words; 2 x 3 risk combinations."""
    whole = document()
    whole["time_range"] = {"start": "2024-01-01T00:00:00Z", "end": "2024-01-05T10:40:00Z"}
    whole["template"] |= {
        "timeframe": "1m",
        "indicator_grids": [
            {"indicator_id": "ma.sma", "params": {"window": explicit(5, 6, 7)}},
            {
                "indicator_id": "momentum.rsi",
                "params": {"window": explicit(7, 14)},
                "signals": {
                    "long_threshold": explicit(20, 25, 30, 35, 40),
                    "short_threshold": explicit(70),
                },
            },
        ],
        "risk_grid": {"sl": explicit(1, 2), "tp": explicit(1, 2, 3)},
    }
    return parse(complete(whole | {"preselect": 20, "top_k": 20} | changes, DEFAULTS, LIMITS))


def test_every_part_of_a_sweep_counts_with_its_own_cost() -> None:
    def every(fixed: float, word: float) -> dict[str, Cost]:
        return {metric: Cost(fixed, word) for metric in METRICS}

    one = Rate(every(1e3, 1e1), every(0, 1e5), every(1e6, 1e4), row=1e3, signal=1e2)

    scored = 30 * (1e3 + 1e1 * 100)
    expanded = 20 * (1e5 * 100 + 6 * (1e6 + 1e4 * 100))
    # 3 averages and 2 indices; 3 + 10 signals.
    planes = 100 * (1e3 * 5 + 1e2 * 13)
    assert rate.seconds(asked(), one) == pytest.approx((scored + expanded + planes) / 1e9)


def test_exit_blocks_multiply_what_is_scored_and_have_planes_of_their_own() -> None:
    held = document()["template"] | {
        "timeframe": "1m",
        "indicator_grids": [{"indicator_id": "ma.sma", "params": {"window": explicit(5, 6, 7)}}],
        "position": "hold",
        "exit_grids": [{"indicator_id": "ma.sma", "params": {"window": explicit(9, 10)}}],
    }
    scored = made(total_return_pct=8.0)
    assert rate.seconds(asked(template=held), scored) == pytest.approx(6 * 100 * 8 / 1e9)
    planes = replace(made(), row=1e3)
    assert rate.seconds(asked(template=held), planes) == pytest.approx(100 * 1e3 * 5 / 1e9)


def test_the_slower_of_two_metrics_decides() -> None:
    ranking = {"primary_metric": "sqn", "secondary_metric": "calmar"}
    both = asked(ranking=ranking)
    assert rate.seconds(both, made(sqn=1.0, calmar=7.0)) == pytest.approx(30 * 100 * 7 / 1e9)
    assert rate.seconds(both, made(sqn=9.0, calmar=7.0)) == pytest.approx(30 * 100 * 9 / 1e9)


def test_threads_share_the_work() -> None:
    one = made(total_return_pct=8.0)
    assert rate.seconds(asked(), one, threads=4) == pytest.approx(rate.seconds(asked(), one) / 4)


def test_a_cost_goes_through_two_measurements_and_is_never_negative() -> None:
    assert Cost.through((10, 120.0), (110, 320.0)) == Cost(100.0, 2.0)
    assert Cost.through((10, 5.0), (110, 205.0)) == Cost(0.0, 2.0)
    assert Cost.through((10, 300.0), (110, 200.0)) == Cost(300.0, 0.0)


def test_no_rate_is_known_before_it_was_measured(folder: Path) -> None:
    assert rate.known() is None


def test_a_rate_is_kept_beside_the_kernels(folder: Path) -> None:
    rate.keep(made(sharpe=3.5))
    assert rate.known() == made(sharpe=3.5)
    assert [file.name for file in folder.iterdir()] == [rate.FILE]


@pytest.mark.parametrize("text", ["", "[]", '{"row": 1}', "\x00", "null"])
def test_a_damaged_rate_is_none(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / rate.FILE).write_text(text)
    assert rate.known() is None


def test_a_rate_that_cannot_be_kept_harms_nothing(folder: Path) -> None:
    folder.write_text("a file where a folder is needed")
    rate.keep(made())
    assert rate.known() is None


def test_all_costs_of_this_machine_are_measured_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration.measure_once()

    found = rate.known()
    assert found is not None
    assert found.row > 0
    assert found.signal > 0
    for metric in METRICS:
        assert found.scored[metric].of(100) > 0
        assert found.expanded[metric].of(100) + found.combined[metric].of(100) > 0
    monkeypatch.setattr(calibration, "measured", pytest.fail)
    calibration.measure_once()
    assert rate.remembered() == found


def test_a_rate_that_cannot_be_kept_is_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_text("a file where a folder is needed")
    monkeypatch.setattr(calibration, "measured", lambda: made(sharpe=7.0))
    monkeypatch.setattr(rate, "_remembered", None)
    assert rate.remembered() is None
    calibration.measure_once()
    assert rate.remembered() == made(sharpe=7.0)


def test_the_estimate_and_the_warnings_load_no_compiler() -> None:
    code = "import sys, engine.rate, engine.request.warnings; engine.rate.known();"
    program = f"{code} sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
