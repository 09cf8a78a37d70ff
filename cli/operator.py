"""Commands of operators: run the product, its parts, and look after it."""

import os
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from cli import help_text, render
from cli.errors import INTERRUPTED
from cli.options import AsJson
from cli.running_stack import DATA_DIR, DEFAULT_DATA_DIR, environment

if TYPE_CHECKING:
    from cli import programs

OPERATOR_PANEL = "Running it"
METRICS_PORT_STEP = 10
API_PORT = 8000
POLL_SECONDS = 0.2

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar=DATA_DIR, help="Where embedded services keep their data."),
]
Workers = Annotated[int, typer.Option("--workers", "-n", min=1, max=64, help="How many workers.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Beats ROEHUB_BACKTEST_CONFIG."),
]


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    workers: Workers = 1,
    api_port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, metavar="PORT", help="Port of API and page; 0 takes a free one."
        ),
    ] = API_PORT,
    config: Config = None,
) -> None:
    """Run the whole stack until Ctrl-C: Postgres, Redis, candles, scheduler, workers, API, page.

    Services named by STRATEGY_PG_DSN, REDIS_URL and CH_HOST or ROEHUB_CANDLES_DIR are used as they
    are; the others are started from Python packages with their data in --data-dir. The schema is
    migrated (POSTGRES_DSN). API and page listen on this machine alone, at the address that is
    printed. Commands in other terminals of the same folder find the stack by themselves; elsewhere
    set ROEHUB_DATA_DIR, or the variables that are printed and ROEHUB_API_TOKEN=$(backtest token).

    For example:

      backtest up --workers 2
      backtest up --api-port 8001
      REDIS_URL=redis://127.0.0.1:6379/0 backtest up
    """
    from cli import follow, signals, stack

    console = render.terminal()
    variables = _with_config(dict(os.environ), config)
    try:
        with (
            signals.stoppable(),
            stack.running(
                data_dir, variables, workers=workers, api_port=api_port, say=_say
            ) as running,
        ):
            console.print("[bold green]ready[/]; Ctrl-C stops everything")
            shown = ("ROEHUB_ENV", "ROEHUB_API_URL")
            exports = {name: running.environ[name] for name in shown} | dict(running.started)
            if data_dir.absolute() != DEFAULT_DATA_DIR.absolute():
                exports[DATA_DIR] = str(data_dir.absolute())
            for name, value in exports.items():
                console.print(f"export {name}={shlex.quote(value)}", soft_wrap=True, markup=False)
            with follow.following(running.logs):
                code = _until_all_ended(running.supervisor)
    except signals.Stopped:
        code = 0
    raise typer.Exit(code)


def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="A month of candles and a small sweep.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the reports are written.")
    ] = Path("out"),
) -> None:
    """Show everything once: generate candles, run a real sweep, write the report, clean up.

    Starts its own services (or uses those STRATEGY_PG_DSN and REDIS_URL name), submits a sweep of
    more than 50,000 variants over a year of synthetic 15-minute bars, follows it, prints the best
    ten and writes an HTML report. The page is at the address that is printed, while the demo runs.
    The candles stay in the demo's own folder.

    For example:

      backtest demo
      backtest demo --quick --out /tmp/demo
    """
    from cli import demo as show
    from cli import signals

    try:
        with signals.stoppable():
            code = show.run(out, quick=quick, say=_say)
    except signals.Stopped:
        code = INTERRUPTED
    raise typer.Exit(code)


def migrate(
    revision: Annotated[str, typer.Argument(help="A revision; head is the newest.")] = "head",
) -> None:
    """Bring the schema of POSTGRES_DSN up to date.

    For example:

      POSTGRES_DSN=postgresql://owner:secret@db/roehub backtest migrate
    """
    import migrations
    from configs.environment import migrations_dsn
    from storage import readiness
    from storage.connection import address

    dsn = migrations_dsn(environment())
    readiness.reach(dsn, application_name="backtest-migrate")
    migrations.upgrade(dsn, revision)
    _say(f"{address(dsn)} is at {revision}")


def worker(
    config: Config = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_000, metavar="PORT", help="Port of the first worker's metrics."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="How many workers; each computes one job at a time.")
    ] = 1,
) -> None:
    """Run workers until stopped, each a dramatiq master of its own that is restarted when it dies.

    The environment names the services, as for `dramatiq tasks.backtest`. With several workers the
    metrics of worker n are at --metrics-port + 10 (n - 1): 9204, 9214, ...

    For example:

      backtest worker --config configs/prod/backtest.yaml --processes 2
    """
    from cli import programs, reaper, signals
    from configs import environment as addresses
    from configs import settings

    variables = _with_config(environment(), config)
    settings.load(environ=variables)
    for check in (addresses.postgres_dsn, addresses.redis_url, addresses.candle_source):
        check(variables)
    first_port = metrics_port or addresses.metrics_port(variables)
    ports = (first_port + METRICS_PORT_STEP * index for index in range(processes))
    guard = reaper.Reaper()
    supervisor = programs.Supervisor(
        [
            programs.worker(number, variables | {"ROEHUB_METRICS_PORT": str(port)})
            for number, port in enumerate(ports, start=1)
        ],
        notify=_say,
        changed=lambda: guard.watch([supervisor.targets()]),
    )
    try:
        with signals.stoppable(), programs.supervising(supervisor):
            code = _until_all_ended(supervisor)
    except signals.Stopped:
        code = 0
    guard.dismiss()
    raise typer.Exit(code)


def api(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 is everywhere.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Where to listen.")] = API_PORT,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="How many processes share the port.")
    ] = 1,
    config: Config = None,
) -> None:
    """Serve the HTTP API and the page until stopped; SIGTERM ends it within five seconds.

    The environment names the services, as for `backtest worker`, and ROEHUB_JWT_SECRET signs the
    sessions of users. What is wrong with them is one line and exit code 2, before anything listens.

    For example:

      backtest api --port 8000
      backtest api --host 0.0.0.0 --processes 2 --config configs/prod/backtest.yaml
    """
    from cli import serving

    os.environ.update(_with_config(environment(), config))
    raise typer.Exit(serving.serve(host, port, processes))


def token(
    user: Annotated[
        UUID | None,
        typer.Option(
            "--user", envvar="ROEHUB_USER_ID", help="The user's id.", show_default="a local user"
        ),
    ] = None,
    cookie_jar: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a cookie jar for curl instead of the bare token."),
    ] = None,
    host: Annotated[str, typer.Option(help="The host that the jar's cookie is for.")] = "127.0.0.1",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 30,
    operator: Annotated[
        bool, typer.Option("--operator", help="Allow the calls that are for operators.")
    ] = False,
) -> None:
    """Make a session token for the HTTP API, signed with ROEHUB_JWT_SECRET.

    Next to a running `backtest up` it is signed with that stack's secret. User commands take it
    from ROEHUB_API_TOKEN, the page's sign-in as it is.

    For example:

      export ROEHUB_API_TOKEN=$(backtest token --user 3b241101-e2bb-4255-8caf-4136c566a962)
      backtest token --cookie-jar cookies.txt
      curl -b cookies.txt http://127.0.0.1:8000/backtests/jobs

    """
    from cli import token as tokens

    variables, role = environment(), tokens.OPERATOR if operator else None
    signed, expires_at = tokens.session(variables, user, days=days, role=role)
    if cookie_jar is None:
        typer.echo(signed)
        return
    secure = variables.get("ROEHUB_ENV", "dev") != "dev"
    tokens.write_jar(cookie_jar, host, signed, secure=secure, expires_at=expires_at)
    _say(f"wrote {cookie_jar}")


def doctor(
    within: Annotated[
        float, typer.Option(min=1, max=600, help="Seconds that the checks may take in all.")
    ] = 8,
    as_json: AsJson = False,
) -> None:
    """Check everything the product depends on and say what to do about what is missing.

    The exit code is 0 when everything needed is there, 2 when something has to be installed,
    configured or made room for, 3 when a service cannot be reached. What has not answered after 8
    seconds counts as unreachable: on a busy machine, or far from its services, say --within 60.

    --json prints a list of findings: subject, grade (ok, note, wrong, unreachable), found, limit,
    advice, commands.

    For example:

      backtest doctor
      backtest doctor --json | jq -r '.[] | select(.grade != "ok") | .commands[]'
    """
    from cli.doctor import examination
    from cli.doctor.findings import print_all

    findings = examination.examine(within)
    if as_json:
        render.as_json([finding.plain() for finding in findings])
    else:
        print_all(render.terminal(), findings)
    raise typer.Exit(examination.verdict(findings))


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (up, demo, migrate, worker, api, token, doctor):
        help_text.add(app, command, panel=OPERATOR_PANEL)


def _with_config(variables: dict[str, str], config: Path | None) -> dict[str, str]:
    if config is not None:
        variables["ROEHUB_BACKTEST_CONFIG"] = str(config.absolute())
    return variables


def _until_all_ended(supervisor: "programs.Supervisor") -> int:
    while (code := supervisor.final_code()) is None:
        time.sleep(POLL_SECONDS)
    return code


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it, or the disk is full: the work goes on
        sys.stderr.write(f"{text}\n")
