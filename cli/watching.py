"""Following a job until it ends: progress bars in a terminal, plain lines in a pipe."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from cli.job_view import STAGES
from cli.render import STATE_STYLES, duration
from cli.sharing_view import on_workers
from cli.transport import Away

POLL_SECONDS = 0.5
LINE_SECONDS = 2.0
QUEUED_LINE_SECONDS = 15.0
OUTAGE_SECONDS = 120.0
QUEUED = "queued"
ORDER = (QUEUED, *STAGES)
UNITS_WIDTH = 80
SHARED_WIDTH = 120

Json = dict[str, Any]


class Display(Protocol):
    """Shows one status after the other."""

    def show(self, status: Json) -> None:
        """Show a status."""

    def note(self, text: str) -> None:
        """Say something beside it."""


def follow(read: Callable[[], Json], display: Display) -> Json:
    """Show the job until it ends; returns its last status.

    `read` returns its status at once, or raises `Away`. An API that is away for less than
    `OUTAGE_SECONDS`, or its database, is waited for.
    """
    away_since: float | None = None
    while True:
        try:
            status = read()
        except Away as away:
            now = time.monotonic()
            if away_since is None:
                display.note(f"{away.what}, waiting for it")
            away_since = away_since or now
            if now - away_since > OUTAGE_SECONDS:
                raise
        else:
            away_since = None
            display.show(status)
            if ended(status):
                return status
        time.sleep(POLL_SECONDS)


def attend(read: Callable[[], Json], console: Console | None) -> Json:
    """Follow the job on `console` in the form that suits it, or silently without one."""
    if console is None:
        return follow(read, Silent())
    if not console.is_terminal:
        return follow(read, Lines(console))
    with Bars(console) as bars:
        return follow(read, bars)


def ended(status: Json) -> bool:
    """Whether nothing more becomes of the job."""
    return status["state"] not in (QUEUED, "running")


class Silent:
    """Shows nothing: the output is for a machine."""

    def show(self, status: Json) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class Lines:
    """One line every few seconds and at every change of stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: tuple[str, float] = ("", 0.0)

    def show(self, status: Json) -> None:
        """Print the status if it is news."""
        label, now = _label(status), time.monotonic()
        pause = LINE_SECONDS if status["state"] == "running" else QUEUED_LINE_SECONDS
        if self._printed[0] == label and now - self._printed[1] < pause:
            return
        self._printed = (label, now)
        text, progress = f"{label:<18}", status["progress"]
        if progress and progress["total"]:
            done, total = progress["done"], progress["total"]
            text += f" {done:>12,} / {total:,}  {100 * done / total:5.1f} %"
            text += f"  {rate_text(progress['rate'])}  {eta_text(progress['eta'])}"
            text += f"  {on_workers(status)}"
        self._console.print(text.rstrip())

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)


class Bars:
    """A progress bar for each stage; a context manager, like rich's Progress."""

    def __init__(self, console: Console) -> None:
        units = [_Units()] if console.width >= UNITS_WIDTH else []
        shared = [_Shared()] if console.width >= SHARED_WIDTH else []
        self._progress = Progress(
            TextColumn("{task.description:<16}"),
            _Bar(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            *units,
            _Rate(),
            TextColumn("{task.fields[eta]:<8}"),
            *shared,
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, status: Json) -> None:
        """Move the bars."""
        stage = _stage(status)
        for name in list(self._tasks):
            if name == QUEUED != stage or ORDER.index(name) > ORDER.index(stage):
                self._progress.remove_task(self._tasks.pop(name))  # a new owner starts again
            elif name != stage:
                self._finish(name)
        self._move(stage, status)
        if status["state"] == "succeeded":
            self._finish(stage)
        elif ended(status):
            self._break_off(stage, status)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text)

    def _move(self, stage: str, status: Json) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(
                STAGES.get(stage, stage), total=None, rate="", eta="", shared="", style=""
            )
        progress = status["progress"]
        if progress is None:  # it waits, or has ended: the bar stays where it was
            return
        done, total = progress["done"], progress["total"] or None
        eta = eta_text(progress["eta"]) if total and done < total else ""
        task, shared = self._tasks[stage], on_workers(status)
        self._progress.update(task, total=total, completed=done, eta=eta, shared=shared)
        if progress["rate"] and total:
            self._progress.update(task, rate=rate_text(progress["rate"]))

    def _finish(self, stage: str) -> None:
        total = self._total(stage)
        self._progress.update(self._tasks[stage], total=total, completed=total, eta="", shared="")

    def _break_off(self, stage: str, status: Json) -> None:
        """Leave the bar where it was and say how the job ended."""
        state = str(status["state"])
        style = STATE_STYLES[state]
        total = self._total(stage)
        self._progress.update(
            self._tasks[stage], total=total, rate=state, eta="", shared="", style=style
        )

    def _total(self, stage: str) -> float:
        return self._progress.tasks[self._progress.task_ids.index(self._tasks[stage])].total or 1


class _Bar(BarColumn):
    """A bar in the colour of how the job ended, when it ended before its time."""

    def render(self, task: Task) -> ProgressBar:
        bar = super().render(task)
        if task.fields["style"]:
            bar.complete_style = bar.finished_style = task.fields["style"]
        return bar


class _Rate(ProgressColumn):
    """Units per second, or how the job ended."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.fields['rate']:>9}", style=task.fields["style"])


class _Shared(ProgressColumn):
    """On how many workers a shared stage runs."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["shared"])


class _Units(ProgressColumn):
    """Done and total with thousands separators; nothing for a stage without units."""

    def render(self, task: Task) -> Text:
        if not task.total or task.total <= 1:
            return Text("")
        return Text(f"{task.completed:>11,.0f} / {task.total:,.0f}", style="progress.download")


def rate_text(rate: float | None) -> str:
    """Print a rate: `12.3k/s`."""
    if rate is None:
        return ""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.1f}{unit}/s"
    return f"{rate:.0f}/s"


def eta_text(seconds: float | None) -> str:
    """Print the time that is left: `ETA 12s`."""
    return "" if seconds is None else f"ETA {duration(max(seconds, 1))}"


def _stage(status: Json) -> str:
    """Return whose bar moves: a queued job may have a stage of an owner before."""
    return QUEUED if status["state"] == QUEUED else str(status["stage"] or QUEUED)


def _label(status: Json) -> str:
    state = str(status["state"])
    return STAGES.get(status["stage"], state) if state == "running" else state
