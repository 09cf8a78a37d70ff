"""Moving a database along the revisions: up, down, from any folder, by any form of DSN."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg.conninfo import conninfo_to_dict

import migrations
from storage import schema
from tests.storage.making import new_database

ROOT = Path(__file__).resolve().parents[2]

# One line per object, with its full definition.
DESCRIBE = """
SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT relname || ' ' || reloptions::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
ORDER BY 1
"""


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as dsn:
        yield dsn


def description(dsn: str) -> list[str]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return [line for (line,) in conn.execute(DESCRIBE)]


def alembic(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "POSTGRES_DSN"}
    return subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), *arguments],
        cwd=cwd,
        env=kept | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_up_down_up_gives_the_same_schema(empty_database: str) -> None:
    migrations.upgrade(empty_database)
    first = description(empty_database)
    migrations.downgrade(empty_database, "base")
    left = description(empty_database)
    migrations.upgrade(empty_database)
    assert description(empty_database) == first
    assert all("backtest_jobs_schema_version" in line for line in left)


def test_every_revision_goes_down_and_up_again_by_itself(empty_database: str) -> None:
    script = ScriptDirectory.from_config(migrations.config())
    revisions = [made.revision for made in script.walk_revisions()][::-1]
    for revision in revisions:
        migrations.upgrade(empty_database, revision)
        before = description(empty_database)
        migrations.downgrade(empty_database, "-1")
        migrations.upgrade(empty_database, revision)
        assert description(empty_database) == before


def test_upgrading_an_upgraded_database_changes_nothing(database: str) -> None:
    before = description(database)
    migrations.upgrade(database)
    assert description(database) == before


@pytest.mark.parametrize("runbook", ["runbook.md", "runbook.ru.md"])
def test_indexes_that_were_built_beforehand_as_the_runbook_says_are_taken_over(
    empty_database: str, database: str, runbook: str
) -> None:
    migrations.upgrade(empty_database, "0003")
    text = (ROOT / "docs" / runbook).read_text("utf-8")
    statements = re.findall(r"^ +CREATE INDEX CONCURRENTLY [^;]*;", text, re.M)
    assert len(statements) == 3
    with psycopg.connect(empty_database, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)
        before = conn.execute(OIDS).fetchall()
        migrations.upgrade(empty_database)
        assert conn.execute(OIDS).fetchall() == before != []
    assert description(empty_database) == description(database)


OIDS = """
SELECT oid
FROM pg_class
WHERE relname LIKE 'backtest_jobs_list_by_symbol%' OR relname = 'backtest_jobs_alike'
ORDER BY 1
"""


def test_simultaneous_upgrades_take_turns(empty_database: str) -> None:
    script = [sys.executable, "-c", "import migrations, sys; migrations.upgrade(sys.argv[1])"]

    def upgrade(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*script, empty_database],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(upgrade, range(2)))
    assert [outcome.returncode for outcome in outcomes] == [0, 0], outcomes
    assert any("backtest_jobs_transition" in line for line in description(empty_database))


def as_url(dsn: str) -> str:
    values = conninfo_to_dict(dsn)
    return f"postgresql://{values['user']}@/{values['dbname']}?host={values['host']}"


@pytest.mark.parametrize("form", [str, as_url, lambda dsn: f"{dsn} application_name='a % b'"])
def test_every_form_of_dsn_works(empty_database: str, form: Callable[[str], str]) -> None:
    migrations.upgrade(form(empty_database))
    with psycopg.connect(empty_database) as conn:
        schema.check(conn)


def test_the_command_line_works_from_any_folder(empty_database: str, tmp_path: Path) -> None:
    done = alembic("upgrade", "head", cwd=tmp_path, POSTGRES_DSN=empty_database)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(empty_database) as conn:
        schema.check(conn)


def test_a_missing_dsn_is_one_clear_line(tmp_path: Path) -> None:
    done = alembic("upgrade", "head", cwd=tmp_path)
    assert done.returncode != 0
    assert "POSTGRES_DSN is not set" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_offline_sql_makes_the_same_schema(
    empty_database: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command.upgrade(migrations.config(), "head", sql=True)
    printed = capsys.readouterr().out
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(printed)
    assert description(empty_database) == description(database)


def test_the_offline_sql_of_a_downgrade_removes_everything(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command.downgrade(migrations.config(), "head:base", sql=True)
    printed = capsys.readouterr().out
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(printed)
    assert all("backtest_jobs_schema_version" in line for line in description(database))


def test_the_code_knows_the_newest_revision() -> None:
    head = ScriptDirectory.from_config(migrations.config()).get_current_head()
    assert head == schema.REVISION


def test_every_revision_after_the_first_is_named_pre_or_post() -> None:
    revisions = list(ScriptDirectory.from_config(migrations.config()).walk_revisions())
    first = revisions.pop()
    assert first.revision == schema.FIRST_REVISION
    for made in revisions:
        kind = Path(made.path).stem.removeprefix(f"{made.revision}_").split("_")[0]
        assert kind in ("pre", "post"), made.path
        assert made.doc.startswith(f"{kind}: "), made.path


def test_later_revisions_are_greater_as_text_too() -> None:
    script = ScriptDirectory.from_config(migrations.config())
    order = [made.revision for made in script.walk_revisions()][::-1]
    assert order == sorted(order)
    assert {len(revision) for revision in order} == {4}
