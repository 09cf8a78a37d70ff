"""The dashboards are those that the code builds, and say what an operator has to know."""

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.watching.dashboards import FOLDER, boards, every_query, panels
from tests.watching.prometheus import shipped_rules

GRAFANA = FOLDER.parent
ROOT = GRAFANA.parents[1]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
UNITS = {"short", "s", "cpm", "cps", "reqps", "percentunit", "bytes"}
METRIC = re.compile(r"backtest_(?:job_runner|scheduler|api)_\w+")

BOARDS = boards()
PANELS = [(board, panel) for board in BOARDS.values() for panel in panels(board)]
IDS = [f"{board['uid']}-{panel['title']}" for board, panel in PANELS]


def test_the_files_are_what_the_code_builds(tmp_path: Path) -> None:
    subprocess.run([sys.executable, GRAFANA / "build.py", tmp_path], check=True, timeout=60)
    built = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert built == {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()}


def test_there_are_three_dashboards_each_with_an_address_of_its_own() -> None:
    assert {board["title"] for board in BOARDS.values()} == {
        "Backtests: Jobs",
        "Backtests: Workers",
        "Backtests: Scheduler and stores",
    }
    assert len({board["uid"] for board in BOARDS.values()}) == 3


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_lie_on_the_grid_and_none_covers_another(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert len({panel["id"] for panel in board["panels"]}) == len(places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_variable_that_is_used_is_declared(board: dict[str, Any]) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", str(board["panels"]))) - {"__rate_interval"}
    assert used == declared


@pytest.mark.parametrize(("_board", "panel"), PANELS, ids=IDS)
def test_every_panel_has_a_unit_names_its_series_and_says_what_to_do(
    _board: dict[str, Any], panel: dict[str, Any]
) -> None:
    assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert len(panel["description"]) > 50
    assert panel["description"].endswith(".")
    assert all(target["legendFormat"] for target in panel["targets"])
    for target in panel["targets"]:
        by = re.findall(r"by \(([\w, ]+)\)", target["expr"])
        labels = {label for each in by for label in each.split(", ")} - {"le"}
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) >= labels


@pytest.mark.parametrize(("_board", "panel"), PANELS, ids=IDS)
def test_every_panel_links_to_a_section_of_the_runbook(
    _board: dict[str, Any], panel: dict[str, Any]
) -> None:
    titles = re.findall(r"^#+ (.*)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    (link,) = panel["links"]
    address, _, section = link["url"].partition("#")
    assert address == "${runbook}"
    assert section in anchors


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule["alert"])
def test_a_panel_that_shows_what_an_alert_is_about_is_red_from_its_limit_on(
    rule: dict[str, Any],
) -> None:
    limits = {float(limit) for limit in re.findall(r"> ([\d.]+)", rule["expr"])}
    for _, panel in PANELS:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        of_this_alert = any(target["expr"] in rule["expr"] for target in panel["targets"])
        if of_this_alert and len(steps) > 1:
            red = steps[1]["value"]
            assert red in limits or red - 1 in limits, panel["title"]


def test_every_metric_of_the_runbook_is_on_a_panel() -> None:
    shown = set(METRIC.findall(" ".join(query for _, query in every_query())))
    shown = {re.sub(r"_(bucket|count)$", "", name) for name in shown}
    assert shown == set(METRIC.findall(RUNBOOK))


def test_the_provisioned_source_is_a_prometheus_and_scrapes_as_often_as_ours() -> None:
    (source,) = read("provisioning/datasources/prometheus.yml")["datasources"]
    config = yaml.safe_load((GRAFANA.parent / "prometheus" / "prometheus.yml").read_text())
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    (provider,) = read("provisioning/dashboards/backtest.yml")["providers"]
    assert provider["type"] == "file"


def read(name: str) -> Any:
    return yaml.safe_load((GRAFANA / name).read_text(encoding="utf-8"))
