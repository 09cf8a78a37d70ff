"""The compiled loops of the sweep, and `simulate`, which writes out one variant."""

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
