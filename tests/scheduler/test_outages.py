"""One line per service that went away, however many duties it holds up."""

import pytest
import structlog

from scheduler import outages as module
from scheduler.outages import Outages

Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> object:
    with structlog.testing.capture_logs() as captured:
        yield captured


def events(lines: list[dict[str, str]]) -> list[str]:
    return [line["event"] for line in lines]


def test_a_service_that_is_away_is_told_once_for_all_duties(
    outages: Outages, lines: list[dict[str, str]]
) -> None:
    for duty in ("sweep", "gauges", "sweep", "dispatch"):
        outages.held_up(duty, "postgres", OSError("gone"))
    assert events(lines) == ["postgres_unavailable"]
    assert lines[0]["error"] == "gone"


def test_it_is_back_when_the_last_duty_has_come_by_it(
    outages: Outages, lines: list[dict[str, str]]
) -> None:
    outages.held_up("sweep", "postgres", OSError("gone"))
    outages.held_up("gauges", "postgres", OSError("gone"))
    outages.done("sweep")
    outages.held_up("sweep", "postgres", OSError("gone"))
    outages.done("sweep")
    assert events(lines) == ["postgres_unavailable"]
    outages.done("gauges")
    assert events(lines) == ["postgres_unavailable", "postgres_back"]


def test_each_service_has_its_own_line(outages: Outages, lines: list[dict[str, str]]) -> None:
    outages.held_up("dispatch", "redis", OSError("no Redis"))
    outages.held_up("sweep", "postgres", OSError("no Postgres"))
    assert [(line["event"], line["error"]) for line in lines] == [
        ("redis_unavailable", "no Redis"),
        ("postgres_unavailable", "no Postgres"),
    ]


def test_a_duty_that_fails_at_postgres_has_come_by_redis(
    outages: Outages, lines: list[dict[str, str]]
) -> None:
    outages.held_up("dispatch", "redis", OSError("no Redis"))
    outages.held_up("dispatch", "postgres", OSError("no Postgres"))
    assert events(lines) == ["redis_unavailable", "redis_back", "postgres_unavailable"]


def test_a_long_outage_is_told_again(
    outages: Outages, lines: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    for seconds in (0, 30, 59, 61, 90, 122):
        now = 1000.0 + seconds
        outages.held_up("sweep", "postgres", OSError("gone"))
    assert events(lines) == ["postgres_unavailable"] * 3


def test_a_second_outage_is_told_at_once(outages: Outages, lines: list[dict[str, str]]) -> None:
    for _ in range(2):
        outages.held_up("sweep", "postgres", OSError("gone"))
        outages.done("sweep")
    assert events(lines) == ["postgres_unavailable", "postgres_back"] * 2


def test_a_fault_of_ours_is_told_per_duty_with_its_traceback(
    outages: Outages, lines: list[dict[str, str]]
) -> None:
    outages.held_up("sweep", "unexpected", ZeroDivisionError("ours"))
    outages.held_up("gauges", "unexpected", KeyError("ours, too"))
    outages.held_up("gauges", "unexpected", KeyError("ours, too"))
    outages.done("sweep")
    assert [(line["event"], line["duty"]) for line in lines] == [
        ("duty_failed", "sweep"),
        ("duty_failed", "gauges"),
    ]
    assert all(line["exc_info"] for line in lines)
