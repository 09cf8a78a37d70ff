"""The `backtest` command: what traders and operators type."""
