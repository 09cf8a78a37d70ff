"""The statements as text: found by name, every write of an owner guarded, each rule stated once."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from storage import statements

FILES = ("dispatch", "jobs", "leases", "plans", "results", "schema", "shards")
PARTS = "parts"

# Written out here a second time, on purpose.
GUARD = (
    "job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s"
    " AND state = 'running' AND lease_expires_at > now()"
)

HELD = f"{GUARD} AND stage = %(stage)s AND shard = %(shard)s AND plan_id = %(plan_id)s"

# Not the writes of an owner: the claims make one, recognising finds one whose attempt is not known
# yet, the reads change nothing, and top variants and answers follow the lock in their transaction.
UNGUARDED = {
    ("leases", "claim"),
    ("leases", "claim_queued"),
    ("leases", "claimable"),
    ("leases", "recognise"),
    ("leases", "own_end"),
    ("results", "candles_hash"),
    ("results", "shortlist"),
    ("results", "outcomes"),
    ("results", "outline"),
    ("results", "variant"),
    ("results", "variant_as_text"),
    ("results", "top_as_text"),
    ("results", "top_version"),
    ("results", "replace_top"),
    ("results", "save_answers"),
    ("results", "figures"),
    ("results", "validation"),
    ("results", "surface"),
    ("plans", "planned"),
    ("plans", "tally"),
    ("plans", "next_result"),
    ("shards", "offer"),
    ("shards", "claim"),
    ("shards", "written"),
    ("shards", "lines"),
}


def plain(text: str) -> str:
    """Without comments, and with every run of blanks as one."""
    return " ".join(re.sub(r"--.*", "", text).split())


def sources() -> Iterator[tuple[str, str]]:
    for file in (PARTS, *FILES):
        yield (
            file,
            plain(resources.files("storage").joinpath("sql", f"{file}.sql").read_text("utf-8")),
        )


def places(pattern: str) -> dict[str, int]:
    """How often each file says it, before the shared parts are inserted."""
    found = {file: len(re.findall(pattern, text)) for file, text in sources()}
    return {file: count for file, count in found.items() if count}


@pytest.mark.parametrize("file", ["leases", "plans", "results", "shards"])
def test_every_write_of_an_owner_carries_the_guard(file: str) -> None:
    unguarded = {
        (file, name)
        for name, text in statements.load(file).items()
        if f"WHERE {GUARD}" not in plain(text)
    }
    assert unguarded == {entry for entry in UNGUARDED if entry[0] == file}


def test_every_write_about_a_shard_says_which_of_which_plan() -> None:
    for name, text in statements.load("shards").items():
        if ("shards", name) not in UNGUARDED:
            assert f"WHERE {HELD}" in plain(text)


def test_whoever_helps_looks_at_the_job_and_never_locks_its_row() -> None:
    """Giving back is for the end of a job, too."""
    for name, text in statements.load("shards").items():
        assert not re.search(r"UPDATE backtest_jobs|OF job|FOR (?!UPDATE OF piece)", text)
        owned = "state = 'running' AND lease_expires_at > now() AND cancel_requested_at IS NULL"
        wanted = "state = 'running' AND cancel_requested_at IS NULL"
        assert (owned in plain(text)) == (name in ("offer", "claim"))
        assert (wanted in plain(text)) == (name in ("beat", "finish", "fail"))


@pytest.mark.parametrize("name", ["plan", "adopt", "claim", "discard"])
def test_a_coordinator_locks_the_row_of_the_job_before_anything_else(name: str) -> None:
    text = plain(statements.load("plans")[name])
    assert text.startswith("WITH owned AS ( UPDATE backtest_jobs SET")
    assert "FROM owned" in text or "USING owned" in text


def test_every_write_of_an_owner_but_its_last_renews() -> None:
    renewing = {
        name
        for file in ("leases", "plans", "results")
        for name, text in statements.load(file).items()
        if "lease_expires_at = greatest( lease_expires_at, now() +" in plain(text)
        and "heartbeat_at = now()" in plain(text)
    }
    assert renewing == {
        *("recognise", "renew", "progress", "start_stage", "resumed_from_shortlist"),
        *("save_coverage", "save_outcomes"),
        *("plan", "adopt", "claim", "discard"),
    }


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        ("a live lease", r"lease_expires_at > now\(\)"),
        ("an expired lease", r"lease_expires_at <= now\(\)"),
        ("a renewal", r"greatest\("),
        ("a crash", r"locked_by IS NOT NULL"),
        ("the next state of a job without an owner", r"crash_count \+ 1 >"),
        ("the code of given up jobs", r"worker_crashed_repeatedly"),
        ("what a terminal write sets", r"finished_at = now\(\)"),
    ],
)
def test_a_rule_is_stated_once(rule: str, pattern: str) -> None:
    assert places(pattern) == {PARTS: 1}, rule


def test_an_owner_ends_its_job_in_one_statement_only() -> None:
    assert places(r"SET state = ") == {PARTS: 1, "leases": 1, "jobs": 1, "shards": 3}
    assert places(r"SET @taken") == {"leases": 2}
    for name in ("claim", "claim_queued", "end"):
        assert "SET state = " in plain(statements.load("leases")[name])


def test_a_job_is_read_without_the_histograms_of_its_outcomes() -> None:
    """The one that reads them is asked for them; a new job has none."""
    assert places(r"SELECT (\*|job\.\*)[^,]*? FROM backtest_jobs") == {}
    assert places(r"SELECT @job_row FROM backtest_jobs")["jobs"] >= 4
    assert places(r"outcomes_json") == {PARTS: 2, "results": 2}


@pytest.mark.parametrize("file", FILES)
def test_statements_take_their_time_from_the_database(file: str) -> None:
    for text in statements.load(file).values():
        assert not re.search(r"clock_timestamp|statement_timestamp|%\(now", text)


@pytest.mark.parametrize("file", FILES)
def test_a_section_is_one_complete_statement(file: str) -> None:
    for text in statements.load(file).values():
        assert text
        bare = re.sub(r"--.*|'[^']*'", "", text)
        assert ";" not in bare
        assert "@" not in bare


@pytest.mark.parametrize("file", FILES)
def test_no_statement_sets_anything_on_a_session(file: str) -> None:
    for text in statements.load(file).values():
        assert not re.search(r"\bset_config\b|\bLISTEN\b|pg_(try_)?advisory_lock|\bPREPARE\b", text)
        assert not re.match(r"SET\b", plain(text))


def test_a_name_given_twice_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "parts.sql").write_text("")
    (tmp_path / "sql" / "twice.sql").write_text("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n")
    monkeypatch.setattr(statements.resources, "files", lambda _package: tmp_path)
    with pytest.raises(ValueError, match="names a statement twice"):
        statements.load.__wrapped__("twice")


def test_an_unknown_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        statements.load("nothing")
