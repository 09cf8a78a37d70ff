"""The compiled heart of the sweep and its one-variant form, `simulate`."""

from engine.kernels.execution import (
    REASONS,
    ExecutionRules,
    Trades,
    execution_rules,
    simulate,
)

__all__ = ["REASONS", "ExecutionRules", "Trades", "execution_rules", "simulate"]
