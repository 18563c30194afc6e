"""What a replay refuses: each refusal names the line, and leaves no artifact."""

from __future__ import annotations

import io
from typing import Any

import pytest

from conftest import Cast
from flags.replay import recording, replay_job
from flags.tests.replay.replaying import as_file, line, replayed, uploaded
from jobs.artifacts import files
from jobs.engine.models import Job
from jobs.engine.run import CancelRequested
from jobs.engine.runner import run_next
from jobs.errors import ArtifactNotFound, InvalidJobArguments
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import statuses
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db
GOOD = as_file([line({"plain": {"value": True}}, targetingKey="ann")])


def refusal_of(content: bytes) -> str:
    job = replayed(content)
    assert (statuses(job), job.artifacts.exists(), job.result) == (["FAILED"], False, None)
    return str(job.error_message)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{]\n", "It is not JSON"),
        (b'{"context": {}, "flags": {"\\ud83d": {"value": 1}}}', "It is not JSON"),
        (b"\xff\n", "It is not JSON"),
        (b"7\n", 'It must have the form {"context"'),
        (b'{"flags": {}}\n', "It must have the form"),
        (b'{"context": {}}\n', "It must have the form"),
        (b'{"context": [], "flags": {}}\n', "It must have the form"),
        (b'{"context": {}, "flags": {"plain": true}}\n', "The answer of 'plain' must be an object with value"),
        (b'{"context": {}, "flags": {"plain": {"valeu": 1}}}\n', "The answer of 'plain' must be an object with value"),
        (b'{"context": {}, "flags": {"plain": {"variant": 1}}}\n', "The variant of 'plain' must be a text or null"),
        (b'{"context": {}, "flags": {"plain": {"errorCode": 1}}}\n', "The errorCode of 'plain' must be a text"),
        (b'{"context": {"targetingKey": 7}, "flags": {}}\n', "The context's targetingKey must be a string"),
        (b'{"context": {"environment": {}}, "flags": {}}\n', "The context's environment must be a string"),
        (b'{"context": {"organizationId": []}, "flags": {}}\n', "organizationId must be an integer or a string"),
        (b'{"context": {"organizationId": "nowhere"}, "flags": {}}\n', "There is no such organization"),
        (b'{"context": {"organizationKey": "\\u0000"}, "flags": {}}\n', "There is no such organization"),
        (b'{"context": {"organizationId": "oslo", "organizationKey": "rome"}, "flags": {}}\n', "two organizations"),
        (b'{"context": {"organizationKey": "%s"}, "flags": {}}\n' % (b"x" * 1_000), "the name is too long"),
        (b'{"context": {}, "flags": {"%s": {"value": 1}}}\n' % (b"x" * 1_001), "The name of a flag is longer"),
    ],
)
def test_a_line_that_cannot_be_replayed_is_named(cast: Cast, content: bytes, words: str) -> None:
    message = refusal_of(GOOD + b"\n" + content)
    assert (message.startswith("Line 3: "), words in message) == (True, True), message


@pytest.mark.parametrize("content", [b"", b"\n\n", b'\xef\xbb\xbf{"context": {}, "flags": {}}\n'])
def test_a_file_that_compares_nothing_proves_nothing(content: bytes) -> None:
    assert refusal_of(content) == "The file has no answers, so there is nothing to compare."


def test_a_replay_of_empty_lines_can_be_cancelled() -> None:
    read, file = [], io.BytesIO(b"\n" * 25_000)

    def cancelled() -> None:
        read.append(file.tell())
        if len(read) == 2:
            raise CancelRequested

    with pytest.raises(CancelRequested):
        list(recording.recorded_contexts(file, cancelled))
    assert read == [10_000, 20_000]


@pytest.mark.parametrize(
    ("limit", "most", "words"),
    [
        ("MAX_CONTEXTS", 1, "Line 2: The file has more than 1 contexts. Split it."),
        ("MAX_FLAGS", 1, "Line 2: The file has more than 1 flags. Split it."),
        ("MAX_ORGANIZATIONS", 1, "Line 2: The file has more than 1 organizations. Split it."),
        ("LONGEST_LINE", len(GOOD) - 2, f"Line 1: It is longer than {len(GOOD) - 2} bytes."),
    ],
)
def test_a_file_with_too_much_is_refused(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, words: str
) -> None:
    monkeypatch.setattr(recording, limit, most)
    assert refusal_of(GOOD + as_file([line({"other": {"value": True}}, organizationId="oslo")])) == words


def test_a_line_may_be_as_long_as_the_limit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LONGEST_LINE", len(GOOD) - 1)
    assert replayed(GOOD + GOOD.rstrip(b"\n")).result["contexts"] == 2


def test_a_file_that_is_too_large_is_refused_before_the_job_and_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"artifactId": uploaded(GOOD).pk}
    job = enqueue(kind="answer_replay", arguments=arguments, by="command:olga").job
    monkeypatch.setattr(replay_job, "MAX_BYTES", len(GOOD) - 1)
    with pytest.raises(InvalidJobArguments, match="a replay reads at most"):
        enqueue(kind="answer_replay", arguments=arguments, by="command:olga")
    run_next("default")
    assert "Split the file" in str(Job.objects.get(pk=job.pk).error_message)


def test_a_file_that_is_not_there_is_refused_before_the_job_and_in_it() -> None:
    with pytest.raises(ArtifactNotFound):
        enqueue(kind="answer_replay", arguments={"artifactId": 7}, by="command:olga")
    artifact = uploaded(GOOD)
    job = enqueue(kind="answer_replay", arguments={"artifactId": artifact.pk}, by="command:olga").job
    files.artifact_files().delete(artifact.storage_key)
    run_next("default")
    assert "is gone. Upload it again" in str(Job.objects.get(pk=job.pk).error_message)


def test_the_rights_of_the_requester_count_when_the_job_runs() -> None:
    key, secret = access_keys.create(name="mover", role=Role.OPERATOR)
    body: dict[str, Any] = {"kind": "answer_replay", "arguments": {"artifactId": uploaded(GOOD).pk}}
    job_id = Api(secret).post("/v1/queue/jobs", body).json()["jobId"]
    access_keys.revoke(prefix=key.prefix)
    run_next("default")
    job = Job.objects.get(pk=job_id)
    assert (job.status, "may no longer request it" in str(job.error_message)) == ("FAILED", True)


def test_a_reader_may_not_replay() -> None:
    _, secret = access_keys.create(name="reader", role=Role.READER)
    body: dict[str, Any] = {"kind": "answer_replay", "arguments": {"artifactId": uploaded(GOOD).pk}}
    assert Api(secret).post("/v1/queue/jobs", body).status_code == 403
