"""Input that is meant to do harm: refused by name, nothing stored, nothing said that is secret."""

import base64
import json
import select
import socket
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest

from api import tokens
from tests.api.running import Api, Caller
from tests.making_jobs import REQUEST, changed

MEGABYTE = 2**20
BOUNDED_SECONDS = 10.0
JSON = {"Content-Type": "application/json"}
SHAPE = {"code", "message", "details"}

DEEP = b"[" * 10_000 + b"]" * 10_000
DEEP_OBJECTS = b'{"template":' * 10_000 + b"1" + b"}" * 10_000


def _with(field: str, text: bytes) -> bytes:
    """The request with these bytes as the value of a field of it."""
    marked = json.dumps(changed(**{field: "MARK"}))
    return marked.encode().replace(b'"MARK"', text)


BODIES = {
    "ten megabytes": (b'{"a":"' + b"x" * (10 * MEGABYTE) + b'"}', 413),
    "just over the limit": (b" " * (MEGABYTE + 1), 413),
    "arrays nested 10 000 deep": (DEEP, 400),
    "objects nested 10 000 deep": (DEEP_OBJECTS, 400),
    "NaN": (_with("preselect", b"NaN"), 400),
    "Infinity": (_with("preselect", b"-Infinity"), 400),
    "a number that is rounded to infinity": (_with("preselect", b"1e999"), 400),
    "a number of a million digits": (_with("preselect", b"9" * 1_000_000), 400),
    "NUL in a text": (_with("template__timeframe", b'"15\\u0000m"'), 400),
    "half of a surrogate pair": (_with("template__timeframe", b'"\\ud800"'), 400),
    "NUL in a key": (b'{"a\\u0000b": 1}', 400),
    "bytes that are no UTF-8": (b'{"a": "\xff"}', 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "a key twice": (b'{"template": 1, "template": 2}', 400),
    "two documents": (b"{}{}", 400),
    "nothing": (b"", 400),
    "blanks": (b"   ", 400),
    "a text": (b'"hello"', 422),
    "an array": (b"[]", 422),
    "null": (b"null", 422),
    "an axis of 10^12 values": (
        _with(
            "template__indicator_grids__0__params__fast",
            b'{"mode":"range","start":1,"stop_incl":1000000000000,"step":1}',
        ),
        422,
    ),
    "an axis of a step of 10^-300": (
        _with(
            "template__risk_grid__sl",
            b'{"mode":"range","start":1,"stop_incl":2,"step":1e-300}',
        ),
        422,
    ),
    "an axis of 10 001 listed values": (
        _with("template__risk_grid__sl", json.dumps([n / 1000 for n in range(1, 10_002)]).encode()),
        422,
    ),
    "50 000 unknown keys": (json.dumps({f"k{n}": n for n in range(50_000)}).encode(), 422),
    "20 000 blocks": (_with("template__indicator_grids", b"[" + b"{}," * 20_000 + b"{}]"), 422),
}

TEXTS = [
    "'; DROP TABLE backtest_jobs; --",
    "%s %(job_id)s {0} ${jndi:ldap://127.0.0.1/a}",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "../../../../etc/passwd",
    "e\u0301 combining, \u0627\u0644 right to left, \U0001f600",
]


@pytest.fixture
def count(stored: psycopg.Connection) -> Callable[[], int]:
    """How many jobs and strategies are stored."""

    def count() -> int:
        row = stored.execute(
            "SELECT (SELECT count(*) FROM backtest_jobs)"
            " + (SELECT count(*) FROM backtest_strategies)"
        ).fetchone()
        assert row is not None
        return int(row[0])

    return count


def refused(answer: Any, *statuses: int) -> dict[str, Any]:
    """The answer is an error of our one shape; returns it."""
    assert answer.status_code in statuses, answer.text[:500]
    error = answer.json()["error"]
    assert set(error) == SHAPE
    return dict(error)


@pytest.mark.parametrize("path", ["/backtests/jobs", "/backtests/estimate"])
@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=list(BODIES))
def test_a_hostile_body_is_refused_and_nothing_is_stored(
    user: Caller, count: Callable[[], int], path: str, body: bytes, status: int
) -> None:
    before = count()
    answer = user.post(path, content=body, headers=JSON, timeout=BOUNDED_SECONDS)
    if answer.status_code == 200:  # an estimate says why it would not be accepted
        assert path == "/backtests/estimate"
        assert not answer.json()["accepted"]
    else:
        refused(answer, status)
    assert count() == before


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_name_and_note_are_kept_as_they_are_and_do_nothing(
    user: Caller, stored: psycopg.Connection, text: str
) -> None:
    answer = user.post("/backtests/jobs", json=REQUEST | {"name": text, "note": text})
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert (job["name"], job["note"]) == (text, text)
    (item,) = user.get("/backtests/jobs", params={"q": text[:20]}).json()["items"]
    assert item["name"] == text
    assert stored.execute("SELECT count(*) FROM backtest_jobs").fetchone() is not None


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "field",
    [
        "template__timeframe",
        "template__direction_mode",
        "template__indicator_grids__0__indicator_id",
        "template__indicator_grids__0__name",
        "ranking",
        "time_range__start",
    ],
)
def test_a_hostile_text_in_a_field_is_refused_under_its_path(
    user: Caller, count: Callable[[], int], field: str, text: str
) -> None:
    before = count()
    error = refused(user.post("/backtests/jobs", json=changed(**{field: text})), 422)
    assert error["details"]
    assert count() == before


@pytest.mark.parametrize("text", [*TEXTS, "\x00", "%00", "a" * 5000])
@pytest.mark.parametrize("parameter", ["q", "symbol", "state", "cursor", "limit"])
def test_a_hostile_query_parameter_finds_nothing_or_is_refused(
    user: Caller, parameter: str, text: str
) -> None:
    answer = user.get("/backtests/jobs", params={parameter: text})
    if answer.status_code == 200:
        assert answer.json()["items"] == []
    else:
        assert refused(answer, 422)["details"][0]["path"] == parameter


@pytest.mark.parametrize(
    "digits", ["..%2f..%2fetc", "%00", "0" * 4000, "'%20OR%201=1", "%F0%9F%98%80", "-", "0x12"]
)
@pytest.mark.parametrize("call", ["", "/top", "/events", "/stream", "/bars"])
def test_a_hostile_id_is_refused(user: Caller, digits: str, call: str) -> None:
    refused(user.get(f"/backtests/jobs/{digits}{call}"), 404, 422)


def _forged(api: Api) -> dict[str, str]:
    """Tokens that prove nothing."""
    claims = {"sub": str(api.user_id), "exp": int(time.time()) + 3600}

    def unsigned(header: dict[str, str], signature: str = "") -> str:
        parts = (json.dumps(part).encode() for part in (header, claims))
        encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
        return ".".join((*encoded, signature))

    good = api.token()
    return {
        "alg none": unsigned({"alg": "none", "typ": "JWT"}),
        "alg None": unsigned({"alg": "None", "typ": "JWT"}),
        "no signature": unsigned({"alg": "HS256", "typ": "JWT"}),
        "another secret": jwt.encode(claims, "x" * 64, algorithm="HS256"),
        "another algorithm": jwt.encode(claims, api.secret, algorithm="HS512"),
        "expired": jwt.encode(claims | {"exp": 1}, api.secret, algorithm="HS256"),
        "no end": jwt.encode({"sub": claims["sub"]}, api.secret, algorithm="HS256"),
        "no user": jwt.encode({"exp": claims["exp"]}, api.secret, algorithm="HS256"),
        "a user that is no id": jwt.encode(claims | {"sub": "root"}, api.secret, algorithm="HS256"),
        "an end that is no number": jwt.encode(
            claims | {"exp": "soon"}, api.secret, algorithm="HS256"
        ),
        "a changed letter": good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
        "cut off": good[: len(good) // 2],
        "very long": "a" * 6000,
        "deep": base64.urlsafe_b64encode(b"[" * 3000).decode() + "." + "e30.AA",
    }


def test_a_token_that_proves_nothing_is_401_as_bearer_as_cookie_and_at_sign_in(api: Api) -> None:
    nobody = api.nobody()
    for name, token in _forged(api).items():
        for headers in (
            {"Authorization": f"Bearer {token}"},
            {"Cookie": f"{tokens.COOKIE}={token}"},
        ):
            error = refused(nobody.get("/backtests/jobs", headers=headers), 401)
            assert len(token) < 8 or token not in json.dumps(error), name
    good_cookie = {"Cookie": f"{tokens.COOKIE}={api.token()}"}
    bad_bearer = {"Authorization": "Bearer x.y.z"}
    refused(nobody.get("/backtests/jobs", headers=good_cookie | bad_bearer), 401)
    assert nobody.get("/backtests/jobs", headers=good_cookie).status_code == 200


def test_no_token_is_in_what_the_api_logs(api: Api) -> None:
    forged = _forged(api)
    for token in forged.values():
        api.nobody().get("/backtests/jobs", headers={"Authorization": f"Bearer {token}"})
    assert api.secret not in api.text()
    for token in (api.token(), *forged.values()):
        assert len(token) < 8 or token not in api.text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_what_another_sites_page_sends_with_our_cookie_changes_nothing(
    api: Api, count: Callable[[], int], headers: dict[str, str]
) -> None:
    before = count()
    nobody, cookie = api.nobody(), {"Cookie": f"{tokens.COOKIE}={api.token()}"}
    refused(nobody.post("/backtests/jobs", json=REQUEST, headers=cookie | headers), 403)
    refused(nobody.post("/session", json={"token": api.token()}, headers=headers), 403)
    assert count() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_of_another_type_is_415(user: Caller, headers: dict[str, str]) -> None:
    refused(user.post("/backtests/jobs", content=json.dumps(REQUEST), headers=headers), 415)


def _said(api: Api, text: bytes, *, then: Callable[[socket.socket], None] | None = None) -> bytes:
    """Say these bytes on a connection of one's own; returns all that is answered."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as connection:
        connection.sendall(text)
        if then is not None:
            then(connection)
        received = b""
        while part := connection.recv(65_536):
            received += part
        return received


def _head(api: Api, *lines: str) -> bytes:
    fixed = (
        "POST /backtests/jobs HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {api.token()}",
        "Content-Type: application/json",
        "Connection: close",
    )
    return "\r\n".join((*fixed, *lines, "", "")).encode()


def test_a_body_without_a_length_is_cut_off_at_the_limit(api: Api) -> None:
    def pour(connection: socket.socket) -> None:
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        try:
            for _ in range(1600):  # a hundred megabytes, if somebody takes them
                connection.sendall(chunk)
        except OSError:
            return

    began = time.monotonic()
    try:
        answered = _said(api, _head(api, "Transfer-Encoding: chunked"), then=pour)
    except ConnectionError:  # cut off while we were still talking
        answered = b""
    assert not answered or b" 413 " in answered.split(b"\r\n")[0]
    assert time.monotonic() - began < 20
    assert api.get("/healthz").status_code == 200


def test_a_length_that_lies_waits_no_longer_than_a_body_may_take(
    own_database: str, api: Api, tmp_path: Any
) -> None:
    from tests.api.running import running

    settings = tmp_path / "backtest.yaml"
    settings.write_text("version: 1\nbacktest: {api: {body_seconds: 0.5}}\n")
    changes = {"ROEHUB_BACKTEST_CONFIG": str(settings)}
    with running(own_database, api.candles, tmp_path / "slow", changes=changes) as quick:

        def drip(connection: socket.socket) -> None:
            try:
                for _ in range(100):
                    connection.sendall(b" ")
                    time.sleep(0.02)
            except OSError:
                return

        answered = _said(quick, _head(quick, "Content-Length: 1000"), then=drip)
        assert b" 408 " in answered.split(b"\r\n")[0]
        assert json.loads(answered.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


def test_others_are_answered_while_a_large_body_is_read(api: Api) -> None:
    body = b"[" + b"[]," * 349_000 + b"[]]"
    head = _head(api, f"Content-Length: {len(body)}").replace(b"/backtests/jobs", b"/session")
    with (
        socket.create_connection(("127.0.0.1", api.port), timeout=60) as connection,
        httpx.Client(base_url=api.url) as others,
    ):
        connection.sendall(head + body[:-1])
        for _ in range(20):  # until everything but the last byte has been taken in
            others.get("/healthz")
        connection.sendall(body[-1:])
        answered = 0
        while not select.select([connection], [], [], 0)[0]:
            assert others.get("/healthz").status_code == 200
            answered += 1
        assert connection.recv(100).startswith(b"HTTP/1.1 422 ")
    assert answered >= 5, answered


def test_a_thousand_slow_bodies_do_not_keep_others_waiting(api: Api) -> None:
    slow = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(1000)]
    try:
        for connection in slow:
            connection.sendall(_head(api, "Content-Length: 1000") + b"{")
        assert api.get("/backtests/jobs").status_code == 200
        slow[-1].setblocking(False)
        with pytest.raises(BlockingIOError):  # no answer: its body has not yet taken too long
            slow[-1].recv(1)
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_a_path_does_not_have_is_405_in_our_shape(user: Caller, method: str) -> None:
    answer = user.call(method, "/backtests/jobs")
    assert refused(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["Allow"] == "GET, POST"


def test_unknown_paths_are_404_in_our_shape(user: Caller) -> None:
    for path in ("/backtests", "/backtests/jobs/", "/%2e%2e/x", "/static/x/%2e%2e/app.py", "/x"):
        refused(user.get(path, headers={"Accept": "application/json"}), 404)


def test_a_name_that_would_turn_the_text_around_it_is_refused(
    user: Caller, count: Callable[[], int]
) -> None:
    before = count()
    for text in ("\u202egnp.exe", "two\nlines", "bell\x07", ""):
        error = refused(user.post("/backtests/jobs", json=REQUEST | {"name": text}), 422)
        assert error["details"][0]["path"] == "name"
    assert count() == before


def test_a_strategy_of_a_million_parts_is_refused(user: Caller, count: Callable[[], int]) -> None:
    before = count()
    template = REQUEST["template"] | {"junk": list(range(200_000))}
    document = {"name": str(uuid4()), "template": template}
    refused(user.post("/strategies", json=document), 413, 422)
    assert count() == before
