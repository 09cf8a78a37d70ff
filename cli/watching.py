"""Following a job until it ends: progress bars in a terminal, plain lines in a pipe."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from cli.job_view import STAGES
from cli.render import STATE_STYLES, duration
from storage import faults
from storage.records import State

POLL_SECONDS = 0.25
LINE_SECONDS = 2.0
QUEUED_LINE_SECONDS = 15.0
RATE_SECONDS = 10.0
OUTAGE_SECONDS = 120.0
QUEUED = str(State.QUEUED)
ORDER = (QUEUED, *STAGES)
UNITS_WIDTH = 80

Json = dict[str, Any]


class Display(Protocol):
    """Shows one status after the other."""

    def show(self, status: Json) -> None:
        """Show a status."""

    def note(self, text: str) -> None:
        """Say something beside it."""


def follow(read: Callable[[UUID], Json], job_id: UUID, display: Display) -> Json:
    """Show the job until it ends; returns its last status.

    A database that is away for less than `OUTAGE_SECONDS` is waited for.
    """
    away_since: float | None = None
    while True:
        try:
            status = read(job_id)
        except Exception as error:
            if not faults.passing(error):
                raise
            now = time.monotonic()
            if away_since is None:
                display.note("the database is away, waiting for it")
            away_since = away_since or now
            if now - away_since > OUTAGE_SECONDS:
                raise
        else:
            away_since = None
            display.show(status)
            if State(status["state"]).terminal:
                return status
        time.sleep(POLL_SECONDS)


def attend(read: Callable[[UUID], Json], job_id: UUID, console: Console | None) -> Json:
    """Follow the job on `console` in the form that suits it, or silently without one."""
    if console is None:
        return follow(read, job_id, Silent())
    if not console.is_terminal:
        return follow(read, job_id, Lines(console))
    with Bars(console) as bars:
        return follow(read, job_id, bars)


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
        self._rates = Rates()
        self._printed: tuple[str, float] = ("", 0.0)

    def show(self, status: Json) -> None:
        """Print the status if it is news."""
        rate = self._rates.of(status)
        label, now = _label(status), time.monotonic()
        pause = LINE_SECONDS if status["state"] == "running" else QUEUED_LINE_SECONDS
        if self._printed[0] == label and now - self._printed[1] < pause:
            return
        self._printed = (label, now)
        done, total = status["processed_units"], status["total_units"]
        text = f"{label:<18}"
        if status["state"] == "running" and total:
            text += f" {done:>12,} / {total:,}  {100 * done / total:5.1f} %"
            text += f"  {rate_text(rate)}  {eta_text(rate, total - done)}"
        self._console.print(text.rstrip())

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)


class Bars:
    """A progress bar for each stage; a context manager, like rich's Progress."""

    def __init__(self, console: Console) -> None:
        self._rates = Rates()
        units = [_Units()] if console.width >= UNITS_WIDTH else []
        self._progress = Progress(
            TextColumn("{task.description:<16}"),
            _Bar(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            *units,
            _Rate(),
            TextColumn("{task.fields[eta]:<8}"),
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
        if status["state"] == State.SUCCEEDED:
            self._finish(stage)
        elif State(status["state"]).terminal:
            self._break_off(stage, status)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text)

    def _move(self, stage: str, status: Json) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(
                STAGES.get(stage, stage), total=None, rate="", eta="", style=""
            )
        rate = self._rates.of(status)
        total = status["total_units"] or None
        left = (total or 0) - status["processed_units"]
        self._progress.update(
            self._tasks[stage],
            total=total,
            completed=status["processed_units"],
            eta=eta_text(rate, left) if total and left else "",
        )
        if rate and total:
            self._progress.update(self._tasks[stage], rate=rate_text(rate))

    def _finish(self, stage: str) -> None:
        total = self._total(stage)
        self._progress.update(self._tasks[stage], total=total, completed=total, eta="")

    def _break_off(self, stage: str, status: Json) -> None:
        """Leave the bar where it was and say how the job ended."""
        state = str(status["state"])
        style = STATE_STYLES[state]
        total = self._total(stage)
        self._progress.update(self._tasks[stage], total=total, rate=state, eta="", style=style)

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


class _Units(ProgressColumn):
    """Done and total with thousands separators; nothing for a stage without units."""

    def render(self, task: Task) -> Text:
        if not task.total or task.total <= 1:
            return Text("")
        return Text(f"{task.completed:>11,.0f} / {task.total:,.0f}", style="progress.download")


class Rates:
    """Units per second of the stage under way, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._of: tuple[Any, ...] = ()

    def of(self, status: Json) -> float | None:
        """Take one more sample; None until there are two different ones."""
        now, done = time.monotonic(), int(status["processed_units"])
        current = (status["stage"], status["attempt"])
        if current != self._of:
            self._of = current
            self._samples.clear()
        if not self._samples or done != self._samples[-1][1]:
            self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_SECONDS:
            self._samples.popleft()
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - start) if end > start and last > first else None


def rate_text(rate: float | None) -> str:
    """Print a rate: `12.3k/s`."""
    if rate is None:
        return ""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.1f}{unit}/s"
    return f"{rate:.0f}/s"


def eta_text(rate: float | None, left: float) -> str:
    """Print the time that is left: `ETA 12s`."""
    return "" if not rate else f"ETA {duration(max(left / rate, 1))}"


def _stage(status: Json) -> str:
    """Return whose bar moves: a queued job may have a stage of an owner before."""
    return QUEUED if status["state"] == QUEUED else str(status["stage"] or QUEUED)


def _label(status: Json) -> str:
    state = str(status["state"])
    return STAGES.get(status["stage"], state) if state == "running" else state
