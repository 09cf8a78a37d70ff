"""The compiled heart of the sweep and its one-variant form, `simulate`."""

from engine.kernels.execution import REASONS, Trades, simulate
from engine.kernels.rules import DIRECTIONS, SIZINGS, ExecutionRules, execution_rules

__all__ = [
    "DIRECTIONS",
    "REASONS",
    "SIZINGS",
    "ExecutionRules",
    "Trades",
    "execution_rules",
    "simulate",
]
