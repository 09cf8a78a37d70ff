"""The statements as text: found by name, and every worker write guarded."""

import re

import pytest

from storage import statements

GUARD = re.compile(
    r"WHERE job_id = %\(job_id\)s AND locked_by = %\(locked_by\)s AND attempt = %\(attempt\)s"
    r"\s+AND state = 'running' AND lease_expires_at > now\(\)"
)
FILES = ("dispatch", "jobs", "leases", "results")

# Not the writes of an owner: the claim makes one, the reads change nothing, and the two about
# top variants follow `lock_owned` in its transaction.
UNGUARDED = {
    ("leases", "claim"),
    ("leases", "claimable"),
    ("leases", "own_end"),
    ("results", "shortlist"),
    ("results", "top"),
    ("results", "delete_top"),
    ("results", "insert_top"),
}


@pytest.mark.parametrize("file", ["leases", "results"])
def test_every_write_of_an_owner_carries_the_guard(file: str) -> None:
    unguarded = {
        (file, name) for name, text in statements.load(file).items() if not GUARD.search(text)
    }
    assert unguarded == {entry for entry in UNGUARDED if entry[0] == file}


@pytest.mark.parametrize("file", FILES)
def test_statements_take_their_time_from_the_database(file: str) -> None:
    for text in statements.load(file).values():
        assert not re.search(r"clock_timestamp|statement_timestamp|%\(now", text)


@pytest.mark.parametrize("file", FILES)
def test_a_section_is_one_statement(file: str) -> None:
    for text in statements.load(file).values():
        assert text
        assert ";" not in re.sub(r"--.*|'[^']*'", "", text)


def test_an_unknown_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        statements.load("nothing")
