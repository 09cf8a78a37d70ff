"""The shipped configuration and rules, by Prometheus' own tools."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.watching.prometheus import (
    ALERTS,
    LIMITS,
    SHIPPED,
    faster_rules,
    needs_prometheus,
    shipped_rules,
)

UNIT_TESTS = Path(__file__).with_name("alerts_test.yml")
ROOT = SHIPPED.parents[1]
NAMES = [rule["alert"] for rule in shipped_rules()]
METRIC = re.compile(r"\b(backtest_\w+)\b")

pytestmark = needs_prometheus


def promtool(*arguments: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    assert f"{len(NAMES)} rules found" in promtool("check", "rules", "--lint=all", ALERTS)


def test_the_configuration_is_valid_and_names_the_rules(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(SHIPPED, tmp_path / "prometheus"))
    (copied / "targets").mkdir()
    for name in ("worker", "scheduler", "api", "alertmanager"):
        (copied / "targets" / f"{name}.yml").write_text("[]")
    said = promtool("check", "config", copied / "prometheus.yml")
    assert "1 rule files found" in said
    assert "WARNING" not in said


def test_every_alert_fires_and_stays_quiet_where_it_should() -> None:
    promtool("test", "rules", UNIT_TESTS)


def test_the_unit_tests_make_every_alert_fire_and_stay_quiet() -> None:
    cases = [
        case
        for test in yaml.safe_load(UNIT_TESTS.read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
    ]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    quiet = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert fires == quiet == set(NAMES)


def test_faster_rules_differ_in_times_and_limits_alone() -> None:
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    for rule, faster in zip(
        shipped_rules(), faster_rules(document)["groups"][0]["rules"], strict=True
    ):
        old, new = LIMITS.get(rule["alert"], ("", ""))
        words = re.sub(r"\[\w+\]", "[]", rule["expr"].replace(old, new) if old else rule["expr"])
        assert re.sub(r"\[\w+\]", "[]", faster["expr"]) == words


@pytest.mark.parametrize("language", ["runbook.md", "runbook.ru.md"])
@pytest.mark.parametrize("rule", shipped_rules(), ids=NAMES)
def test_every_alert_leads_to_its_section_of_the_runbook(rule: dict, language: str) -> None:
    address, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert address == "{{ $externalLabels.runbook }}"
    assert anchor == rule["alert"].lower()
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
    assert (ROOT / config["global"]["external_labels"]["runbook"]).name == "runbook.md"
    sections = re.findall(r"^### (\w+)$", (ROOT / "docs" / language).read_text(), re.MULTILINE)
    assert sections.count(rule["alert"]) == 1


@pytest.mark.parametrize("rule", shipped_rules(), ids=NAMES)
def test_every_alert_says_whom_it_wakes_and_what_is_wrong(rule: dict) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")


def test_the_address_of_the_runbook_is_set_as_the_runbook_says(tmp_path: Path) -> None:
    """And every link of alerts and panels begins with it afterwards."""
    shutil.copytree(SHIPPED.parent, tmp_path / "deploy")
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash\n(sed [^`]*promtool .*?)^```$", runbook, re.M | re.S)
    done = subprocess.run(["bash", "-ec", block], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    address = "https://wiki.example.com/backtest-runbook"
    config = (tmp_path / "deploy" / "prometheus" / "prometheus.yml").read_text()
    assert yaml.safe_load(config)["global"]["external_labels"] == {"runbook": address}
    dashboards = list((tmp_path / "deploy" / "grafana" / "dashboards").iterdir())
    assert dashboards
    for file in dashboards:
        variables = json.loads(file.read_text())["templating"]["list"]
        assert address in [variable["query"] for variable in variables]
