"""The ports of an installation are nobody else's from the moment when they are chosen, and its own web server's."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flagsite.development.servers import ROOT
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.installation import our_process_answers
from flagsite.development.servers.port_reservation import HOST, reserve_port, reserve_ports
from flagsite.tests.startup.conftest import said

SERVE = """
from flagsite.tests.startup.test_ports import HOST, Answer, HTTPServer
server = HTTPServer((HOST, 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"""
ADDRESS, SHARED = socket.SO_REUSEADDR, socket.SO_REUSEPORT


class Answer(BaseHTTPRequestHandler):
    """Nothing, to everybody, as the web server does it: the connection stays open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """As http.server wants it."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> int:
    """One that nobody has."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _bound_to(port: int, *options: int) -> Iterator[socket.socket | None]:
    """A socket with these options that has the port, or None when that is refused."""
    with socket.socket() as one:
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            one.bind((HOST, port))
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            yield None
            return
        yield one


def test_two_installations_that_begin_at_once_have_four_ports() -> None:
    with reserve_ports(None) as ours, reserve_ports(None) as theirs:
        assert len({ours.web, ours.events, theirs.web, theirs.events}) == 4


def test_of_many_that_want_a_port_at_the_same_moment_no_two_have_it(port: int) -> None:
    together, kept = threading.Barrier(8), []

    def want() -> None:
        together.wait()
        with suppress(OSError):
            kept.append(reserve_port(port))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) <= 1
    for one in kept:
        one.close()


def test_a_port_is_free_again_afterwards(port: int) -> None:
    for _ in range(2):
        with reserve_ports(port) as ports:
            assert ports.web == port


@pytest.mark.parametrize("option", [None, ADDRESS])
def test_nobody_else_can_bind_a_port_that_is_kept(port: int, option: int | None) -> None:
    with reserve_ports(port) as ports:
        for one in (ports.web, ports.events):
            with _bound_to(one, *([option] if option else [])) as refused:
                assert refused is None
        with pytest.raises(ServerError, match=f"Port {port} is taken"), reserve_ports(port):
            pass


def test_the_web_server_shares_a_port_that_is_kept_and_gets_every_connection(port: int) -> None:
    with reserve_ports(port), _bound_to(port, ADDRESS, SHARED) as server:
        assert server is not None
        server.listen(64)
        for _ in range(50):
            with socket.create_connection((HOST, port), timeout=10):
                server.accept()[0].close()


def test_a_port_whose_last_connections_the_server_has_closed_can_be_had_at_once(port: int) -> None:
    with _bound_to(port, ADDRESS, SHARED) as server:
        assert server is not None
        server.listen()
        with socket.create_connection((HOST, port), timeout=10) as client:
            server.accept()[0].close()  # who closes first keeps the connection's memory for a minute
            client.recv(1)
    with reserve_ports(port) as ports:
        assert ports.web == port


@pytest.mark.parametrize("wrong", [-1, 0, 65535, 70000])
def test_what_is_no_port_is_refused(wrong: int) -> None:
    with pytest.raises(ServerError, match=f"{wrong} cannot be the port"), reserve_ports(wrong):
        pass


def test_an_answer_counts_when_a_process_of_ours_gives_it() -> None:
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert our_process_answers(int(said(child)))
        finally:
            child.kill()


def test_the_answer_of_a_stranger_does_not_count(port: int) -> None:
    assert not our_process_answers(port), "nobody listens"
    with HTTPServer((HOST, port), Answer) as stranger:  # in this process, which has not started itself
        thread = threading.Thread(target=stranger.serve_forever)
        thread.start()
        assert not our_process_answers(port)
        stranger.shutdown()
        thread.join()
