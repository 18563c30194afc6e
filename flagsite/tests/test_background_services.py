"""What every background service does, whatever its work is."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from conftest import succeeds_in_child
from flagsite.core.background import BackgroundService

LONG = 600.0
"""Seconds of a pause that no test waits for."""


class Counting(BackgroundService):
    """Counts its turns, and does in each what a test wants."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.seconds: float | None = LONG
        self.work: Callable[[], object] = lambda: None
        self.turns = 0
        self.errors: list[Exception] = []
        self.has_ended = False
        self.has_forked = False
        self._turned = threading.Semaphore(0)

    def turn(self) -> None:
        self.turns += 1
        self._turned.release()
        self.work()

    def pause(self) -> float | None:
        return self.seconds

    def on_error(self, error: Exception) -> None:
        self.errors.append(error)

    def on_end(self) -> None:
        self.has_ended = True

    def on_fork(self) -> None:
        self.has_forked = True

    def wait_for_turn(self) -> bool:
        """Wait for one more turn; False when there is none for long."""
        return self._turned.acquire(timeout=10)

    def takes_a_turn(self) -> bool:
        """Start it, wake it, and return whether it takes a turn."""
        self.start()
        self.wake()
        return self.wait_for_turn()


@pytest.fixture
def patient() -> Iterator[Counting]:
    """A service that takes no turn by itself."""
    service = Counting()
    yield service
    service.stop()
    assert not service.is_alive()


def test_a_turn_follows_each_pause(patient: Counting) -> None:
    patient.seconds = 0.01
    patient.start()
    assert all(patient.wait_for_turn() for _ in range(3))


def test_started_twice_it_has_one_thread(patient: Counting) -> None:
    assert patient.takes_a_turn()
    patient.start()
    assert len([thread for thread in threading.enumerate() if thread.name == "counting"]) == 1


def test_two_that_start_it_at_once_start_one_thread(patient: Counting) -> None:
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        patient.start()

    starting = [threading.Thread(target=start) for _ in range(8)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    assert len([thread for thread in threading.enumerate() if thread.name == "counting"]) == 1


@pytest.mark.parametrize("seconds", [LONG, None])
def test_a_stop_ends_a_pause_and_no_turn_follows(patient: Counting, seconds: float | None) -> None:
    patient.seconds = seconds
    patient.start()
    patient.stop(within=10)
    assert not patient.is_alive()
    assert patient.has_ended
    assert patient.turns == 0


def test_one_that_was_stopped_before_it_began_takes_no_turn(patient: Counting) -> None:
    patient.seconds = 0
    patient.stop()
    patient.start()
    patient.stop()
    assert patient.turns == 0


def test_a_stop_waits_no_longer_than_it_may(patient: Counting) -> None:
    goes_on = threading.Event()
    patient.work = lambda: goes_on.wait(30)
    try:
        assert patient.takes_a_turn()
        patient.stop(within=0.01)
        assert patient.is_alive()
    finally:
        goes_on.set()


def test_a_turn_may_ask_its_own_service_to_stop(patient: Counting) -> None:
    patient.work = patient.ask_to_stop
    patient.seconds = 0
    patient.run()
    assert patient.has_ended


@pytest.mark.parametrize("seconds", [LONG, None])
def test_a_wake_up_ends_a_pause_once(patient: Counting, seconds: float | None) -> None:
    patient.seconds = seconds
    patient.start()
    for count in (1, 2):
        patient.wake()
        assert patient.wait_for_turn()
        assert patient.turns == count


def test_a_wake_up_during_a_turn_is_not_lost(patient: Counting) -> None:
    patient.work = lambda: patient.wake() if patient.turns == 1 else patient.ask_to_stop()
    patient.wake()
    patient.run()
    assert patient.turns == 2


def test_a_log_that_cannot_be_written_does_not_end_the_service(
    patient: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(error: Exception) -> None:
        raise OSError("No space left on device")

    def fail() -> None:
        raise ValueError

    monkeypatch.setattr(patient, "on_error", full)
    patient.work = fail
    assert patient.takes_a_turn()
    assert patient.takes_a_turn()
    assert patient.is_alive()


def test_an_error_is_told_and_the_next_turn_tries_again(patient: Counting) -> None:
    def fail() -> None:
        raise trouble

    trouble = RuntimeError("no luck")
    patient.work = fail
    assert patient.takes_a_turn()
    assert patient.takes_a_turn()
    patient.stop()
    assert patient.errors == [trouble, trouble]


def test_a_forked_child_starts_a_thread_of_its_own(patient: Counting) -> None:
    assert patient.takes_a_turn()

    def in_child() -> bool:
        is_as_new = patient.has_forked and not patient.is_started and not patient.is_alive()
        return is_as_new and patient.takes_a_turn()

    assert succeeds_in_child(in_child)
    assert patient.is_alive()
    assert not patient.has_forked


def test_a_child_that_is_forked_while_another_thread_starts_the_service_can_start_it(patient: Counting) -> None:
    with patient._starting:
        assert succeeds_in_child(patient.takes_a_turn)


def test_one_that_was_stopped_may_be_started_in_a_forked_child(patient: Counting) -> None:
    patient.start()
    patient.stop()
    assert succeeds_in_child(patient.takes_a_turn)


PROGRAM = """
from flagsite.core.background import BackgroundService

class Gathering(BackgroundService):
    def turn(self): print("written", flush=True)
    def pause(self): return None
    def on_error(self, error): pass

Gathering("gathering", last_turn_at_exit={last}).start()
print("ended")
"""


@pytest.mark.parametrize(("last", "printed"), [(True, ["ended", "written"]), (False, ["ended"])])
def test_only_a_service_that_gathers_something_takes_a_last_turn_at_exit(last: bool, printed: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(last=last)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == printed
