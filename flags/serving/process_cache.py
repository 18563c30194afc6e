"""The caches of this process, made at their first use together with the listener that keeps them up to date."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

from flags.serving import usage_counter
from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.cache_updates import apply_events_to
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.pg_listener import ChangeListener
from flagsite.core.adapters.django_orm import renew_connections

WAIT_SECONDS = 1.0
"""How long `is_up_to_date` waits."""


class ProcessCaches(NamedTuple):
    """What one process has; a forked child makes its own."""

    pid: int
    evaluation: EvaluationCache
    access_keys: AccessKeyCache
    listener: ChangeListener


_making = threading.Lock()
_made: ProcessCaches | None = None


def process_evaluation_cache() -> EvaluationCache:
    """The definitions and organization snapshots of this process."""
    return _of_this_process().evaluation


def process_access_key_cache() -> AccessKeyCache:
    """The access keys that this process knows."""
    return _of_this_process().access_keys


def is_up_to_date() -> bool:
    """Whether this process has heard of all changes that were committed before this call; waits a moment for it."""
    return _of_this_process().listener.hear_all(WAIT_SECONDS)


def listener() -> ChangeListener | None:
    """The listener of this process; None if the process caches nothing."""
    return _made.listener if _made is not None and _made.pid == os.getpid() else None


def unheard_seconds() -> float:
    """For how many seconds since the last call this process has cached something without hearing of changes."""
    made = listener()
    return made.take_unheard_seconds() if made is not None else 0.0


def end() -> None:
    """Hand on the counted evaluations and stop listening: for a process whose servers end before it does."""
    global _made  # noqa: PLW0603 - the next call makes the caches again
    usage_counter.flush()
    if _made is not None and _made.pid == os.getpid():
        _made.listener.stop()
    _made = None


def _of_this_process() -> ProcessCaches:
    if _made is not None and _made.pid == os.getpid():
        return _made
    return _make()


def _make() -> ProcessCaches:
    global _made  # noqa: PLW0603 - one for each process
    with _making:
        if _made is None or _made.pid != os.getpid():
            evaluation, access_keys = EvaluationCache(), AccessKeyCache()

            def clear_all() -> None:
                evaluation.clear()
                access_keys.clear()

            def set_listening(*, hears: bool) -> None:
                if not hears:
                    renew_connections()  # what the listener does not hear, another connection may not either
                evaluation.set_listening(hears=hears)
                access_keys.set_listening(hears=hears)

            set_listening(hears=False)
            handler = apply_events_to(evaluation, access_keys.clear)
            listener = ChangeListener(handler, clear_all, set_listening)
            listener.start()
            _made = ProcessCaches(os.getpid(), evaluation, access_keys, listener)
        return _made
