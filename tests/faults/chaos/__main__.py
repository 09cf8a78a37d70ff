"""Runs the chaos, and exits with 1 if anything was wrong afterwards."""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.faults.chaos import verdict as judging
from tests.faults.chaos.harm import Harm
from tests.faults.chaos.load import AWAY, Load
from tests.faults.chaos.plan import plan
from tests.faults.chaos.site import JOB_SETTINGS, Site, site
from tests.faults.chaos.verdict import Verdict

PROGRESS_SECONDS = 15.0
SETTLE_SECONDS = 240.0


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed plans the same faults")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--schedulers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between faults, mean")
    parser.add_argument("--keep", type=Path, help="where to leave the logs when anything is wrong")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    folder.chmod(0o755)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it, it cleans up
    wrong: list[str] | None = None
    try:
        wrong = run(folder, asked)
    finally:
        if wrong != [] and asked.keep is not None:
            shutil.copytree(folder, asked.keep, dirs_exist_ok=True, ignore=_no_sockets)
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


def run(folder: Path, asked: argparse.Namespace) -> list[str]:
    """Hurt a stack in `folder` for a while; returns what was wrong."""
    with site(folder, asked.workers, asked.schedulers) as hurt:
        load = Load(hurt.stack, asked.seed)
        say(f"seed {asked.seed}: each kind of job once, undisturbed")
        load.compute_undisturbed()
        harm = Harm(hurt, load)
        began = time.monotonic()
        storm(hurt, load, harm, asked)
        say("healed; the jobs that are left end")
        heal(hurt, harm)
        judging.settle(hurt, load, SETTLE_SECONDS)
        settled = time.monotonic() - began
        found = judging.judge(hurt, load, harm)
        found.wrong += hurt.stop()
        found.wrong += judging.left_behind(hurt)
        summary(hurt, harm, found, settled)
    return found.wrong


def storm(hurt: Site, load: Load, harm: Harm, asked: argparse.Namespace) -> None:
    """Do what the seed has planned, keep the slots filled and the queue busy."""
    seconds = asked.minutes * 60
    coming = list(plan(asked.seed, seconds, JOB_SETTINGS["lease_seconds"], asked.pause))
    began = time.monotonic()
    said_at = began
    while (now := time.monotonic() - began) < seconds:
        while coming and coming[0].at <= now:
            harm.strike(coming.pop(0))
        harm.undo_due()
        for slot in hurt.slots:
            slot.look_after()
        with suppress(*AWAY):
            load.keep()
        if time.monotonic() > said_at + PROGRESS_SECONDS:
            said_at = time.monotonic()
            hurt.note_shared_memory()
            say(f"{now:4.0f} s: {len(load.kinds)} jobs, {harm.done.total()} faults")
        time.sleep(0.02)


def heal(hurt: Site, harm: Harm) -> None:
    """End every fault that lasts."""
    harm.undo_due(all_of_them=True)
    for slot in hurt.slots:
        slot.postgres.heal()
        slot.redis.heal()
        for process in slot.below():
            with suppress(Exception):
                process.resume()


def summary(hurt: Site, harm: Harm, found: Verdict, seconds: float) -> None:
    """Print counts, times, and what was wrong."""
    say(f"\n{'fault':42} done  without a victim")
    for kind in sorted(harm.done | harm.missed):
        say(f"{kind:42} {harm.done[kind]:4}  {harm.missed[kind] or '':>4}")
    say(f"{'all':42} {harm.done.total():4}  {harm.missed.total():4}")
    say(f"\nprograms started again: {sum(slot.exits for slot in hurt.slots)}; {seconds:.0f} s")
    for outcome, count in sorted(found.outcomes.items()):
        say(f"{outcome:42} {count:4} jobs")
    say("attempts: " + ", ".join(f"{n}: {c} jobs" for n, c in sorted(found.attempts.items())))
    say("sharing: " + ", ".join(f"{n} workers: {c} jobs" for n, c in found.shared.items()))
    for kind, times in found.rescued.items():
        say(f"next claim after an owner was {kind}: {percentiles(times)}")
    say(f"\nwrong: {len(found.wrong)}")
    for what in found.wrong:
        say(f"  {what}")


def percentiles(times: Sequence[float]) -> str:
    """Text of p50, p99 and the longest of some times in seconds."""
    cuts = (
        statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else [*times] * 99
    )
    return f"p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, max {max(times):.2f} s of {len(times)}"


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201


def _no_sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith((".log", ".yaml"))}  # nor candles


if __name__ == "__main__":
    sys.exit(main())
