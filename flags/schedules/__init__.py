"""Schedules: changes of flags that come by themselves, once, as a pair of on and off, or again and again."""
