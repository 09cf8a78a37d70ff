"""Who calls: tokens, the cookie, other sites' pages, and signing in."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest

from api import tokens
from tests.api.running import Api, running
from tests.making_jobs import REQUEST

LIST = "/backtests/jobs"
USER = "1b671a64-40d5-491e-99b0-da01ff1f3341"
OTHER_SECRET = "another secret of more than thirty-two bytes"


def claims(**changes: Any) -> dict[str, Any]:
    values = {"sub": USER, "exp": int(time.time()) + 600} | changes
    return {name: value for name, value in values.items() if value is not None}


def signed(api: Api, algorithm: str = "HS256", secret: str | None = None, **changes: Any) -> str:
    key = "" if algorithm == "none" else secret or api.secret
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def status(api: Api, **headers: str) -> int:
    return api.nobody().get(LIST, headers=headers).status_code


def cookie(token: str) -> str:
    return f"{tokens.COOKIE}={token}"


def test_a_call_without_any_token_is_unauthenticated(api: Api) -> None:
    answer = api.nobody().get(LIST)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_good_token_is_good_as_bearer_and_as_cookie(api: Api) -> None:
    token = signed(api)
    assert status(api, Authorization=f"Bearer {token}") == 200
    assert status(api, Authorization=f"bearer {token}") == 200
    assert status(api, Cookie=cookie(token)) == 200


def bad() -> dict[str, dict[str, Any]]:
    """What is wrong with a token, by the clock of now: the suite runs longer than such a time."""
    now = int(time.time())
    return {
        "expired a second ago": {"exp": now - 1},
        "without an end": {"exp": None},
        "without a user": {"sub": None},
        "of a user that is no uuid": {"sub": "admin"},
        "of a number as user": {"sub": 7},
        "unsigned": {"algorithm": "none"},
        "signed with another algorithm": {"algorithm": "HS512"},
        "signed with another secret": {"secret": OTHER_SECRET},
        "not valid yet": {"nbf": now + 600},
        "with an infinite end": {"exp": float("inf")},
        "with a role that does not exist": {"role": "root"},
    }


@pytest.mark.parametrize("what", list(bad()))
def test_a_token_is_refused(api: Api, what: str) -> None:
    token = signed(api, **bad()[what])
    assert status(api, Authorization=f"Bearer {token}") == 401
    assert status(api, Cookie=cookie(token)) == 401


@pytest.mark.parametrize("text", ["Bearer", "Basic dXNlcjpwYXNz", "Bearer x", "Bearer a.b.c"])
def test_what_is_no_token_is_refused(api: Api, text: str) -> None:
    assert status(api, Authorization=text) == 401


def test_a_bad_bearer_is_refused_even_with_a_good_cookie(api: Api) -> None:
    assert status(api, Authorization="Bearer x", Cookie=cookie(signed(api))) == 401


def test_the_bearer_decides_whose_call_it_is(api: Api) -> None:
    owner, other = api.new_user(), uuid4()
    owner.post(LIST, json=REQUEST)
    headers = {"Cookie": cookie(api.token(other))}
    assert len(owner.get(LIST, headers=headers).json()["items"]) == 1


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "{url}"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "{url}", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "{url}.evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "{url}", "Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_a_cookie_changes_something_only_from_our_own_pages(
    api: Api, headers: dict[str, str], *, allowed: bool
) -> None:
    user = uuid4()
    sent = {name: value.format(url=api.url) for name, value in headers.items()}
    answer = api.nobody().post(
        LIST, json=REQUEST, headers=sent | {"Cookie": cookie(api.token(user))}
    )
    assert answer.status_code == (201 if allowed else 403), answer.text
    assert len(api.as_user(user).get(LIST).json()["items"]) == (1 if allowed else 0)


def test_a_bearer_token_needs_no_origin(api: Api) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert api.new_user().post(LIST, json=REQUEST, headers=headers).status_code == 201


def test_reading_needs_no_origin(api: Api) -> None:
    assert status(api, Cookie=cookie(signed(api)), Origin="https://evil.example") == 200


@pytest.mark.parametrize(
    ("header", "client"),
    [(None, "api"), ("cli", "cli"), ("page", "page"), ("worker", "api"), ("API", "api")],
)
def test_events_say_what_the_user_acted_through(api: Api, header: str | None, client: str) -> None:
    user = api.new_user()
    headers = {} if header is None else {"Backtest-Client": header}
    job_id = user.post(LIST, json=REQUEST, headers=headers).json()["job_id"]
    (event,) = user.get(f"{LIST}/{job_id}/events").json()["items"]
    assert (event["actor"], event["details"]["client"]) == ("user", client)


# ---------------------------------------------------------------------------------- the session


def test_a_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(api: Api) -> None:
    token = signed(api)
    answer = api.nobody().post("/session", json={"token": token})
    assert answer.status_code == 204, answer.text
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name == cookie(token)
    kept = {attribute.lower() for attribute in attributes}
    assert {"httponly", "samesite=lax", "secure", "path=/"} <= kept
    (age,) = (one.removeprefix("max-age=") for one in kept if one.startswith("max-age="))
    assert 0 < int(age) <= 600


def test_signing_out_clears_the_cookie(api: Api) -> None:
    answer = api.nobody().delete("/session")
    assert answer.status_code == 204
    assert "max-age=0" in answer.headers["set-cookie"].lower()


def test_another_sites_page_can_neither_sign_in_nor_out(api: Api) -> None:
    headers, token = {"Origin": "https://evil.example"}, signed(api)
    nobody = api.nobody()
    assert nobody.post("/session", json={"token": token}, headers=headers).status_code == 403
    assert nobody.delete("/session", headers=headers).status_code == 403


@pytest.mark.parametrize("document", [[], {"token": ""}, {"token": 7}, {"user": USER}])
def test_signing_in_takes_a_token_and_nothing_else(api: Api, document: Any) -> None:
    assert api.nobody().post("/session", json=document).status_code == 422


def test_outside_dev_nobody_is_signed_in_without_a_token(api: Api) -> None:
    answer = api.nobody().post("/session", json={})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


@pytest.fixture(scope="module")
def dev_api(
    own_database: str, candles: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("dev")
    with running(own_database, candles, folder, changes={"ROEHUB_ENV": "dev"}) as api:
        yield api


def test_in_dev_the_machines_own_browser_is_signed_in_by_itself(dev_api: Api) -> None:
    nobody = dev_api.nobody()
    for host in (f"localhost:{dev_api.port}", f"127.0.0.1:{dev_api.port}", "[::1]:80"):
        answer = nobody.post("/session", json={}, headers={"Host": host})
        assert answer.status_code == 204, host
    made = answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert "secure" not in answer.headers["set-cookie"].lower()
    found = tokens.read(dev_api.secret, made)
    assert (found.user_id, found.role) == (tokens.LOCAL_USER, None)
    nobody.client.cookies.clear()
    assert nobody.get(LIST, headers={"Cookie": cookie(made)}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.168.1.5:8000"},
        {"Host": ""},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Origin": "http://evil.example"},
    ],
)
def test_in_dev_nobody_else_is_signed_in_by_itself(dev_api: Api, headers: dict[str, str]) -> None:
    answer = dev_api.nobody().post("/session", json={}, headers=headers)
    assert answer.status_code in (401, 403)
    assert "set-cookie" not in answer.headers


def test_a_token_that_was_good_is_refused_as_soon_as_it_has_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, secret = int(time.time()), "s" * 32
    text = tokens.sign(secret, tokens.Token(uuid4(), None, now + 60))
    assert tokens.read(secret, text).expires_at == now + 60
    monkeypatch.setattr(time, "time", lambda: now + 60.0)
    with pytest.raises(tokens.BadToken, match="expired"):
        tokens.read(secret, text)


def test_after_ten_failed_sign_ins_an_address_has_to_wait(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    with running(own_database, candles, tmp_path) as api:
        nobody, good = api.nobody(), signed(api)
        for _ in range(10):
            assert nobody.post("/session", json={"token": "wrong"}).status_code == 401
        answer = nobody.post("/session", json={"token": good})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_requests")
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert status(api, Authorization=f"Bearer {good}") == 200  # calls are not held up


def test_behind_a_proxy_of_this_machine_failures_count_for_whom_it_names(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    with running(own_database, candles, tmp_path) as api:
        nobody = api.nobody()
        first, second = ({"X-Forwarded-For": f"203.0.113.{number}"} for number in (1, 2))

        def fail(headers: dict[str, str]) -> int:
            return nobody.post("/session", json={"token": "no"}, headers=headers).status_code

        assert [fail(first) for _ in range(11)] == [401] * 10 + [429]
        assert fail(second) == 401
        assert fail({"X-Forwarded-For": "198.51.100.7, 203.0.113.1"}) == 429  # the first is made up


def test_good_sign_ins_are_not_limited(api: Api) -> None:
    nobody, token = api.nobody(), signed(api)
    answers = [nobody.post("/session", json={"token": token}) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {204}


def test_no_token_stands_in_the_log(api: Api) -> None:
    token, forged = signed(api), signed(api, secret=OTHER_SECRET)
    nobody = api.nobody()
    nobody.get(f"{LIST}?token={token}", headers={"Authorization": f"Bearer {token}"})
    nobody.get(LIST, headers={"Cookie": cookie(forged)})
    nobody.post("/session", json={"token": forged})
    for secret in (token, forged, api.secret):
        assert secret not in api.text()
        assert secret.rpartition(".")[2] not in api.text()
