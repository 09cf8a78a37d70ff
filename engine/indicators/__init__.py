"""Indicators: what each one is (declarations, free of numba) and how it is computed (kernels)."""
