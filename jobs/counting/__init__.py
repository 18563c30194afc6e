"""Counts for metrics: how attempts end, and what the engine does apart from jobs."""
