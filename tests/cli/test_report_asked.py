"""What was asked of a search, in the report of a variant as a file."""

import base64
import json
import re
from typing import Any

import pytest

from cli import report_asked
from tests.browser.conftest import page_of
from tests.browser.searched import figures, pictures, side, surface

JOB = "3f0c0d0e-0000-4000-8000-000000000000"


class Answering:
    """A client whose job has surfaces of so many cells."""

    def __init__(self, *cells: int) -> None:
        self.cells = cells
        self.read: list[int] = []

    def validation(self, _job: str) -> dict[str, Any]:
        listed = [
            {"number": number, "axis_x": f"x{number}", "axis_y": None}
            for number in range(1, len(self.cells) + 1)
        ]
        return {"figures": figures(), "pictures": {}, "surfaces": listed}

    def top(self, _job: str, **_asked: Any) -> list[dict[str, Any]]:
        return []

    def surface(self, _job: str, number: int) -> dict[str, Any]:
        self.read.append(number)
        return {"variants": [1] * self.cells[number - 1]}


def read(client: Answering, validation: dict[str, Any] | None) -> Any:
    status = {"job_id": JOB, "validation": validation}
    return report_asked.read(client, status)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [{"job_id": JOB}, {"job_id": JOB, "validation": None}])
def test_of_a_job_that_was_not_validated_nothing_is_read(status: dict[str, Any]) -> None:
    assert report_asked.read(None, status) is None  # type: ignore[arg-type]


def test_a_report_without_it_has_none_of_its_scripts_and_styles() -> None:
    page = page_of(3)
    assert 'type="importmap"' not in page
    assert 'id="trust"' not in page
    assert ".proof" not in page


@pytest.mark.parametrize(
    ("cells", "kept"),
    [((10, 10), 2), ((60_000, 1), 1), ((90_000, 10), 1), ((20_000, 40_000, 1), 2)],
)
def test_surfaces_have_a_limit_but_the_first_is_always_there(
    cells: tuple[int, ...], kept: int
) -> None:
    found = read(Answering(*cells), figures())
    assert [each["number"] for each in found["surfaces"]] == list(range(1, kept + 1))
    assert found["surfaces_in_all"] == len(cells)


def test_every_module_that_is_imported_comes_along() -> None:
    found = report_asked.modules()
    wanted = set(re.findall(r'from "([\w.]+)"', report_asked.FRAGMENT.read_text(encoding="utf-8")))
    for address in found.values():
        text = base64.b64decode(address.partition(",")[2]).decode()
        wanted |= set(re.findall(r'from "(.+?)"', text))
    assert wanted == set(found)


def test_what_users_wrote_ends_no_script() -> None:
    text = report_asked.script_json({"a": "</script><!--<script>"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--<script>"}


def section(row: dict[str, Any], **changes: Any) -> tuple[str, dict[str, Any]]:
    """The part of the page, and the data in it."""
    payload = {"blocks": [], "risk": {}}
    made = surface(side("ma.sma", "window", "params", [1, 2]), side("b", "c", "params", [1 / 3]))
    found = {
        "figures": figures(),
        "pictures": pictures(payload),
        "rows": [row],
        "surfaces": [{"number": 1, "axis_x": "ma.sma window", "axis_y": "b c", "surface": made}],
        "surfaces_in_all": 1,
    }
    status = {"request": {"ranking": {"primary_metric": "sharpe"}}}
    text = report_asked.section(status, row, found | changes)
    data = text.partition('id="asked">')[2].partition("</script>")[0]
    return text, json.loads(data)


def test_of_rows_and_surfaces_only_what_is_drawn_is_in_the_file() -> None:
    row = {
        "rank": 1,
        "total_return_pct": 2.5,
        "payload_json": {"blocks": []},
        "metrics_json": {"sharpe": 1.5, "calmar": 3.0, "total_return_pct": 2.5},
        "test_metrics_json": {"sharpe": None, "infinite": ["sharpe"], "sqn": 1.0},
        "beside_json": {"variants": ["long"], "replays": {"unknown": "The variant made no trade."}},
    }
    text, data = section(row)
    assert data["rows"] == [
        {
            "rank": 1,
            "total_return_pct": 2.5,
            "metrics_json": {"sharpe": 1.5, "total_return_pct": 2.5},
            "test_metrics_json": {"sharpe": None, "infinite": ["sharpe"]},
        }
    ]
    assert data["beside"] == {"replays": {"unknown": "The variant made no trade."}}
    shown = data["surfaces"][0]["surface"]
    assert "best_index" not in shown
    assert all(value == float(f"{value:.6g}") for value in shown["median"])
    assert "pairs of parameters" not in text


def test_surfaces_that_had_no_room_are_said_to_be_missing() -> None:
    row = {"rank": 1, "total_return_pct": 1.0, "payload_json": {}, "metrics_json": {}}
    text, _ = section(row, surfaces_in_all=45)
    assert "Here are 1 of 45 pairs of parameters" in text
