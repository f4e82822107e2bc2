"""Benchmarks: the speed of the relay as ratios to a bare baseline, measured in the same run."""
