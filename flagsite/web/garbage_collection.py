"""How long a web process answers nothing because Python looks for garbage: hardly ever longer than LONG_SECONDS.

Python looks through all that lasts whenever a quarter more has come to last, for garbage that refers to itself, and
nothing else runs meanwhile: 0.2 s in a process that knows 100,000 organizations. So what has survived a look that took
long is set aside (`gc.freeze`), and the next looks have only what is new. Not after each look: what requests under way
hold is set aside with the rest, and when it becomes garbage that refers to itself nobody finds it until everything is
looked through again, an hour later.
"""

from __future__ import annotations

import gc
from time import monotonic, thread_time
from typing import Any

LONG_SECONDS = 0.02
"""A look through some 60,000 objects."""
ANEW_SECONDS = 3600.0
"""After so long everything is looked through again."""
OLDEST = 2
"""The generation of what lasts."""


class FreezeAfterSlowCollection:
    """Called by Python before and after each look (https://docs.python.org/3/library/gc.html#gc.callbacks)."""

    def __init__(self) -> None:
        self._began = 0.0
        self._anew_at = monotonic() + ANEW_SECONDS

    def __call__(self, phase: str, about: dict[str, Any]) -> None:
        """`phase` is "start" or "stop"; `about` names the generation."""
        if about["generation"] < OLDEST:
            return
        if phase == "start":
            self._began = thread_time()
            if monotonic() >= self._anew_at:
                self._anew_at = monotonic() + ANEW_SECONDS
                gc.unfreeze()
        elif thread_time() - self._began >= LONG_SECONDS:
            gc.freeze()


def freeze_long_lived_objects() -> None:
    """Begin with it in this process, with all that was loaded until now."""
    gc.freeze()
    gc.callbacks.append(FreezeAfterSlowCollection())
