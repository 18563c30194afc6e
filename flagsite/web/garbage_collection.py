"""Keeps Python's garbage collection from stopping a web process that holds many objects.

Python's oldest generation holds everything that lives long. Python collects it whenever it has grown by a quarter, and
the process does nothing else meanwhile: 0.2 seconds in one that knows 100,000 organizations. The collection is needed
for garbage in reference cycles only. So Flagsite freezes the objects that have survived a slow collection: the next
collections skip them (https://docs.python.org/3/library/gc.html#gc.freeze).

Only after a slow collection, since it also freezes what the requests of that moment hold. When such an object becomes
garbage in a cycle, nothing finds it while it is frozen. So once an hour everything is unfrozen and collected.

`WEB_TUNING=false` turns this off.
"""

from __future__ import annotations

import gc
from time import monotonic, thread_time
from typing import Any

from django.conf import settings

SLOW_COLLECTION_SECONDS = 0.02
"""CPU time; about what a collection of 60,000 objects takes."""
UNFREEZE_SECONDS = 3600.0
"""How long objects stay frozen at most."""
OLDEST_GENERATION = 2


class FreezeAfterSlowCollection:
    """A callback for `gc.callbacks` that freezes all objects after a slow collection of the oldest generation."""

    def __init__(self) -> None:
        self._began = 0.0
        self._unfreeze_at = monotonic() + UNFREEZE_SECONDS

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """`phase` is "start" or "stop"; `info` is what Python says about the collection, such as its generation."""
        if info["generation"] < OLDEST_GENERATION:
            return
        if phase == "start":
            self._began = thread_time()
            if monotonic() >= self._unfreeze_at:
                self._unfreeze_at = monotonic() + UNFREEZE_SECONDS
                gc.unfreeze()
        elif thread_time() - self._began >= SLOW_COLLECTION_SECONDS:
            gc.freeze()


def freeze_long_lived_objects() -> None:
    """Freeze all that this process has loaded until now, and from now on what survives a slow collection."""
    if settings.WEB_TUNING:
        gc.freeze()
        gc.callbacks.append(FreezeAfterSlowCollection())
