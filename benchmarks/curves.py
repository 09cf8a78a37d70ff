"""Curves as SVG that read well on a white and on a dark page, the same bytes for the same data."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import INSTALL, PeerMissing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 5  # sizes that each get a tick
INCHES = (6.6, 4.0)
# Middle tones have contrast enough on both kinds of page; the background is left transparent.
INK, FAINT = "#7a7f87", "#7a7f8755"
COLOURS = ("#2f81d6", "#d9761a")
STYLE: Any = {
    "svg.hashsalt": "backtest-jobs",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Point:
    """One size: seconds of stage A on one thread and on two, and what the fit says."""

    x: int
    variants: int
    changes: float
    seconds: tuple[float, ...]
    fitted: float


@dataclass(frozen=True)
class Curve:
    """What stage A takes as one thing grows; `label` names it and what stays as it is."""

    name: str
    label: str
    points: Sequence[Point]
    logarithmic: bool = True


def draw(curve: Curve, folder: Path) -> Path:
    """Write `scaling-<name>.svg`. Raises `PeerMissing` where matplotlib is not installed."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PeerMissing(f"matplotlib is not installed: {INSTALL}") from error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scaling-{curve.name}.svg"
    with rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        _plot(axes, curve)
        _scale(axes, curve)
        axes.set_xlabel(curve.label)
        axes.set_ylabel("seconds of stage A")
        axes.grid(True, which="major", color=FAINT, linewidth=0.6)
        axes.legend(frameon=False, loc="best")
        figure.savefig(
            path, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return path


def _plot(axes: "Axes", curve: Curve) -> None:
    sizes = [point.x for point in curve.points]
    axes.plot(
        sizes,
        [point.fitted for point in curve.points],
        color=INK,
        linestyle=(0, (4, 3)),
        linewidth=1.2,
        label="words and changes at their fitted price",
    )
    for k, colour in enumerate(COLOURS):
        axes.plot(
            sizes,
            [point.seconds[k] for point in curve.points],
            color=colour,
            marker="o",
            markersize=5,
            linewidth=2,
            label="2 threads" if k else "1 thread, with µs per variant",
        )
    for point in curve.points:
        axes.annotate(
            f"{1e6 * point.seconds[0] / point.variants:#.3g}",
            (point.x, point.seconds[0]),
            xytext=(-9, 8) if curve.logarithmic else (0, -16),
            textcoords="offset points",
            ha="right" if curve.logarithmic else "center",
            fontsize=9,
            color=COLOURS[0],
        )


def _scale(axes: "Axes", curve: Curve) -> None:
    sizes = [point.x for point in curve.points]
    if not curve.logarithmic:
        axes.set_xticks(sizes)
        axes.margins(y=0.06)
        axes.set_ylim(bottom=0)
        return
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.11)
    lowest, highest = min(min(p.seconds) for p in curve.points), max(axes.get_ylim())
    axes.set_ylim(10 ** floor(log10(lowest)), 10 ** ceil(log10(highest)))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    axes.minorticks_off()
    if len(sizes) <= FEW:
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    else:
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
