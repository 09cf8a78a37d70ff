"""Log lines: one form for everything, identifying fields first, no secrets."""

import json
import subprocess
import sys
import textwrap

import pytest


def logged(script: str, env: str = "dev") -> list[str]:
    """Run a script that logs, and return what came out on standard error."""
    setup = f"""
        import logging, threading, warnings, structlog
        from configs import logs
        logs.configure("backtest-job-runner", {env!r})
        log = structlog.get_logger()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(setup) + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_lines_are_logfmt_with_the_identifying_fields_first() -> None:
    (line,) = logged(
        "log.info('claimed', extra=1, stage='stage_a', locked_by='h-1-a', attempt=2, job_id='j')"
    )
    assert line.partition(" ")[2] == (
        "level=info component=backtest-job-runner event=claimed "
        "job_id=j attempt=2 locked_by=h-1-a stage=stage_a extra=1"
    )


def test_lines_are_json_in_production() -> None:
    (line,) = logged("log.warning('careful', job_id='j')", env="prod")
    fields = json.loads(line)
    assert (fields["event"], fields["component"], fields["job_id"], fields["level"]) == (
        "careful",
        "backtest-job-runner",
        "j",
        "warning",
    )


def test_the_runbooks_line_of_a_disabled_program_is_found_as_written() -> None:
    (line,) = logged("log.info('disabled', status='disabled')")
    assert "component=backtest-job-runner status=disabled" in line


def test_lines_of_libraries_and_warnings_have_the_same_form() -> None:
    lines = logged("logging.getLogger('lib').error('it is %s', 'bad'); warnings.warn('hm')")
    assert 'component=backtest-job-runner event="it is bad"' in lines[0]
    assert "UserWarning: hm" in lines[1]


def test_a_traceback_is_one_line_wherever_it_comes_from() -> None:
    lines = logged(
        """
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("failed")
        thread = threading.Thread(target=lambda: [][0])
        thread.start()
        thread.join()
        raise SystemError("uncaught")
        """
    )
    assert [line.split("event=")[1].split()[0] for line in lines] == [
        "failed",
        "uncaught_exception",
        "uncaught_exception",
    ]
    for line, error in zip(lines, ("ZeroDivisionError", "IndexError", "SystemError"), strict=True):
        assert error in line


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter2@host/0 refused",
        "dbname=d Password = hunter2",
        "sent Bearer hunter2",
        "sent BEARER  hunter2",
        "roehub_session=hunter2; path=/",
        "GET /x?token=hunter2",
        "a token eyJhunter2.hunter2.hunter2 came",
    ],
)
def test_a_secret_in_a_text_is_not_written(text: str) -> None:
    (line,) = logged(f"log.info('x', said={text!r})")
    assert "***" in line
    assert "hunter2" not in line


def test_no_secret_is_written() -> None:
    lines = logged(
        """
        log.info("x", url="postgresql://user:hunter2@host:5432/db", session_token="hunter2")
        log.info("host=h password=hunter2 dbname=d")
        log.info("x", error=ValueError("redis://:hunter2@host/0 refused"), cookie="hunter2")
        logging.getLogger("lib").warning("redis://user:hunter2@host")
        """
    )
    assert len(lines) == 4
    assert not any("hunter2" in line for line in lines)
