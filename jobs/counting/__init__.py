"""Counting how attempts end, in the transaction in which they end, and what the engine does besides."""
