"""What Grafana reads, checked without a Grafana: nothing on a package index has one to start.

It passes over keys that it does not know without a word, so a misspelt one would never be noticed.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = DEPLOY / "grafana" / "provisioning"
BOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
FOLDERS = {"access-control", "alerting", "dashboards", "datasources", "plugins"}
"""Those that Grafana looks for below /etc/grafana/provisioning."""
PROVIDER = {
    *("name", "orgId", "folder", "folderUid", "type", "disableDeletion", "editable"),
    *("updateIntervalSeconds", "allowUiUpdates", "options"),
}
OPTIONS = {"path", "foldersFromFilesStructure"}
SOURCE = {
    *("name", "type", "access", "orgId", "uid", "url", "user", "database", "basicAuth"),
    *("basicAuthUser", "withCredentials", "isDefault", "jsonData", "secureJsonData", "version"),
    *("editable", "readOnly"),
}
OF_PROMETHEUS = {
    *("httpMethod", "timeInterval", "queryTimeout", "manageAlerts", "prometheusType"),
    *("prometheusVersion", "cacheLevel", "incrementalQuerying", "disableMetricsLookup"),
    *("customQueryParameters", "exemplarTraceIdDestinations", "defaultEditor"),
}
"""The documented keys."""


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FILES / name).read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (DEPLOY / "docker-compose.yml").read_text(encoding="utf-8")
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


@pytest.fixture
def provider() -> dict[str, Any]:
    document = read("dashboards/backtest.yml")
    assert document.keys() == {"apiVersion", "providers"}
    (found,) = document["providers"]
    return dict(found)


@pytest.fixture
def source() -> dict[str, Any]:
    document = read("datasources/prometheus.yml")
    assert document.keys() == {"apiVersion", "datasources"}
    (found,) = document["datasources"]
    return dict(found)


def test_every_file_lies_where_grafana_looks_for_it() -> None:
    assert {folder.name for folder in FILES.iterdir()} <= FOLDERS
    assert {file.suffix for file in FILES.rglob("*.*")} == {".yml"}


def test_every_key_is_one_that_grafana_knows(
    provider: dict[str, Any], source: dict[str, Any]
) -> None:
    assert provider.keys() <= PROVIDER
    assert provider["options"].keys() <= OPTIONS
    assert source.keys() <= SOURCE
    assert source["jsonData"].keys() <= OF_PROMETHEUS


def test_compose_mounts_what_grafana_reads(
    compose: dict[str, Any], provider: dict[str, Any]
) -> None:
    mounts = [volume.split(":")[:2] for volume in compose["grafana"]["volumes"]]
    assert ["./grafana/provisioning", "/etc/grafana/provisioning"] in mounts
    assert ["./grafana/dashboards", provider["options"]["path"]] in mounts


def test_the_source_is_the_prometheus_of_the_compose_file(
    compose: dict[str, Any], source: dict[str, Any]
) -> None:
    variable = re.fullmatch(r"\$(\w+)", source["url"])
    assert variable is not None
    address = compose["grafana"]["environment"][variable[1]]
    port = re.search(r":(\d+)$", compose["prometheus"]["ports"][0])
    assert port is not None
    assert address == f"http://prometheus:{port[1]}"
    assert source["isDefault"] is True


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.stem)
def test_a_dashboard_has_nothing_that_the_published_schema_has_not(file: Path) -> None:
    register_default_plugins()
    document = json.loads(file.read_text(encoding="utf-8"))
    known = json.loads(json.dumps(Dashboard.from_json(document), cls=JSONEncoder))
    assert known == document


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.stem)
def test_a_dashboard_asks_whichever_prometheus_there_is(file: Path) -> None:
    variables = json.loads(file.read_text(encoding="utf-8"))["templating"]["list"]
    assert [each["query"] for each in variables if each["type"] == "datasource"] == ["prometheus"]
