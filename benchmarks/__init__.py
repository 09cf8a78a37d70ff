"""Measurements against peers, each a ratio taken in one run."""
