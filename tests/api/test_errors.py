"""Every error has one shape, whoever refuses."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.api.running import Api, Caller
from tests.making_jobs import REQUEST, changed

JSON = {"Content-Type": "application/json"}
UNKNOWN = "00000000-0000-4000-8000-00000000dead"


def refused(answer: httpx.Response, status: int, code: str) -> list[dict[str, Any]]:
    """Check the shape of an error; returns its details."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert set(document) == {"error"}
    error = document["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["code"] == code, error
    assert error["message"]
    details: list[dict[str, Any]] = error["details"]
    for detail in details:
        assert set(detail) == {"path", "code", "message", "hint"}
    assert [one["path"] for one in details] == sorted(one["path"] for one in details)
    return details


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("GET", "/backtests/jobs/", 404, "not_found"),
        ("DELETE", "/backtests/jobs", 405, "method_not_allowed"),
        ("GET", "/backtests/estimate", 405, "method_not_allowed"),
        ("GET", f"/backtests/jobs/{UNKNOWN}", 404, "not_found"),
        ("GET", "/backtests/jobs/abc", 422, "validation_error"),
        ("GET", "/backtests/jobs/not-an-id", 422, "validation_error"),
        ("GET", f"/backtests/jobs/{UNKNOWN}/variants/short", 422, "validation_error"),
        ("GET", f"/backtests/jobs/{UNKNOWN}/variants/base/-1", 422, "validation_error"),
        ("GET", "/backtests/jobs?limit=0", 422, "validation_error"),
        ("GET", "/backtests/jobs?limit=251", 422, "validation_error"),
        ("GET", "/backtests/jobs?limit=ten", 422, "validation_error"),
        ("GET", "/backtests/jobs?state=done", 422, "validation_error"),
        ("GET", "/backtests/jobs?cursor=rubbish", 422, "validation_error"),
        ("GET", "/backtests/jobs?page=2", 422, "validation_error"),
        ("GET", "/backtests/jobs?limit=1&limit=2", 422, "validation_error"),
        ("GET", f"/backtests/jobs/{UNKNOWN}/top?include=all", 422, "validation_error"),
        ("GET", f"/backtests/jobs/{UNKNOWN}/bars?points=4001", 422, "validation_error"),
    ],
)
def test_what_the_router_and_the_parameters_refuse_has_the_one_shape(
    user: Caller, method: str, path: str, status: int, code: str
) -> None:
    refused(user.call(method, path), status, code)


def test_everything_wrong_with_a_query_is_said_at_once(user: Caller) -> None:
    answer = user.get("/backtests/jobs?limit=0&state=done&cursor=x")
    details = refused(answer, 422, "validation_error")
    assert [one["path"] for one in details] == ["cursor", "limit", "state"]


def test_an_unknown_parameter_is_named_with_those_that_exist(user: Caller) -> None:
    (detail,) = refused(user.get("/backtests/jobs?page=2"), 422, "validation_error")
    assert detail["path"] == "page"
    assert "cursor, limit, q, state, symbol" in detail["message"]


def test_a_method_that_is_not_possible_names_all_that_are(user: Caller) -> None:
    answer = user.delete("/backtests/jobs")
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", JSON, 400, "malformed"),
        (b"{", JSON, 400, "malformed"),
        (b'{"a": 1, "a": 2}', JSON, 400, "malformed"),
        (b"\xff\xfe", JSON, 400, "malformed"),
        (b'{"top_k": NaN}', JSON, 400, "malformed"),
        (b"[" * 10_000, JSON, 400, "malformed"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {}, 415, "unsupported_media_type"),
        (b"{}", JSON | {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415, None),
        (b" " * (2**20 + 1), JSON, 413, "too_large"),
        (b"[]", JSON, 422, "validation_error"),
        (b"{}", JSON, 422, "validation_error"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_the_one_shape(
    user: Caller, content: bytes, headers: dict[str, str], status: int, code: str | None
) -> None:
    answer = user.post("/backtests/jobs", content=content, headers=headers)
    refused(answer, status, code or "unsupported_media_type")


def test_a_body_in_chunks_is_measured_as_it_comes(user: Caller) -> None:
    chunks = (b" " * 65_536 for _ in range(17))
    answer = user.post("/backtests/jobs", content=chunks, headers=JSON)
    assert "content-length" not in answer.request.headers
    refused(answer, 413, "too_large")


def test_everything_wrong_with_a_request_is_said_at_once_with_its_path(user: Caller) -> None:
    document = changed(top_k=0, template__timeframe="7m") | {"name": "x" * 121, "surprise": 1}
    details = refused(user.post("/backtests/jobs", json=document), 422, "validation_error")
    assert [one["path"] for one in details] == ["name", "surprise", "template.timeframe", "top_k"]


def test_a_misplaced_key_comes_with_a_hint(user: Caller) -> None:
    document = REQUEST | {"timeframe": "15m"}
    (detail,) = refused(user.post("/backtests/jobs", json=document), 422, "validation_error")
    assert detail["path"] == "timeframe"
    assert "template" in detail["hint"]


def test_the_same_wrong_request_gets_the_same_bytes(user: Caller) -> None:
    document = changed(top_k=0, template__timeframe="7m")
    first, second = (user.post("/backtests/jobs", json=document).content for _ in range(2))
    assert first == second


def test_half_a_surrogate_pair_in_a_path_or_a_query_is_no_fault_of_ours(user: Caller) -> None:
    for path in ("/%ED%A0%80", "/backtests/jobs?%ED%A0%80=1", "/backtests/jobs?q=%ED%A0%80"):
        assert user.get(path).status_code < 500


@pytest.fixture
def without_events(stored: psycopg.Connection[Any]) -> Iterator[None]:
    """A database in which a table is missing, as nobody expects it."""
    stored.execute("ALTER TABLE backtest_job_events RENAME TO elsewhere")
    yield
    stored.execute("ALTER TABLE elsewhere RENAME TO backtest_job_events")


def test_an_error_of_ours_tells_nothing_and_is_logged_with_its_traceback(
    api: Api, user: Caller, request: pytest.FixtureRequest
) -> None:
    job_id = user.post("/backtests/jobs", json=REQUEST).json()["job_id"]
    request.getfixturevalue("without_events")
    answer = user.get(f"/backtests/jobs/{job_id}/events")
    assert refused(answer, 500, "unexpected_error") == []
    assert not re.search(r"Traceback|File|psycopg|backtest_job_events", answer.text)
    assert "request_failed" in api.text()
    assert "UndefinedTable" in api.text()


def test_security_headers_are_on_every_answer(api: Api, user: Caller) -> None:
    nobody = api.nobody()
    answers = [
        user.get("/backtests/jobs"),
        nobody.get("/backtests/jobs"),
        nobody.get("/nothing"),
        nobody.get("/healthz"),
        user.delete("/backtests/jobs"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert "unsafe" not in policy
        for part in ("frame-ancestors 'none'", "base-uri 'self'", "form-action 'self'"):
            assert part in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
