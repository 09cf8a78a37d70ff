"""Compiled kernels, one module per family; each computes many parameter variants in one call."""
