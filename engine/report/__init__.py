"""Reports of the variants that are kept: figures, table, trades and equity curve."""

from engine.report.details import equity_points
from engine.report.variants import VariantReport, reports, summaries

__all__ = ["VariantReport", "equity_points", "reports", "summaries"]
