"""The operators' runbook, executed: its queries, its metrics, its toggle, both its languages."""

import ast
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import typer

import cli.__main__ as cli
from storage import leases, result_texts, results
from storage.records import Failure, FailureCode, Shortlist, State
from tests.faults.harness import Program, Stack, running, wait_for
from tests.storage import test_runbook_queries as known
from tests.storage.making import (
    claimed,
    expire,
    new_database,
    reclaimed,
    save_shortlist,
    set_crashes,
    submitted,
    variants,
)
from tests.storage.sharing import planned

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ENGLISH = (DOCS / "runbook.md").read_text(encoding="utf-8")
RUSSIAN = (DOCS / "runbook.ru.md").read_text(encoding="utf-8")

METRIC = re.compile(r"backtest_(?:job_runner|scheduler)_[a-z_]+")
TYPE = re.compile(rf"^# TYPE ({METRIC.pattern}) (\w+)$", re.MULTILINE)
SAMPLE = re.compile(rf"^({METRIC.pattern})(?:{{.*}})? (\S+)$", re.MULTILINE)


def blocks(text: str, language: str = r"\w*") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def metric_names(text: str) -> set[str]:
    return set(METRIC.findall(text))


def shape(text: str) -> list[str]:
    """Headings by level, list items and numbered steps, tables by their columns; no words."""
    lines = re.findall(r"^(#+ |\d+\. |- |\|.*\|$)", prose(text), re.MULTILINE)
    return [f"{line.count('|')} columns" if line.startswith("|") else line for line in lines]


# ------------------------------------------------------------------------------------- queries


@pytest.fixture(scope="module")
def database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    with new_database(postgres_server, migrated_template) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def connection(database: str) -> Iterator[psycopg.Connection]:
    """A connection like a worker's, so that one is seen."""
    with psycopg.connect(database, autocommit=True, application_name="backtest-job-runner") as conn:
        yield conn


@pytest.fixture(scope="module")
def jobs(connection: psycopg.Connection) -> list[UUID]:
    """A job in every situation that the runbook is about."""
    waiting = submitted(connection).job_id
    finished = claimed(connection)
    shortlist = Shortlist([1, 2], [1, 5], 1000, 12, 2, "engine-1", "a" * 64)
    save_shortlist(connection, finished, shortlist)
    document = result_texts.rows(variants(3, reports=True), reports=True)
    results.succeed(connection, finished, document)
    failed = claimed(connection)
    stalled = Failure(FailureCode.STALLED, "no progress", {})
    leases.end(connection, failed, State.FAILED, stalled)
    abandoned = claimed(connection).job_id
    expire(connection, abandoned)
    taken_over = claimed(connection).job_id
    expire(connection, taken_over)
    reclaimed(connection, taken_over)
    set_crashes(connection, taken_over, 1)
    shared = claimed(connection)
    planned(connection, shared)
    return [waiting, finished.job_id, failed.job_id, abandoned, taken_over, shared.job_id]


@pytest.mark.parametrize("query", blocks(ENGLISH, "sql"))
def test_every_query_runs_as_printed_and_finds_what_it_is_about(
    connection: psycopg.Connection, jobs: list[UUID], query: str
) -> None:
    assert connection.execute(query).description
    found = [connection.execute(query.replace(known.NO_JOB, str(job))).fetchall() for job in jobs]
    assert any(found)


@pytest.mark.parametrize("query", [known.RUNNING, known.SHORTLIST, known.TOP, known.LEASE])
def test_the_queries_that_operators_know_are_kept_word_for_word(query: str) -> None:
    assert query.lstrip() in blocks(ENGLISH, "sql")


# ------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`backtest ([^`…]*)`", prose(ENGLISH + RUSSIAN))))
)
def test_every_command_in_the_text_is_one_with_the_options_that_it_has(command: str) -> None:
    found: Any = typer.main.get_command(cli.app)
    words = command.split()
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    options = {name for option in found.params for name in option.opts}
    assert {word for word in words if word.startswith("-")} <= options


# ------------------------------------------------------------------------------------- programs


@pytest.fixture(scope="module")
def stack(
    postgres_server: str,
    migrated_template: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """Services on which there has never been a job."""
    folder = tmp_path_factory.mktemp("runbook")
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running(Stack(dsn, redis_url, folder, folder)) as stack,
    ):
        stack.flush_redis()
        yield stack


@pytest.fixture(scope="module")
def disabled(stack: Stack) -> list[Program]:
    config = str(stack.configure("disabled.yaml", enabled=False))
    commands = (("dramatiq", "tasks.backtest", "--processes", "1"), ("scheduler",))
    return [stack.start(*command, ROEHUB_BACKTEST_CONFIG=config) for command in commands]


@pytest.fixture(scope="module")
def exposed(stack: Stack) -> str:
    """What a worker and a scheduler tell from the start."""
    programs = [stack.worker(), stack.scheduler()]
    return "\n".join(wait_for(partial(metrics, program), "metrics") for program in programs)


def metrics(program: Program) -> str | None:
    assert program.alive(), program.text()
    with (
        suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{program.metrics_port}/metrics") as response,
    ):
        return response.read().decode()
    return None


def test_the_runbook_names_exactly_the_metrics_that_are_exposed(exposed: str) -> None:
    assert metric_names(prose(ENGLISH)) == {name for name, _ in TYPE.findall(exposed)}


def test_every_counter_is_exposed_with_0_from_the_start(exposed: str) -> None:
    counters = {name for name, kind in TYPE.findall(exposed) if kind == "counter"}
    values = [(name, value) for name, value in SAMPLE.findall(exposed) if name in counters]
    assert {name for name, _ in values} == counters
    assert {float(value) for _, value in values} == {0.0}


@pytest.mark.parametrize("number", [0, 1], ids=["worker", "scheduler"])
def test_the_toggle_ends_a_program_with_code_0_and_the_line_to_look_for(
    disabled: list[Program], number: int
) -> None:
    program = disabled[number]
    line = "component=backtest-job-runner status=disabled"
    assert line in ENGLISH
    assert program.exit_code() == 0, program.text()
    assert line in program.text()


# ------------------------------------------------------------------------------------- the text


def test_every_failure_code_has_an_action() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|.*\| .+ \|$", ENGLISH, re.MULTILINE)) >= set(FailureCode)


def logged_events() -> set[str]:
    """Names of the events that a worker or a scheduler may log, but for those of debugging."""
    found = set()
    for file in (ROOT / folder for folder in ("tasks", "scheduler")):
        for source in file.glob("*.py"):
            for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                match call:
                    case ast.Call(
                        func=ast.Attribute(attr="info" | "warning" | "error" | "exception"),
                        args=[ast.Constant(value=str(name)), *_],
                    ) if re.fullmatch(r"[a-z_]+", name):
                        found.add(name)
    return found


@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
def test_every_event_that_is_logged_is_explained(text: str) -> None:
    assert logged_events() - set(re.findall(r"`(\w+)`", text)) == set()


def test_both_languages_hold_the_same_blocks_and_the_same_metrics() -> None:
    assert blocks(RUSSIAN) == blocks(ENGLISH)
    assert metric_names(RUSSIAN) == metric_names(ENGLISH)


def test_both_languages_have_the_same_structure() -> None:
    assert shape(RUSSIAN) == shape(ENGLISH)


@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
def test_every_reference_leads_to_a_section(text: str) -> None:
    titles = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#(.*?)\)", text)) <= anchors
