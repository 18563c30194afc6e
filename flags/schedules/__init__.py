"""Schedules: changes that Flagsite makes at a time, once, as a pair of on and off, or again and again."""
