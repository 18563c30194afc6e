"""The one memory of this process, which listens from its first use on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from django.db import connection

from flags.serving import usage_counter
from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.cache_events import AccessKeyChanged, CacheEvent, OrganizationMoved, StatesWritten
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.pg_listener import ChangeListener

HEARS_WITHIN = 1.0
_making = threading.Lock()
_made: tuple[int, EvaluationCache, AccessKeyCache, ChangeListener] | None = None


def process_evaluation_cache() -> EvaluationCache:
    """What this process knows of flags and organizations."""
    return _of_this_process()[1]


def process_access_key_cache() -> AccessKeyCache:
    """Whom this process knows by their keys."""
    return _of_this_process()[2]


def heard_all() -> bool:
    """Whether this process knows of all changes that were committed before this call; waits a moment for it."""
    return _of_this_process()[3].hear_all(HEARS_WITHIN)


def end() -> None:
    """Hand on what was counted, and listen no more: for a process whose servers end before it does."""
    global _made  # noqa: PLW0603 - whoever asks again makes another
    usage_counter.flush()
    if _made is not None and _made[0] == os.getpid():
        _made[3].stop()
    _made = None


def hearing(memory: EvaluationCache, keys_changed: Callable[[], None]) -> Callable[[CacheEvent], None]:
    """What a memory does with news."""

    def take(news: CacheEvent) -> None:
        if isinstance(news, StatesWritten | OrganizationMoved):
            memory.take(news)
        elif news == "definitions":
            memory.read_definitions()
            connection.close()  # of the listener's thread, which rarely needs one
        elif news == "keys" or isinstance(news, AccessKeyChanged):
            keys_changed()
        else:
            memory.forget()

    return take


def _of_this_process() -> tuple[int, EvaluationCache, AccessKeyCache, ChangeListener]:
    if _made is not None and _made[0] == os.getpid():
        return _made
    return _make()


def _make() -> tuple[int, EvaluationCache, AccessKeyCache, ChangeListener]:
    global _made  # noqa: PLW0603 - one for each process; a forked child makes its own
    with _making:
        if _made is None or _made[0] != os.getpid():
            memory, callers = EvaluationCache(), AccessKeyCache()

            def start_afresh() -> None:
                memory.forget()
                callers.forget()

            memory.listening(hears=False)
            listener = ChangeListener(hearing(memory, callers.forget), start_afresh, memory.listening)
            listener.start()
            _made = os.getpid(), memory, callers, listener
        return _made
