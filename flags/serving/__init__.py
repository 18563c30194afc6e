"""Evaluations from the cache of each process, and the change notifications that keep the cache up to date."""
