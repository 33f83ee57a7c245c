"""Benchmarks against named peers, as ratios of one run."""
