"""The way to the API: patience while it is away, and what its refusals look like."""

import json
import socket
import ssl
import threading
import time
from typing import Any

import pytest

from cli import transport
from cli.client import Client
from cli.transport import Away
from tests.api.running import Api
from tests.cli.conftest import REQUEST, Backtest, written
from tests.cli.http_peer import LOSE, OWN, Answer, peer
from tests.ports import free_port

EMPTY = b'{"items": [], "next_cursor": null, "counts": {}}'
AWAY = Answer(503, b'{"error": {"code": "unavailable", "message": "away", "details": []}}')


def refusal(status: int, message: str, *details: dict[str, Any], **headers: str) -> Answer:
    body = {"error": {"code": "conflict", "message": message, "details": details}}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), sent)


def client(url: str, token: str = "t") -> Client:
    return Client({"ROEHUB_API_URL": url, "ROEHUB_API_TOKEN": token})


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    assert transport.WAIT_SECONDS == 10.0
    monkeypatch.setattr(transport, "WAIT_SECONDS", 0.3)


def test_an_api_that_stays_away_is_code_3_and_names_its_address_and_the_cure(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, short_patience: None
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("ROEHUB_API_URL", url)
    ended = backtest("jobs")
    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)
    assert url in ended.err
    assert "backtest up" in ended.err


def test_a_command_waits_for_an_api_that_restarts(
    service: Backtest, served: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "WAIT_SECONDS", 60.0)  # a busy machine starts it slowly
    served.stop()
    restart = threading.Timer(0.5, served.start)
    restart.start()
    ended = service("jobs", "--json")
    restart.join()
    assert (ended.code, ended.json) == (0, [])


def test_an_api_without_its_database_is_asked_again() -> None:
    with peer(AWAY, AWAY, Answer(200, EMPTY)) as between, client(between.url) as api:
        assert api.jobs(limit=5) == []
        assert len(between.seen) == 3


def test_a_database_that_stays_away_is_code_3(short_patience: None) -> None:
    with peer(*[AWAY] * 99) as between, client(between.url) as api:
        with pytest.raises(Away, match="away") as raised:
            api.jobs(limit=5)
        assert raised.value.code == 3
        assert len(between.seen) > 1


def test_a_submission_whose_answer_is_lost_makes_one_job(
    service: Backtest, served: Api, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with peer(LOSE, behind=served.url) as between:
        monkeypatch.setenv("ROEHUB_API_URL", between.url)
        ended = service("submit", written(tmp_path, REQUEST), "--json")
        first, second = between.seen
    assert ended.code == 0, ended.err
    assert first[2]["Idempotency-Key"] == second[2]["Idempotency-Key"]
    monkeypatch.setenv("ROEHUB_API_URL", served.url)
    assert [job["job_id"] for job in service("jobs", "--json").json] == [ended.json["job_id"]]


def test_two_submissions_are_two_jobs(service: Backtest, tmp_path: Any) -> None:
    file = written(tmp_path, REQUEST)
    ids = {service("submit", file, "--json").json["job_id"] for _ in range(2)}
    assert len(ids) == 2


def test_too_many_calls_are_repeated_when_the_api_says_so() -> None:
    throttled = refusal(429, "too many", Retry_After="1")
    with peer(throttled, Answer(200, EMPTY)) as between, client(between.url) as api:
        began = time.monotonic()
        assert api.jobs(limit=5) == []
        assert time.monotonic() - began >= 1.0
        assert len(between.seen) == 2


def test_a_pause_longer_than_a_minute_is_refused_at_once(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with peer(refusal(429, "too many calls", Retry_After="3600")) as between:
        monkeypatch.setenv("ROEHUB_API_URL", between.url)
        ended = backtest("jobs")
    assert (ended.code, ended.err) == (2, "backtest: too many calls\n")


@pytest.mark.parametrize(
    ("token", "said"), [("", "ROEHUB_API_TOKEN is not set"), ("x.y.z", "ROEHUB_API_TOKEN is ref")]
)
def test_who_is_not_known_learns_how_to_get_a_token(
    service: Backtest, monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    monkeypatch.setenv("ROEHUB_API_TOKEN", token)
    ended = service("jobs")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert said in ended.err
    assert "`backtest token`" in ended.err
    assert "x.y.z" not in ended.err


def test_each_detail_of_a_refusal_is_a_line_with_its_hint(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = (
        {"path": "a.b", "code": "c", "message": "is wrong", "hint": "write it right"},
        {"path": "a.\x1b[2Jc\nd", "code": "c", "message": "is\twrong", "hint": None},
    )
    with peer(refusal(409, "no", *details)) as between:
        monkeypatch.setenv("ROEHUB_API_URL", between.url)
        ended = backtest("jobs")
    assert ended.err.splitlines() == [
        "backtest: no",
        "  a.b: is wrong; write it right",
        "  a. [2Jc d: is wrong",
    ]
    assert ended.code == 2


@pytest.mark.parametrize(
    "answer", [Answer(404, b"<html>"), Answer(200, b"<html>"), Answer(302), Answer(404, b"{}")]
)
def test_an_address_where_something_else_answers_is_code_2(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    with peer(answer) as between:
        monkeypatch.setenv("ROEHUB_API_URL", between.url)
        ended = backtest("jobs")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "ROEHUB_API_URL" in ended.err
    assert between.url in ended.err


def test_a_fault_of_the_api_is_code_70(backtest: Backtest, monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(refusal(500, "the fault is not yours")) as between:
        monkeypatch.setenv("ROEHUB_API_URL", between.url)
        ended = backtest("jobs")
    assert (ended.code, ended.err) == (70, "backtest: the fault is not yours\n")


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, short_patience: None, scheme: str
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with peer(Answer(200, EMPTY), tls=True) as between:
        with (
            client(between.url.replace("https", scheme)) as api,
            pytest.raises(Away, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            api.jobs(limit=5)
        assert between.seen == []


def test_a_certificate_that_the_environment_vouches_for_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(OWN))
    with peer(Answer(200, EMPTY), tls=True) as between, client(between.url) as api:
        assert api.jobs(limit=5) == []


def test_a_call_without_tls_loads_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    for name in ("load_verify_locations", "load_default_certs"):
        monkeypatch.setattr(ssl.SSLContext, name, lambda *given, **_: loaded.append(given))
    with peer(Answer(200, EMPTY)) as between, client(between.url) as api:
        assert api.jobs(limit=5) == []
    assert loaded == []


def test_a_call_without_tls_is_ready_to_trust_nobody() -> None:
    context = transport._tls("http://api.invalid")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509"] == 0


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with peer(Answer(200, EMPTY)) as between, client(between.url) as api:
        assert api.jobs(limit=5) == []


def test_elsewhere_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(Answer(200, EMPTY)) as proxy, client("http://api.invalid") as api:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert api.jobs(limit=5) == []
        assert proxy.seen[0][1].startswith("http://api.invalid/backtests/jobs")


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:8000", "ftp://host", "http://", "http://u:s3cret@host", "http://host?x=1"),
        *("http://[::1", "http://ho st", "http://host:99999", "http://host\n"),
    ],
)
def test_an_address_that_is_none_is_refused(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ROEHUB_API_URL", url)
    ended = backtest("jobs")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "ROEHUB_API_URL must be" in ended.err
    assert "s3cret" not in ended.err


@pytest.mark.parametrize("token", ["with space", "ключ", "line\nbreak"])
def test_a_token_that_is_none_is_refused_and_not_shown(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("ROEHUB_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ROEHUB_API_TOKEN", token)
    ended = backtest("jobs")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "ROEHUB_API_TOKEN" in ended.err
    assert token.split()[0] not in ended.err


def test_a_call_says_that_the_command_line_makes_it() -> None:
    with peer(Answer(200, EMPTY)) as between, client(between.url) as api:
        api.jobs(limit=5)
        headers = {name.lower(): value for name, value in between.seen[0][2].items()}
    assert headers["backtest-client"] == "cli"
    assert headers["authorization"] == "Bearer t"


def test_an_answer_that_never_ends_does_not_hold_a_command(
    monkeypatch: pytest.MonkeyPatch, short_patience: None
) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with client(url) as api, pytest.raises(Away, match="cannot be reached"):
            api.jobs(limit=5)
