"""What a client cannot do to a web process, to other clients, and to its own next request."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from flagsite.tests.web_server.application import MUCH
from flagsite.tests.web_server.served import Served, body_of, running, until_closed

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
GET_NOW = b"GET /now HTTP/1.1\r\nHost: x\r\n"
LAST = b"Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One web process with two threads and short deadlines."""
    with running(tmp_path_factory.mktemp("web")) as one:
        yield one


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("comes", ["together", "later"])
def test_a_request_is_not_lost_while_its_client_has_not_read_the_answer_before(served: Served, comes: str) -> None:
    with socket.socket() as connection:
        connection.settimeout(30)
        connection.connect(("127.0.0.1", served.port))
        first, second = b"GET /much-now HTTP/1.1\r\nHost: x\r\n\r\n", GET_NOW + LAST
        if comes == "together":
            connection.sendall(first + second)
        else:
            connection.sendall(first)
            assert connection.recv(1) == b"H"
            connection.sendall(second)
        answers = until_closed(connection)
    assert len(answers) > MUCH
    assert int(body_of(answers[MUCH:])) > 1


def test_a_client_that_has_sent_several_requests_and_ended_its_side_gets_all_answers(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /sleep?seconds=0.2 HTTP/1.1\r\nHost: x\r\n\r\n" + (GET_NOW + b"\r\n") * 2)
        connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection).count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("cut", [0, 1, 4])
def test_a_request_to_change_the_protocol_keeps_its_body(served: Served, body: bytes, cut: int) -> None:
    head = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    with served.connect() as connection:
        connection.sendall(head + body[: len(body) - cut])
        time.sleep(0.05 if cut else 0)  # so that the rest comes by itself; the outcome does not depend on it
        connection.sendall(body[len(body) - cut :])
        assert body_of(until_closed(connection)) == b"abc"


def test_what_follows_a_request_to_change_the_protocol_is_not_read(served: Served) -> None:
    head = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n"
    for following in (head + b"def", POST + b"Content-Length: 3\r\n\r\ndef", GET_NOW + b"\r\n", b"\x00"):
        answers = served.say(head + b"abc" + following)
        assert (answers.count(b"HTTP/1.1 "), body_of(answers)) == (1, b"abc")
    assert "asyncio" not in served.log.read_text()


@pytest.mark.parametrize("end", [b"0\r\nX-Trailer: ", b"3;extension="])
def test_what_follows_a_body_or_comes_between_its_parts_takes_no_memory_for_ever(served: Served, end: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + end)
        with suppress(ConnectionError):
            for _ in range(300):
                connection.sendall(b"x" * 65536)
        answer = b""
        with suppress(ConnectionError):
            answer = connection.recv(65536)
    assert not answer or status_of(answer) == 431
    [process] = served.web_processes()
    assert psutil.Process(process).memory_info().rss < 200_000_000


def test_bodies_that_never_come_whole_do_not_keep_others_from_being_answered(served: Served) -> None:
    with ExitStack() as stack:
        heavy = [stack.enter_context(served.connect()) for _ in range(6)]
        for connection in heavy:
            with suppress(ConnectionError):
                connection.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 999_999)
        assert body_of(served.say(POST + b"Content-Length: 3\r\n" + LAST + b"abc")) == b"abc"
        answers = [until_closed(connection) for connection in heavy]
    assert {status_of(answer) for answer in answers if answer} == {503, 408}


def test_chunked_bodies_count_as_well(tmp_path: Path) -> None:
    chunk = b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000)
    with running(tmp_path) as served, ExitStack() as stack:
        heavy = [stack.enter_context(served.connect()) for _ in range(4)]
        for connection in heavy:
            with suppress(ConnectionError):
                connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 15)
        answers = [until_closed(connection) for connection in heavy]
        assert 503 in {status_of(answer) for answer in answers if answer}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"CONNECT /now HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: 3, 3\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length: 18446744073709551619\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"GET /now HTTP/1.1\nHost: x\n\n",
        GET_NOW + b"A: b\rC: d\r\n\r\n",
        GET_NOW + b"A: b\x00\r\n\r\n",
    ],
    ids=lambda value: str(value)[20:80],
)
def test_a_request_whose_end_a_proxy_might_see_elsewhere_is_refused(served: Served, request_bytes: bytes) -> None:
    answer = served.say(request_bytes + GET_NOW + b"\r\n")
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1


def test_the_length_of_a_body_may_have_a_space_after_it(served: Served) -> None:
    assert body_of(served.say(POST + b"Content-Length: 3 \r\n" + LAST + b"abc")) == b"abc"


def test_a_client_of_http_1_0_is_not_told_to_continue(served: Served) -> None:
    request = b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
    assert served.say(request).startswith(b"HTTP/1.1 200")


def test_an_expected_continue_is_sent_after_the_answer_before(served: Served) -> None:
    with served.connect() as connection:
        slept = b"GET /sleep?seconds=0.1 HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(slept + POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n" + LAST)
        received = b""
        while b"100 Continue" not in received:
            received += connection.recv(65536)
        connection.sendall(b"abc")
        assert until_closed(connection).endswith(b"\r\n\r\nabc")
    assert received.startswith(b"HTTP/1.1 200 OK")


def test_an_answer_without_a_body_has_none_whatever_the_application_says(served: Served) -> None:
    answers = served.say(b"GET /no-content HTTP/1.1\r\nHost: x\r\n\r\n" + GET_NOW + LAST)
    assert b"nobody" not in answers
    assert answers.count(b"HTTP/1.1 ") == 2


def test_a_header_with_a_line_break_is_a_failure_of_the_server(served: Served) -> None:
    answer = served.get("/broken-header")
    assert status_of(answer) == 500
    assert b"X-Two" not in answer


def test_no_application_ends_a_thread(served: Served) -> None:
    for _ in range(4):  # there are two threads
        assert status_of(served.get("/exit")) == 500
    assert body_of(served.get("/")) == b"done"


def test_names_of_headers_that_clients_make_up_are_not_kept_if_they_are_long(served: Served) -> None:
    [process] = served.web_processes()
    before = psutil.Process(process).memory_info().rss
    for number in range(300):
        assert status_of(served.say(GET_NOW + b"%d%b: y\r\n" % (number, b"x" * 60_000) + LAST)) == 200
    assert psutil.Process(process).memory_info().rss < before + 20_000_000
