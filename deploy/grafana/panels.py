"""What all panels have in common: source, legend, limits, links to the runbook."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

RUNBOOK = "docs/runbook.md"
"""Where operators read the runbook: the value of the variable `runbook` of every dashboard."""

SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
GREEN, RED = "green", "red"
FIGURE_HEIGHT, GRAPH_HEIGHT = 4, 8


@dataclass(frozen=True)
class Query:
    """One expression, and the name of its series in the legend."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Limit:
    """From which value on a panel is red; with `below` it is red under it."""

    value: float
    below: bool = False

    def steps(self) -> list[Threshold]:
        """Return the colours in the order of their values."""
        first, second = (RED, GREEN) if self.below else (GREEN, RED)
        return [Threshold(color=first, value=None), Threshold(color=second, value=self.value)]


def figure(
    title: str,
    unit: str,
    description: str,
    query: Query,
    *,
    section: str,
    limit: Limit | None = None,
    width: int = 6,
) -> stat.Panel:
    """One number of now. `section` is the anchor of the runbook that tells what to do."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(FIGURE_HEIGHT)
        .with_target(_target(query, "A"))
        .links([_runbook(section)])
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE if limit else BigValueColorMode.NONE)
    )
    return panel.thresholds(_thresholds(limit))


def graph(
    title: str,
    unit: str,
    description: str,
    *queries: Query,
    section: str,
    limit: Limit | None = None,
    width: int = 12,
) -> timeseries.Panel:
    """Lines over time, from zero, with a table of the last and the largest value below."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(width)
        .height(GRAPH_HEIGHT)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .targets([_target(query, ref) for query, ref in zip(queries, "ABCDEF", strict=False)])
        .links([_runbook(section)])
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .thresholds(_thresholds(limit))
    )
    if limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(style)
    return panel


def board(
    uid: str,
    title: str,
    description: str,
    rows: dict[str, Sequence[stat.Panel | timeseries.Panel]],
    *variables: dashboard.QueryVariable,
) -> dashboard.Dashboard:
    """Build a dashboard of rows of panels, which links to the others."""
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["backtest"])
        .readonly()
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus")
        )
        .with_variable(
            dashboard.ConstantVariable("runbook").label("address of the runbook").value(RUNBOOK)
        )
        .link(
            dashboard.DashboardLink("Backtests")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["backtest"])
            .keep_time(True)
        )
    )
    for variable in variables:
        built = built.with_variable(variable)
    for name, panels in rows.items():
        built = built.with_row(dashboard.Row(name))
        for panel in panels:
            built = built.with_panel(panel)
    return built


def instances(of: str) -> dashboard.QueryVariable:
    """Return a variable with the instances that expose the metric `of`; all of them at first."""
    return (
        dashboard.QueryVariable("instance")
        .label("Instance")
        .datasource(SOURCE)
        .query({"query": f"label_values({of}, instance)", "refId": "instances"})
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).range().ref_id(ref)


def _thresholds(limit: Limit | None) -> dashboard.ThresholdsConfig:
    steps = limit.steps() if limit else [Threshold(color=GREEN, value=None)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _runbook(section: str) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("What to do: the runbook")
        .type(DashboardLinkType.LINK)
        .url(f"${{runbook}}#{section}")
        .target_blank(True)
    )
