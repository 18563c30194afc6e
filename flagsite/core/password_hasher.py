"""The hasher of passwords: Django's PBKDF2, computed by one patient thread of the process."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.hashers import PBKDF2PasswordHasher

LOWEST_PRIORITY = 19


def _be_patient() -> None:
    """Let all other threads of the machine go first. Only Linux has a priority for each thread."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)


def _start_thread() -> None:
    """Give this process its thread. A forked child has no thread of its parent."""
    global patient_thread  # noqa: PLW0603 - one for each process
    patient_thread = ThreadPoolExecutor(1, "passwords", initializer=_be_patient)


patient_thread: ThreadPoolExecutor
_start_thread()
os.register_at_fork(after_in_child=_start_thread)


class PatientPasswordHasher(PBKDF2PasswordHasher):
    """Computes a hash, which takes some tenths of a second of CPU time, without delaying the answers of the API.

    OpenSSL computes the hash without the interpreter's lock. So only the processor counts, and the thread waits for it.
    The hashes are the same as those of Django's class.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return patient_thread.submit(super().encode, password, salt, iterations).result()
