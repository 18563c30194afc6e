"""What stands before Django: its own answers, and all others handed on."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection

from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.ofrep.remote_evaluation import RemoteEvaluation
from flags.tests.serving.asking import FLAGS
from flagsite.web import evaluation_gateway
from flagsite.web.evaluation_gateway import EvaluationGateway
from orgs.tests.failing_queries import failing_queries
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
ORIGIN = "https://app.example"


class Asking:
    """A client at the front; Django behind it answers everything with 299."""

    def __init__(self, key: str) -> None:
        """CORS_ORIGINS must be set by then."""
        self.key = key
        self.front = EvaluationGateway(self._django)
        self.evaluation = self.front._evaluation = RemoteEvaluation(EvaluationCache(), AccessKeyCache())

    def send(self, path: str = FLAGS, *, method: str = "POST", **headers: str) -> tuple[int, dict[str, str]]:
        """The status and the headers of the answer."""
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(b'{"context": {}}'),
            "HTTP_AUTHORIZATION": f"Bearer {self.key}", **headers,
        }  # fmt: skip
        came: list[Any] = []
        body = b"".join(self.front(environ, lambda status, headers: came.extend((status, headers))))
        assert int(dict(came[1]).get("Content-Length", 0)) == len(body)
        return int(came[0][:3]), dict(came[1])

    @staticmethod
    def _django(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("299 Django", [])
        return []


@pytest.fixture
def asking(admin_key: str) -> Asking:
    return Asking(admin_key)


@pytest.mark.parametrize(
    "path",
    [
        "/organizations",
        "/1/ofrep",
        "/ofrep/",
        f"/x{FLAGS}",
        "/1/ofrep/true",
    ],
)
def test_whatever_is_not_the_protocols_goes_on_to_django(asking: Asking, path: str) -> None:
    assert asking.send(path)[0] == 299
    assert asking.send(path, method="OPTIONS")[0] == 299
    assert asking.send()[0] == 200


def test_browsers_of_named_origins_may_read_the_answers_and_others_not(admin_key: str, settings: Any) -> None:
    assert "Access-Control-Allow-Origin" not in Asking(admin_key).send(HTTP_ORIGIN=ORIGIN)[1]
    settings.CORS_ORIGINS = [ORIGIN]
    asking = Asking(admin_key)
    _, headers = asking.send(HTTP_ORIGIN=ORIGIN)
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "ETag" in headers["Access-Control-Expose-Headers"]
    status, before = asking.send(method="OPTIONS", HTTP_ORIGIN=ORIGIN)
    assert status == 204
    for name in ("Authorization", "X-API-Key", "If-None-Match", "Content-Type"):
        assert name in before["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in asking.send(HTTP_ORIGIN="https://evil.example")[1]


def test_whoever_keeps_answers_for_browsers_keeps_them_apart_by_origin(admin_key: str, settings: Any) -> None:
    settings.CORS_ORIGINS = [ORIGIN]
    asking = Asking(admin_key)
    for origin in (ORIGIN, "https://evil.example", ""):
        assert asking.send(HTTP_ORIGIN=origin)[1]["Vary"] == "Origin"


def test_a_path_that_is_not_in_utf_8_names_nothing(asking: Asking) -> None:
    assert asking.send(f"/organizations/\xff{FLAGS}")[0] == 400
    assert asking.send(f"{FLAGS}/\xff")[0] == 404


def test_every_answer_has_a_request_id(asking: Asking) -> None:
    assert len({asking.send()[1]["X-Request-ID"] for _ in range(3)}) == 3
    assert asking.send(HTTP_X_REQUEST_ID="mine-1")[1]["X-Request-ID"] == "mine-1"
    assert asking.send(HTTP_X_REQUEST_ID="<bad>")[1]["X-Request-ID"] != "<bad>"


def test_after_a_lost_connection_the_answer_comes_on_a_new_one_and_is_counted_once(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_gateway, "close_old_connections", lambda: None)  # the test's own must not end
    organization = Organization.objects.create(name="Acme", key="acme")
    asking.evaluation.budget.most = 1
    with failing_queries(OperationalError("the connection is closed"), times=1):
        assert asking.send(f"/organizations/{organization.pk}{FLAGS}")[0] == 200
    assert asking.send()[0] == 429


def test_a_connection_that_is_dead_is_not_tried_again(asking: Asking) -> None:
    """On a thread of its own, since the connection that the test is on must live."""
    asking.key = "nobody.knows"  # so the database is asked

    def ask() -> int:
        try:
            connection.ensure_connection()
            connection.connection.close()
            return asking.send()[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result() == 401


def test_what_is_not_known_while_the_database_is_away_is_503_and_a_fault_of_ours_500(asking: Asking) -> None:
    assert asking.send()[0] == 200
    with failing_queries(RuntimeError("secret")):
        assert asking.send(f"/organizations/7{FLAGS}")[0] == 500
    with failing_queries(OperationalError("gone")):
        status, headers = asking.send(f"/organizations/7{FLAGS}")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert asking.send()[0] == 200
