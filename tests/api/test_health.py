"""Whether the API lives and can work, and what it measures."""

from tests.api.running import Api


def test_a_live_process_says_so_to_anybody(api: Api) -> None:
    answer = api.nobody().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_process_that_reaches_its_database_is_ready(api: Api) -> None:
    answer = api.nobody().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
