"""Artifacts that jobs make: when they are there, who may download them, and how they are answered."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.db.models.functions import Now

from conftest import Cast
from jobs.artifacts.files import artifact_files
from jobs.artifacts.models import Artifact
from jobs.engine import lifecycle, runner
from jobs.engine.run import Run
from jobs.errors import InvalidArtifactName, PermanentFailure
from jobs.tests.artifacts.making import CONTENT, content_of, make, stored, write
from jobs.tests.engine_steps import KIND, doing, make_due, statuses
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def operator(cast: Cast) -> Api:
    """An operator of all organizations."""
    return Api(access_keys.create(name="operator", role=Role.OPERATOR)[1])


def key_for(organization: Any, role: Role = Role.OPERATOR) -> Api:
    return Api(access_keys.create(name="bound", role=role, organization=organization)[1])


def test_the_status_of_a_job_lists_its_artifacts(cast: Cast, operator: Api) -> None:
    job = make("b.csv", "a.csv", organization_id=cast.oslo.pk)
    first, second = operator.get(f"/job-status/{job.pk}").json()["artifacts"]
    assert (first["name"], second["name"]) == ("a.csv", "b.csv")
    assert (first["mediaType"], first["bytes"], first["sha256"]) == ("text/csv", len(CONTENT), SHA256)
    assert first["url"] == f"/v1/queue/jobs/{job.pk}/artifacts/a.csv"
    assert operator.get(f"/v1/queue/jobs/{job.pk}/artifacts").json() == [first, second]


def test_an_artifact_is_downloaded_as_a_file_that_no_browser_shows(cast: Cast, operator: Api) -> None:
    answer = operator.get(f"/v1/queue/jobs/{make('a.csv').pk}/artifacts/a.csv")
    assert content_of(answer) == CONTENT
    assert answer["Content-Disposition"] == 'attachment; filename="a.csv"'
    assert (answer["X-Content-Type-Options"], answer["Content-Type"]) == ("nosniff", "text/csv")
    assert (answer["ETag"], answer["Content-Length"]) == (f'"{SHA256}"', str(len(CONTENT)))


def test_who_has_the_content_already_does_not_get_it_again(cast: Cast, operator: Api) -> None:
    address = f"/v1/queue/jobs/{make('a.csv').pk}/artifacts/a.csv"
    answer = operator.send("GET", address, If_None_Match=f'"{SHA256}"')
    assert (answer.status_code, answer.content) == (304, b"")


def test_a_key_of_another_organization_finds_no_artifact(cast: Cast) -> None:
    address = f"/v1/queue/jobs/{make('a.csv', organization_id=cast.oslo.pk).pk}/artifacts"
    assert content_of(key_for(cast.north).get(f"{address}/a.csv")) == CONTENT
    for stranger in (key_for(cast.rival), key_for(cast.south)):
        for each in (address, f"{address}/a.csv"):
            answer = stranger.get(each)
            assert (answer.status_code, kind_of(answer)) == (404, "job-not-found")
        assert stranger.get("/v1/queue/artifacts").json()["results"] == []


def test_a_bound_key_finds_no_artifact_of_a_job_of_all_organizations(cast: Cast) -> None:
    job = make("a.csv")
    assert key_for(cast.acme).get(f"/v1/queue/jobs/{job.pk}/artifacts/a.csv").status_code == 404


def test_a_reader_sees_the_names_and_not_the_content(cast: Cast) -> None:
    job, reader = make("a.csv", organization_id=cast.oslo.pk), key_for(cast.north, Role.READER)
    assert [each["name"] for each in reader.get(f"/job-status/{job.pk}").json()["artifacts"]] == ["a.csv"]
    assert reader.get(f"/v1/queue/jobs/{job.pk}/artifacts/a.csv").status_code == 403


@pytest.mark.parametrize("name", ["b.csv", "..", "%2e%2e%2fa.csv", "..%5ca.csv", "a.csv%00", "A.CSV", "a.csv/"])
def test_other_names_find_nothing(cast: Cast, operator: Api, name: str) -> None:
    job = make("a.csv")
    assert operator.get(f"/v1/queue/jobs/{job.pk}/artifacts/{name}").status_code == 404


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".hidden", "a\\b", "a..b", "a\0b", "ä", "x" * 201, "a\n"])
def test_a_job_cannot_give_an_artifact_a_name_that_leads_elsewhere(name: str) -> None:
    errors: list[Exception] = []

    def work(run: Run) -> None:
        try:
            write(run, [name])
        except InvalidArtifactName as error:
            errors.append(error)

    lifecycle.create(kind=KIND)
    with doing(work):
        runner.run_next("default")
    assert (len(errors), stored()) == (1, [])


def test_two_artifacts_of_an_attempt_have_two_names() -> None:
    job = make("a.csv", "a.csv")
    assert "has an artifact with the name 'a.csv' already" in str(job.error_message)


def test_an_attempt_that_fails_has_no_artifacts_and_those_of_its_retry_count(cast: Cast, operator: Api) -> None:
    def fail(run: Run) -> None:
        write(run, ["a.csv"], b"half")
        raise RuntimeError

    job = lifecycle.create(kind=KIND)
    with doing(fail):
        runner.run_next("default")
    assert not Artifact.objects.exists()
    make_due()
    with doing(lambda run: write(run, ["a.csv"])):
        runner.run_next("default")
    assert statuses(job) == ["COMPLETED", "COMPLETED"]
    answer = operator.get(f"/v1/queue/jobs/{job.pk}/artifacts/a.csv")
    assert content_of(answer) == CONTENT


def test_a_permanent_failure_keeps_what_explains_it() -> None:
    def refuse(run: Run) -> None:
        write(run, ["problems.csv"])
        raise PermanentFailure("Line 3 is wrong.")

    job = lifecycle.create(kind=KIND)
    with doing(refuse):
        runner.run_next("default")
    assert (statuses(job), [each.name for each in job.artifacts.all()]) == (["FAILED"], ["problems.csv"])


def test_a_block_that_raises_leaves_no_file() -> None:
    def stumble(run: Run) -> None:
        with run.artifact("a.csv", "text/csv") as file:
            file.write(b"half")
            raise RuntimeError

    lifecycle.create(kind=KIND)
    with doing(stumble):
        runner.run_next("default")
    assert (stored(), Artifact.objects.count()) == ([], 0)


def test_an_expired_artifact_is_gone(cast: Cast, operator: Api) -> None:
    job = make("a.csv")
    Artifact.objects.update(expires_at=Now())
    assert operator.get(f"/job-status/{job.pk}").json()["artifacts"] == []
    answer = operator.get(f"/v1/queue/jobs/{job.pk}/artifacts/a.csv")
    assert (answer.status_code, kind_of(answer)) == (404, "artifact-not-found")


def test_an_artifact_whose_file_is_gone_says_so(cast: Cast, operator: Api) -> None:
    job = make("a.csv")
    artifact_files().delete(stored()[0])
    answer = operator.get(f"/v1/queue/jobs/{job.pk}/artifacts/a.csv")
    assert (kind_of(answer), "Run its job again" in answer.json()["detail"]) == ("artifact-not-found", True)
