"""What a job has found, through the API."""

import struct
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from engine.outcomes import KEY_SHIFT
from tests.api.running import Api, Caller
from tests.making_jobs import BESIDE, EQUITY, REQUEST, TABLE, TRADES, changed, finish
from tests.storage.making import FIGURES, OUTCOMES, answered, surface


@pytest.fixture(scope="module")
def owner(shared_api: Api) -> Caller:
    return shared_api.new_user()


@pytest.fixture(scope="module")
def finished(shared_api: Api, owner: Caller) -> str:
    """A job that a worker has finished."""
    answer = owner.post("/backtests/jobs", json=REQUEST)
    assert answer.status_code == 201, answer.text
    job_id = str(answer.json()["job_id"])
    with psycopg.connect(shared_api.dsn, autocommit=True) as conn:
        finish(conn, job_id)
    return job_id


@pytest.fixture(scope="module")
def waiting(owner: Caller) -> str:
    return str(owner.post("/backtests/jobs", json=REQUEST).json()["job_id"])


def top(owner: Caller, job_id: str, **query: Any) -> dict[str, Any]:
    answer = owner.get(f"/backtests/jobs/{job_id}/top", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_top_list_comes_by_rank_with_report_and_trades(owner: Caller, finished: str) -> None:
    found = top(owner, finished)
    assert (found["job_id"], found["state"]) == (finished, "succeeded")
    assert [row["rank"] for row in found["items"]] == [1, 2, 3, 4]
    assert [row["total_return_pct"] for row in found["items"]][:2] == [12.5, 6.25]
    best = found["items"][0]
    assert best["report_table_md"] == TABLE
    assert best["trades"] == TRADES
    assert "equity" not in best
    assert best["twins"] == 1


@pytest.mark.parametrize(
    ("include", "present"),
    [
        ("none", set()),
        ("equity", {"equity"}),
        ("report", {"report_table_md"}),
        ("trades,equity", {"trades", "equity"}),
        ("report,trades,equity", {"report_table_md", "trades", "equity"}),
    ],
)
def test_what_comes_with_a_row_is_chosen(
    owner: Caller, finished: str, include: str, present: set[str]
) -> None:
    row = top(owner, finished, include=include)["items"][0]
    assert {"report_table_md", "trades", "equity"} & set(row) == present


@pytest.mark.parametrize("include", ["", "report,trades,equity"])
def test_a_job_that_has_not_succeeded_shows_no_reports(
    owner: Caller, waiting: str, include: str
) -> None:
    query = {"include": include} if include else {}
    assert top(owner, waiting, **query) == {"job_id": waiting, "state": "queued", "items": []}


def test_snapshots_of_a_running_job_come_without_reports(
    api: Api, owner: Caller, waiting: str, stored: psycopg.Connection[Any]
) -> None:
    stored.execute(
        "INSERT INTO backtest_job_top_variants (job_id, rank, variant_key, indicator_variant_key,"
        " variant_index, total_return_pct, metrics_json, payload_json)"
        " VALUES (%s, 1, 'k', 'i', 0, 5, '{}', '{}')",
        [waiting],
    )
    (row,) = top(owner, waiting, include="report,trades,equity")["items"]
    assert not {"report_table_md", "trades", "equity"} & set(row)


def test_a_list_that_was_sent_before_is_sent_as_its_rows_are_now(
    owner: Caller, stored: psycopg.Connection[Any]
) -> None:
    job_id = str(owner.post("/backtests/jobs", json=REQUEST).json()["job_id"])
    insert = (
        "INSERT INTO backtest_job_top_variants (job_id, rank, variant_key, indicator_variant_key,"
        " variant_index, total_return_pct, metrics_json, payload_json)"
        " VALUES (%s, %s, %s, 'i', 0, 5, '{}', '{}')"
    )
    changes = [
        (insert, [job_id, 1, "k"]),
        (insert, [job_id, 2, "l"]),
        ("UPDATE backtest_job_top_variants SET total_return_pct = 7 WHERE job_id = %s", [job_id]),
        ("DELETE FROM backtest_job_top_variants WHERE job_id = %s AND rank = 2", [job_id]),
        ("DELETE FROM backtest_job_top_variants WHERE job_id = %s", [job_id]),
    ]
    found = [top(owner, job_id, include="none")["items"]]
    for change in changes:
        stored.execute(*change)
        found += [top(owner, job_id, include="none")["items"] for _ in range(2)]

    shown = [[(row["rank"], row["total_return_pct"]) for row in items] for items in found]
    first, both, new, one = [(1, 5)], [(1, 5), (2, 5)], [(1, 7), (2, 7)], [(1, 7)]
    assert shown == [[], first, first, both, both, new, new, one, one, [], []]


def test_a_remembered_list_is_still_its_owners_alone(shared_api: Api, owner: Caller) -> None:
    job_id = owner.post("/backtests/jobs", json=REQUEST).json()["job_id"]
    top(owner, job_id, include="none")
    answer = shared_api.new_user().get(f"/backtests/jobs/{job_id}/top?include=none")
    assert answer.status_code == 403


def test_a_limit_cuts_the_list(owner: Caller, finished: str) -> None:
    assert [row["rank"] for row in top(owner, finished, limit=2)["items"]] == [1, 2]


def test_one_stored_variant_comes_with_everything(owner: Caller, finished: str) -> None:
    best = top(owner, finished)["items"][0]
    answer = owner.get(f"/backtests/jobs/{finished}/variants/{best['variant_key']}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["trades"] == TRADES
    assert found["equity"] == [[float(at), value] for at, value in EQUITY]
    assert found["report_table_md"] == TABLE
    assert found["payload_json"] == best["payload_json"]


def test_a_variant_that_was_not_stored_is_not_found(owner: Caller, finished: str) -> None:
    answer = owner.get(f"/backtests/jobs/{finished}/variants/{'0' * 64}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def bin_of(value: float) -> int:
    """Number of the bin of the statistics that a positive number is counted in."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return int((bits ^ 1 << 63) >> KEY_SHIFT)


def test_the_distribution_of_a_search_comes_when_it_is_asked_for(
    api: Api, owner: Caller, finished: str, waiting: str, stored: psycopg.Connection[Any]
) -> None:
    returns = {"bins": [[bin_of(4.0), 60], [bin_of(9.0), 40]], "undefined": 0, "infinite": 0}
    primary = {"metric": "sharpe", "bins": [[bin_of(1.5), 99]], "undefined": 1, "infinite": 0}
    outcomes = OUTCOMES | {"total_return_pct": returns, "primary": primary}
    stored.execute(
        "UPDATE backtest_jobs SET outcomes_json = %s WHERE job_id = %s", [Jsonb(outcomes), finished]
    )
    path, asked = f"/backtests/jobs/{finished}", {"include": "distribution"}
    drawn = owner.get(path, params=asked).json()["distribution"]
    assert sum(drawn["total_return_pct"]["counts"]) == 100
    assert len(drawn["total_return_pct"]["edges"]) <= 121
    assert (drawn["primary"]["metric"], drawn["primary"]["undefined"]) == ("sharpe", 1)
    assert (drawn["winner"], drawn["benchmark_return_pct"]) == (12.5, 12.5)
    assert "distribution" not in owner.get(path).json()
    nothing = owner.get(f"/backtests/jobs/{waiting}", params=asked).json()
    assert nothing["distribution"] is None


# --- what is asked of a search


@pytest.fixture(scope="module")
def keeper(shared_api: Api) -> Caller:
    return shared_api.new_user()


@pytest.fixture(scope="module")
def validated(shared_api: Api, keeper: Caller) -> str:
    """A job with bars kept aside that a worker has finished."""
    job_id = submitted(keeper)
    with psycopg.connect(shared_api.dsn, autocommit=True) as conn:
        finish(conn, job_id, answers=answered())
    return job_id


def submitted(who: Caller, *, tested: bool = True) -> str:
    validation = {"train_pct": 50} if tested else None
    answer = who.post("/backtests/jobs", json=changed(validation=validation))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def test_a_status_has_the_figures_and_the_verdict_knows_them(
    keeper: Caller, validated: str, owner: Caller, finished: str
) -> None:
    found = keeper.get(f"/backtests/jobs/{validated}").json()
    assert found["validation"] == FIGURES
    assert any("Neighbours of the winner: median" in sentence for sentence in found["verdict"])
    renamed = keeper.call("PATCH", f"/backtests/jobs/{validated}", json={"note": "n"}).json()
    assert (renamed["validation"], renamed["verdict"]) == (FIGURES, found["verdict"])
    assert owner.get(f"/backtests/jobs/{finished}").json()["validation"] is None


def test_all_that_was_asked_comes_with_a_list_of_surfaces(keeper: Caller, validated: str) -> None:
    answer = keeper.get(f"/backtests/jobs/{validated}/validation")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "job_id": validated,
        "figures": FIGURES,
        "pictures": {"splits": {"λ": [0.5, -1.25]}},
        "surfaces": [
            {"number": 1, "axis_x": "trend fast", "axis_y": None},
            {"number": 2, "axis_x": "trend fast", "axis_y": "slow 2"},
        ],
    }


@pytest.mark.parametrize(("number", "axis_y"), [(1, None), (2, "slow 2")])
def test_a_surface_comes_by_its_number(
    keeper: Caller, validated: str, number: int, axis_y: str | None
) -> None:
    answer = keeper.get(f"/backtests/jobs/{validated}/surfaces/{number}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "job_id": validated,
        "number": number,
        "axis_x": "trend fast",
        "axis_y": axis_y,
        "surface": surface(number),
    }


def test_a_surface_that_there_is_not_is_not_found(keeper: Caller, validated: str) -> None:
    answer = keeper.get(f"/backtests/jobs/{validated}/surfaces/3")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("number", ["0", "01", "-1", "x", "1e1", "9999999999"])
def test_what_is_no_number_of_a_surface_is_refused(
    keeper: Caller, validated: str, number: str
) -> None:
    answer = keeper.get(f"/backtests/jobs/{validated}/surfaces/{number}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["path"] == "number"


@pytest.mark.parametrize("path", ["validation", "surfaces/1"])
def test_why_nothing_was_found_out_is_told_by_a_code(shared_api: Api, path: str) -> None:
    user = shared_api.new_user()
    active, plain = submitted(user), submitted(user, tested=False)

    def refused(job_id: str) -> tuple[int, str, str]:
        answer = user.get(f"/backtests/jobs/{job_id}/{path}")
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"].removeprefix(f"job {job_id} ")

    aside = "keeps no bars aside: nothing was asked of its search"
    assert refused(plain) == (404, "not_validated", aside)
    later = "is queued: what is asked of its search comes at the end"
    assert refused(active) == (404, "not_ended", later)
    user.post(f"/backtests/jobs/{active}/cancel")
    never = "was cancelled: nothing is stored of what was asked of its search"
    assert refused(active) == (404, "not_validated", never)


def test_rows_of_a_list_say_how_their_neighbours_did_and_a_variant_lists_them(
    keeper: Caller, validated: str, owner: Caller, finished: str
) -> None:
    short = {name: value for name, value in BESIDE.items() if name != "variants"}
    for include in ("none", "report"):
        rows = top(keeper, validated, include=include)["items"]
        assert [row["beside_json"] for row in rows] == [
            short | {"number": rank} for rank in range(1, 5)
        ]
    whole = keeper.get(f"/backtests/jobs/{validated}/variants/{rows[0]['variant_key']}").json()
    assert whole["beside_json"] == BESIDE
    assert top(owner, finished)["items"][0]["beside_json"] is None
