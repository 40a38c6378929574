"""Benchmarks: each prints a figure or a ratio against its peer in the same run, never a verdict."""
