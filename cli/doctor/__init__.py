"""`backtest doctor`: what the product depends on, checked, each with what to do about it."""
