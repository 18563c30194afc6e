"""The database watch: it notices that the database is silent, so that nobody waits until the network gives up.

The database is silent if it answers nothing at all, for example because a firewall drops all packets. A slow query is
no silence. While somebody has been waiting for some time, and the listener of the process hears nothing, the watch asks
the database on a connection of its own. Only if no answer comes, the database is silent. The watch then ends all
connections of the process, refuses new ones, and goes on asking until an answer comes.

An error counts as an answer, if it comes soon: then nobody waits long either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
import structlog
from psycopg.errors import ConnectionTimeout
from psycopg.pq import TransactionStatus

from flagsite.core.background import BackgroundService
from flagsite.core.db.socket_handle import SocketHandle

log = structlog.get_logger(__name__)
LOOK_SECONDS = 0.2
"""How often the watch looks whether somebody waits."""
LATE_SECONDS = 0.8
"""After so long a wait it asks the database."""
ANSWER_SECONDS = 1.5
"""After so long without an answer the database is silent. LATE_SECONDS and two looks come before that."""
AGAIN_SECONDS = 1.0
"""The time between two questions."""
GIVE_UP_SECONDS = 5
"""After so long a question counts no more. Slow networks need more than ANSWER_SECONDS for the way back."""
MOST_QUESTIONS = 10
"""Questions at the same time. Each may take GIVE_UP_SECONDS for each address of the database."""
SILENT = "The database does not answer."
Connection = psycopg.Connection[Any]
Connect = Callable[[], Connection]


@dataclass(slots=True)
class _Watched:
    """A connection of the process. `waits_since` is the time since when a query has been waiting for its answer."""

    handle: SocketHandle
    waits_since: float | None = None


class DatabaseWatch(BackgroundService):
    """Watches the connections that this process makes with `connect`."""

    def __init__(
        self,
        *,
        ask: Connect,
        heard: Callable[[], bool],
        is_heard_on_same_way: bool,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        """Create the watch.

        Args:
            ask: makes a connection for a question.
            heard: whether the listener of this process has just heard something.
            is_heard_on_same_way: whether the listener reaches the database at the same address as `ask`. If it does,
                the database is not silent while the listener hears.
            on_answer: the watch calls this when the database is silent no longer.
        """
        super().__init__("database-watch")
        self.is_silent = False
        """Whether nobody may wait for the database now."""
        self._ask = ask
        self._heard = heard
        self._is_heard_on_same_way = is_heard_on_same_way
        self._on_answer = on_answer
        self._pause = LOOK_SECONDS
        self._answered = threading.Event()
        self._changing = threading.Lock()
        """Held while `is_silent` or what follows changes, and while connections are ended."""
        self._connections: WeakKeyDictionary[Connection, _Watched] = WeakKeyDictionary()
        self._connecting: dict[Future[Connection], float] = {}

    # --- for whoever needs the database -----------------------------------------------------------------------------
    def connect(self, make: Connect) -> Connection:
        """Return what `make` returns, and watch it. Another thread calls `make`, which may hang.

        Raises OperationalError if the database is silent, and what `make` raises.
        """
        made: Future[Connection] = Future()
        with self._changing:
            self._refuse_if_silent()
            self._connecting[made] = monotonic()
        context = copy_context()
        threading.Thread(target=context.run, args=(_make, make, made), name="connecting", daemon=True).start()
        try:
            connection = made.result()
        finally:
            with self._changing:
                del self._connecting[made]
        with self._changing:
            if not self.is_silent:
                self._connections[connection] = _Watched(SocketHandle(connection))
                return connection
        connection.close()
        raise psycopg.OperationalError(SILENT)

    def forget(self, connection: Connection) -> None:
        """Watch the connection no longer; call this before closing it."""
        with self._changing:
            watched = self._connections.pop(connection, None)
            if watched is not None:
                watched.handle.close()

    def _refuse_if_silent(self) -> None:
        if self.is_silent:
            raise psycopg.OperationalError(SILENT)

    # --- the watch ----------------------------------------------------------------------------------------------------
    def turn(self) -> None:
        """Ask the database if somebody waits; if it is silent, let nobody wait until it answers."""
        self._pause = LOOK_SECONDS
        if not self._somebody_waits() or (self._is_heard_on_same_way and self._heard()):
            return
        self._answered.clear()
        question = _Question(self._ask, self._answered)
        self._answered.wait(ANSWER_SECONDS)
        if self._answers([question]):
            question.end()
            self._pause = AGAIN_SECONDS
            return
        self._begin_silence()
        try:
            self._wait_for_answer(question)
        finally:
            with self._changing:
                self.is_silent = False
        log.info("database_answers")
        self._on_answer()

    def pause(self) -> float:
        """Return the seconds until the next look."""
        return self._pause

    def on_error(self, error: Exception) -> None:
        """Log the error with its traceback."""
        log.error("database_not_watched", exc_info=error)

    def on_end(self) -> None:
        """Watch no connection any more."""
        with self._changing:
            for watched in self._connections.values():
                watched.handle.close()
            self._connections.clear()

    def _somebody_waits(self) -> bool:
        now = monotonic()
        with self._changing:
            since = list(self._connecting.values())
            for connection, watched in self._connections.items():
                if connection.pgconn.transaction_status != TransactionStatus.ACTIVE:
                    watched.waits_since = None
                    continue
                if watched.waits_since is None:
                    watched.waits_since = now
                since.append(watched.waits_since)
        return now - min(since, default=now) >= LATE_SECONDS

    def _answers(self, questions: list[_Question]) -> bool:
        """Whether the database answers, perhaps so slowly that the questions are still open.

        Behind a connection pooler whose places are all taken, a question gets a connection but no answer. Then the
        database answers others. With DATABASE_DIRECT_URL, the listener knows whether it does.
        """
        if any(one.is_answered for one in questions):
            return True
        is_connected = any(one.is_connected for one in questions)
        if self._is_heard_on_same_way:
            return is_connected or self._heard()
        return is_connected and self._heard()

    def _begin_silence(self) -> None:
        log.warning("database_silent", error=SILENT)
        with self._changing:
            self.is_silent = True
            for watched in self._connections.values():
                watched.handle.end()
            for made in self._connecting:
                with suppress(InvalidStateError):  # it is made, or has failed, just now
                    made.set_exception(psycopg.OperationalError(SILENT))

    def _wait_for_answer(self, first: _Question) -> None:
        questions = [first]
        while not self.must_stop() and not self._answers(questions):
            for one in questions:
                if one.is_too_old():
                    one.end()
            questions = [one for one in questions if one.is_open or one.is_answered]
            if len(questions) < MOST_QUESTIONS:
                questions.append(_Question(self._ask, self._answered))
            self._answered.wait(AGAIN_SECONDS)
        for one in questions:
            one.end()


class _Question:
    """Asks the database something, in a thread of its own and on a connection of its own."""

    def __init__(self, ask: Connect, answered: threading.Event) -> None:
        self.is_open = True
        self.is_connected = False
        self.is_answered = False
        self._ask = ask
        self._answered = answered
        self._began = monotonic()
        self._ending = threading.Lock()
        self._handle: SocketHandle | None = None
        threading.Thread(target=self._run, name="database-question", daemon=True).start()

    def is_too_old(self) -> bool:
        """Whether the answer has been missing for so long that it is not expected any more."""
        return monotonic() - self._began > GIVE_UP_SECONDS

    def end(self) -> None:
        """Wait for the answer no longer."""
        with self._ending:
            if self._handle is not None:
                self._handle.end()

    def _run(self) -> None:
        try:
            with self._ask() as connection:
                self._handle = SocketHandle(connection)
                try:
                    self.is_connected = True
                    connection.execute("SELECT 1")
                finally:
                    with self._ending:
                        self._handle.close()
                        self._handle = None
            self.is_answered = True
        except ConnectionTimeout:
            pass
        except Exception as error:  # noqa: BLE001 - the database, or the machine on the way, refuses
            self.is_answered = monotonic() - self._began < ANSWER_SECONDS
            log.debug("database_refuses", error=str(error).strip())
        finally:
            self.is_connected = self.is_answered
            self.is_open = False
            if self.is_answered:
                self._answered.set()


def _make(make: Connect, made: Future[Connection]) -> None:
    try:
        connection = make()
    except BaseException as error:  # noqa: BLE001 - for the thread that waits
        with suppress(InvalidStateError):
            made.set_exception(error)
        return
    try:
        made.set_result(connection)
    except InvalidStateError:  # nobody waits any more
        connection.close()


_watch: DatabaseWatch | None = None


def start(watch: DatabaseWatch) -> None:
    """Let this watch watch the connections that Django makes in this process from now on."""
    global _watch  # noqa: PLW0603 - one for each process
    _watch = watch
    watch.start()


def stop() -> None:
    """Watch the connections of this process no longer."""
    global _watch  # noqa: PLW0603 - as above
    if _watch is not None:
        _watch.stop()
    _watch = None


def of_this_process() -> DatabaseWatch | None:
    """Return the watch of this process; None if it has none, as a forked child."""
    return _watch if _watch is not None and _watch.is_started else None
