"""Idempotency-Key: a write sent again is carried out once; a crash leaves neither half of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from conftest import Cast
from orgs.idempotency import stored_answers
from orgs.idempotency.models import IdempotentRequest
from orgs.tests.api import Api, kind_of
from orgs.tree import authorized_operations, tree_operations
from orgs.tree.api import Organizations
from orgs.tree.models import Organization

BODY = {"name": "N", "key": "n"}


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def create(api: Api, under: str = "k1", **changes: Any) -> Any:
    return api.post("/organizations", BODY | changes, Idempotency_Key=under)


def test_the_same_request_again_gets_the_same_answer_and_does_nothing(api: Api) -> None:
    first, again = create(api), create(api)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first["Location"] == again["Location"]
    assert (first.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    assert Organization.objects.filter(name="N").count() == 1


def test_another_request_under_the_same_key_is_a_conflict(api: Api, cast: Cast) -> None:
    create(api)
    assert kind_of(create(api, name="M")) == "idempotency-conflict"
    other_path = api.delete(f"/organizations/{cast.oslo.pk}", Idempotency_Key="k1")
    assert (other_path.status_code, kind_of(other_path)) == (409, "idempotency-conflict")
    assert Organization.objects.filter(pk=cast.oslo.pk).exists()


def test_two_callers_do_not_meet_in_one_key(api: Api, acme_key: str, cast: Cast) -> None:
    create(api)
    answer = Api(acme_key).post(
        "/organizations", {"name": "M", "key": "m", "parentId": cast.acme.pk}, Idempotency_Key="k1"
    )
    assert answer.status_code == 201


def test_a_refusal_is_repeated_as_it_was(api: Api, cast: Cast) -> None:
    path = f"/organizations/{cast.north.pk}"
    first = api.delete(path, Idempotency_Key="d")
    tree_operations.delete(organization_id=cast.oslo.pk)
    tree_operations.delete(organization_id=cast.bergen.pk)
    again = api.delete(path, Idempotency_Key="d")
    assert kind_of(first) == kind_of(again) == "organization-has-children"
    assert again["Idempotent-Replayed"] == "true"
    assert api.delete(path).status_code == 204


def test_an_answer_without_body_is_repeated(api: Api, cast: Cast) -> None:
    path = f"/organizations/{cast.oslo.pk}"
    answers = [api.delete(path, Idempotency_Key="d") for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\tb"])
def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str) -> None:
    response = create(api, under=key)
    assert (response.status_code, kind_of(response)) == (400, "invalid-input")
    assert not IdempotentRequest.objects.exists()


def test_a_failure_on_our_side_is_not_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        tree_operations.create(name="half", key="half")
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(authorized_operations, "create", fails)
        assert create(api).status_code == 500
    assert not Organization.objects.filter(key="half").exists()
    answer = create(api)
    assert (answer.status_code, answer.get("Idempotent-Replayed")) == (201, None)


def test_a_database_failure_is_not_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise OperationalError

    with monkeypatch.context() as broken:
        broken.setattr(authorized_operations, "create", fails)
        assert kind_of(create(api)) == "database-away"
    assert create(api).status_code == 201


def test_the_same_request_while_the_first_still_runs_is_a_conflict(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []

    def sends_again(*_: Any, **__: Any) -> Any:
        answers.append(create(api))
        return original(*_, **__)

    original = authorized_operations.create
    monkeypatch.setattr(authorized_operations, "create", sends_again)
    first = create(api)
    assert first.status_code == 201
    assert (answers[0].status_code, kind_of(answers[0])) == (409, "idempotent-request-running")
    assert create(api)["Idempotent-Replayed"] == "true"


def crashed(minutes: float) -> None:
    """Make the stored request look like one whose process died so long ago."""
    past = timezone.now() - timedelta(minutes=minutes)
    IdempotentRequest.objects.update(status=None, body=None, created_at=past)


def test_the_key_of_a_crashed_request_is_free_after_a_minute(api: Api, cast: Cast) -> None:
    create(api)
    Organization.objects.filter(key="n").delete()
    crashed(minutes=0.9)
    assert kind_of(create(api)) == "idempotent-request-running"
    crashed(minutes=1.1)
    assert kind_of(create(api, name="M")) == "idempotency-conflict"
    assert create(api).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_slow_request_that_lost_its_key_changes_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtake() -> Any:
        try:
            crashed(minutes=2)
            return create(api)
        finally:
            connection.close()

    def is_overtaken(*arguments: Any, **wanted: Any) -> Any:
        monkeypatch.setattr(authorized_operations, "create", original)
        with ThreadPoolExecutor(1) as other:
            answers.append(other.submit(overtake).result())
        return original(*arguments, **{**wanted, "key": "slow"})

    answers: list[Any] = []
    original = authorized_operations.create
    monkeypatch.setattr(authorized_operations, "create", is_overtaken)
    late = create(api)
    assert (late.status_code, kind_of(late)) == (409, "idempotent-request-running")
    assert answers[0].status_code == 201
    assert list(Organization.objects.filter(name="N").values_list("key", flat=True)) == ["n"]
    assert create(api).json() == answers[0].json()


@pytest.mark.django_db(transaction=True)
def test_change_and_answer_are_one_transaction(cast: Cast, admin_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> None:
        assert Organization.objects.filter(key="n").exists()
        assert connection.in_atomic_block
        raise SystemExit  # what a killed process looks like from inside

    with monkeypatch.context() as broken:
        broken.setattr(stored_answers, "store", dies)
        with pytest.raises(SystemExit):
            create(Api(admin_key))
    assert not Organization.objects.filter(key="n").exists()
    assert IdempotentRequest.objects.get().status is None


def test_old_answers_are_forgotten(api: Api, settings: Any) -> None:
    create(api)
    create(api, under="k2", key="n2")
    old = timezone.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS, minutes=1)
    IdempotentRequest.objects.filter(key="k1").update(created_at=old)
    assert kind_of(create(api)) == "duplicate-organization-key"  # as good as forgotten before the clean-up comes by
    IdempotentRequest.objects.filter(key="k1").update(created_at=old)
    assert stored_answers.delete_expired() == 1
    assert [request.key for request in IdempotentRequest.objects.all()] == ["k2"]


def test_a_refusal_for_lack_of_rights_is_not_kept(cast: Cast, reader_key: str) -> None:
    assert Api(reader_key).post("/organizations", BODY, Idempotency_Key="k").status_code == 403
    assert not IdempotentRequest.objects.exists()


def test_reads_pay_no_heed_to_the_header(api: Api) -> None:
    assert api.send("GET", "/organizations", Idempotency_Key="k").status_code == 200
    assert not IdempotentRequest.objects.exists()
    assert not hasattr(Organizations.get, "is_idempotent")


@pytest.mark.parametrize("header", ["If-Match", "X-Reason"])
def test_a_header_that_changes_what_a_request_does_is_part_of_the_request(
    cast: Cast, admin_key: str, header: str
) -> None:
    api, path, body = Api(admin_key), "/v1/feature-flags/checkout", {"description": "New"}
    value = api.post("/v1/feature-flags", {"name": "checkout"})["ETag"]
    assert api.patch(path, body, **{"Idempotency-Key": "once", header: value}).status_code == 200
    assert api.patch(path, body, **{"Idempotency-Key": "once", header: value})["Idempotent-Replayed"] == "true"
    for other in ({header: '"2"'}, {}):
        response = api.patch(path, body, **{"Idempotency-Key": "once", **other})
        assert (response.status_code, kind_of(response)) == (409, "idempotency-conflict")
