"""What one web process does for its clients, good and bad."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from flagsite.tests.web_server.served import Served, body_of, running, until_closed

HOST = b"Host: x\r\n"
SLOW_BODY = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nfour"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One web process with two threads and short deadlines."""
    with running(tmp_path_factory.mktemp("web")) as one:
        yield one


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_request_is_answered_by_a_thread_and_a_connection_serves_many(served: Served) -> None:
    with served.connect() as connection:
        for text in (b"one", b"two", b"x" * 300_000):
            head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(text)
            connection.sendall(head + text)
            received = b""
            while len(body_of(received)) < len(text):
                received += connection.recv(65536)
            assert body_of(received) == text


def test_a_chunked_body_comes_whole_and_its_trailers_are_no_headers(served: Served) -> None:
    request = b"POST /environ HTTP/1.1\r\n" + HOST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = served.say(request + b"3\r\nabc\r\n0\r\nX-Admin: yes\r\n\r\n")
    assert status_of(answer) == 200
    assert b"X_ADMIN" not in answer


def test_requests_that_come_together_are_answered_in_their_order(served: Served) -> None:
    each = b"".join(
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n" + end + b"\r\n" + text
        for text, end in ((b"a", b""), (b"b", b""), (b"c", b"Connection: close\r\n"))
    )
    answers = served.say(b"GET /now HTTP/1.1\r\n" + HOST + b"\r\n" + each)
    assert [part.partition(b"HTTP")[0] for part in answers.split(b"\r\n\r\n")[2:]] == [b"a", b"b", b"c"]


def test_a_client_that_has_ended_its_side_still_gets_its_answer(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /sleep?seconds=0.2 HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert body_of(until_closed(connection)) == b"done"


def test_an_answer_in_parts_comes_whole_and_holds_no_thread_while_its_client_reads_nothing(served: Served) -> None:
    with ExitStack() as stack:
        lazy = [stack.enter_context(served.connect()) for _ in range(3)]
        for connection in lazy:
            connection.sendall(b"GET /parts?count=200 HTTP/1.0\r\nHost: x\r\n\r\n")
        assert body_of(served.get("/")) == b"done"
    answer = served.say(b"GET /parts?count=20 HTTP/1.0\r\nHost: x\r\n\r\n")
    assert body_of(answer) == b"".join(b"%065536d" % number for number in range(20))


@pytest.mark.slow
def test_a_client_that_takes_nothing_of_its_answer_loses_the_connection(served: Served) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(b"GET /parts?count=400 HTTP/1.0\r\nHost: x\r\n\r\n")
        assert connection.recv(10)
        with served.connect() as other:  # the deadline is over when this one's, which is longer, is
            other.sendall(b"GET /sleep?seconds=3 HTTP/1.0\r\n\r\n")
            until_closed(other)
        assert len(until_closed(connection)) < 400 * 65536


@pytest.mark.parametrize(
    ("begun", "what"),
    [(b"GET / HTTP/1.1\r\nHost", "headers"), (SLOW_BODY, "body"),
     (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "body")],
)  # fmt: skip
def test_what_does_not_come_in_time_is_answered_408(served: Served, begun: bytes, what: str) -> None:
    answer = served.say(begun)
    assert status_of(answer) == 408
    problem = json.loads(body_of(answer))
    assert problem["type"] == "/problems/request-timeout"
    assert what in problem["detail"]


def test_bytes_that_trickle_in_do_not_put_the_deadline_off(served: Served) -> None:
    with served.connect() as connection:
        connection.settimeout(0.1)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        answer = b""
        for _ in range(300):
            try:
                answer += connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"x")
        assert status_of(answer) == 408


def test_a_connection_without_a_request_is_closed_without_a_word(served: Served) -> None:
    assert served.say(b"") == b""
    assert served.say(b"GET /now HTTP/1.1\r\n" + HOST + b"\r\n").count(b"HTTP/1.1") == 1


def test_slow_bodies_hold_no_thread(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(served.connect()).sendall(SLOW_BODY)
        assert body_of(served.get("/")) == b"done"


def test_while_every_thread_waits_the_event_loop_answers(served: Served) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(served.connect()) for _ in range(2)]
        for connection in busy:
            connection.sendall(b"GET /sleep?seconds=1 HTTP/1.0\r\n\r\n")
        assert status_of(served.get("/now")) == 200
        for connection in busy:
            assert body_of(until_closed(connection)) == b"done"


def test_of_more_requests_than_may_wait_for_a_thread_the_last_get_503(served: Served) -> None:
    with ExitStack() as stack:
        asked = [stack.enter_context(served.connect()) for _ in range(12)]
        for connection in asked:
            connection.sendall(b"GET /sleep?seconds=0.5 HTTP/1.0\r\n\r\n")
        answers = [until_closed(connection) for connection in asked]
    refused = [answer for answer in answers if status_of(answer) == 503]
    assert 12 - 2 - 4 - 2 <= len(refused) <= 12 - 4
    assert all(b"Retry-After: 1\r\n" in answer for answer in refused)


def test_while_one_lane_has_no_free_thread_the_other_answers(served: Served) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(served.connect()) for _ in range(4)]
        for connection in busy:
            connection.sendall(b"GET /sleep?seconds=1 HTTP/1.0\r\n\r\n")
        assert body_of(served.say(b"PUT / HTTP/1.0\r\n\r\n")) == b"done"
        for connection in busy:
            assert body_of(until_closed(connection)) == b"done"


def test_a_request_that_has_waited_too_long_for_a_thread_of_its_lane_gets_503_while_the_threads_are_held(
    served: Served,
) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(served.connect()) for _ in range(2)]
        for connection in busy:
            connection.sendall(b"PUT /sleep?seconds=1.5 HTTP/1.0\r\n\r\n")
        refused = served.say(b"PUT / HTTP/1.0\r\n\r\n")
        assert status_of(refused) == 503
        assert b"Retry-After: 1\r\n" in refused
        for connection in busy:  # they are still asleep, so what they answer comes after the refusal
            assert body_of(until_closed(connection)) == b"done"
    assert body_of(served.say(b"PUT / HTTP/1.0\r\n\r\n")) == b"done"


def test_at_the_limit_a_connection_without_a_request_makes_room(served: Served) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(served.connect()) for _ in range(100)]
        assert status_of(served.get("/now")) == 200
        assert until_closed(idle[0]) == b""


def test_at_the_limit_of_answers_that_are_made_the_next_client_gets_503(tmp_path: Path) -> None:
    with running(tmp_path, threads=2, CONNECTIONS="2") as served, ExitStack() as stack:
        busy = [stack.enter_context(served.connect()) for _ in range(2)]
        for connection in busy:
            connection.sendall(b"GET /part-and-sleep?seconds=2 HTTP/1.0\r\n\r\n")
            assert connection.recv(10)
        with served.connect() as one_more:
            answer = until_closed(one_more)
        assert status_of(answer) == 503
        assert b"Retry-After: 1\r\n" in answer
        assert "too many connections" in json.loads(body_of(answer))["detail"]
        assert all(until_closed(connection).endswith(b"slept") for connection in busy)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000001\r\n\r\n", 413),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000, 431),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_request_that_is_not_valid_or_too_large_is_refused(served: Served, request_bytes: bytes, status: int) -> None:
    answer = served.say(request_bytes)
    assert status_of(answer) == status
    assert json.loads(body_of(answer))["status"] == status


def test_a_chunked_body_that_is_too_long_is_refused(served: Served) -> None:
    chunk = b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000)
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert status_of(served.say(head + chunk * 21)) == 413


def test_headers_come_as_wsgi_has_them_and_a_look_alike_is_left_out(served: Served) -> None:
    answer = served.say(
        b"GET http://x/environ?a%20b%2f HTTP/1.0\r\nHost: x\r\nX-Two: 1\r\nX-Two: 2\r\nCookie: a=1\r\nCookie: b=2\r\n"
        b"X_Forwarded_For: 6.6.6.6\r\n\r\n"
    )
    assert eval(body_of(answer)) == {
        "HTTP_HOST": "x", "HTTP_X_TWO": "1,2", "HTTP_COOKIE": "a=1; b=2", "PATH_INFO": "/environ",
        "REMOTE_ADDR": "127.0.0.1",
    }  # fmt: skip


def test_an_expected_continue_is_sent_before_the_body(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hi")
        assert connection.recv(1000).endswith(b"hi")


def test_a_head_request_gets_no_body_and_a_failure_gets_500(served: Served) -> None:
    head = served.say(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 4\r\n" in head
    assert body_of(head) == b""
    failed = served.get("/fail")
    assert status_of(failed) == 500
    assert b"on purpose" not in failed
    assert "on purpose" in served.log.read_text()


def test_a_request_to_change_the_protocol_is_answered_in_this_one(served: Served) -> None:
    answer = served.say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert status_of(answer) == 200
    assert b"Connection: close\r\n" in answer
