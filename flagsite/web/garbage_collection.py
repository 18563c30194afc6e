"""Keeps Python's garbage collection from stopping a web process that holds many objects.

Python's oldest generation holds all objects that live long. Python collects it whenever it has grown by a quarter.
During a collection the process does nothing else: 0.2 seconds with 100,000 organizations in the evaluation cache. The
collection is needed for garbage in reference cycles only. So Flagsite freezes the objects that have survived a slow
collection, and the next collections skip them (https://docs.python.org/3/library/gc.html#gc.freeze).

Freezing also affects the objects of the requests that run at that moment. If such an object becomes garbage in a cycle,
the collector does not find it while it is frozen. So Flagsite freezes only after a slow collection, and once an hour it
unfreezes and collects everything.

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
"""The longest time for which objects stay frozen."""
OLDEST_GENERATION = 2


class FreezeAfterSlowCollection:
    """A callback for `gc.callbacks` that freezes all objects after a slow collection of the oldest generation."""

    def __init__(self) -> None:
        self._began = 0.0
        self._unfreeze_at = monotonic() + UNFREEZE_SECONDS

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """Handle the start or stop of a collection: https://docs.python.org/3/library/gc.html#gc.callbacks."""
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
    """Freeze all objects of this process now, and again after each slow collection."""
    if settings.WEB_TUNING:
        gc.freeze()
        gc.callbacks.append(FreezeAfterSlowCollection())
