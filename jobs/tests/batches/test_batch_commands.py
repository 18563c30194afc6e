"""The commands about batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.batches.models import Batch
from jobs.tests.batches.batch_steps import KIND, batch_of, claim, complete, fail, fresh
from orgs.tests.commands import OLGA, audit_entries, run

pytestmark = pytest.mark.django_db
DOCUMENT = {"name": "b", "members": [{"kind": KIND, "name": "one"}, {"kind": KIND, "arguments": {"number": 2}}]}


def written(folder: Path, document: Any) -> str:
    path = folder / "batch.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_batches_are_listed_with_their_outcome_and_progress() -> None:
    opened, ended = batch_of(2), batch_of(0)
    complete(claim())
    lines = run("batches").lines
    assert [str(ended.pk), "SUCCEEDED", "0", "of", "0"] in [line.split()[:5] for line in lines]
    assert [str(opened.pk), "open", "1", "of", "2"] in [line.split()[:5] for line in lines]
    document = run("batches", "--outcome", "open", "--json").document
    assert [batch["batchId"] for batch in document["results"]] == [opened.pk]
    assert run("batches", "--key", "mist").out == "There are no such batches.\n"
    assert "more than 1 batch" in run("batches", "--limit", "1").out


def test_a_batch_is_shown_with_its_members() -> None:
    batch = batch_of(2)
    fail(claim())
    shown = run("batch", str(batch.pk))
    for words in ("1 of 2", "1 waiting, 1 failed", "m0", "m1"):
        assert words in shown.out
    document = run("batch", str(batch.pk), "--status", "FAILED", "--json").document
    assert [member["name"] for member in document["members"]] == ["m0"]
    assert document["batch"]["members"]["failed"] == 1
    assert run("batch", "999999").status == 1


@pytest.mark.parametrize(("end", "status"), [(complete, 0), (fail, 1)])
def test_a_followed_batch_decides_the_exit_status(end: Any, status: int) -> None:
    batch = batch_of(1)
    end(claim())
    assert run("batch", str(batch.pk), "--follow").status == status
    assert run("batch", str(batch.pk)).status == 0


def test_a_batch_is_created_from_a_file_and_gets_more_members(tmp_path: Path) -> None:
    created = run("create_batch", written(tmp_path, DOCUMENT | {"key": "k"}), "--reason", "why")
    batch = Batch.objects.get()
    assert created.out == f"Batch {batch.pk} is created, with 2 members.\n"
    again = run("create_batch", written(tmp_path, DOCUMENT | {"key": "k"}))
    assert again.out == f"Batch {batch.pk} is open already, with 2 members.\n"
    added = run("create_batch", written(tmp_path, {"members": DOCUMENT["members"]}), "--into", str(batch.pk))
    assert added.out == f"Batch {batch.pk} has 4 members now.\n"
    assert audit_entries() == [
        (OLGA, "batch.create", f"batch:{batch.pk}", "why", "command"),
        (OLGA, "batch.add", f"batch:{batch.pk}", "", "command"),
    ]


@pytest.mark.parametrize(
    ("document", "words", "status"),
    [
        ("no JSON", "is not valid JSON", 2),
        ({"name": "b"}, "members: This field is required.", 1),
        ({"name": "b", "members": [{"kind": "mist"}]}, "No job of the kind 'mist' can be enqueued", 1),
        ([1], "Invalid data", 1),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, document: Any, words: str, status: int) -> None:
    ran = run("create_batch", written(tmp_path, document))
    assert words in ran.error
    assert ran.status == status
    assert run("create_batch", str(tmp_path / "mist.json")).status == 2


def test_what_failed_is_retried_and_a_batch_is_cancelled() -> None:
    batch = batch_of(2)
    fail(claim())
    assert run("retry_batch", str(batch.pk), "--reason", "mended").out == "1 member retried.\n"
    cancelled = run("cancel_batch", str(batch.pk), "--json").document
    assert (cancelled["done"], cancelled["outcome"], cancelled["cancelledBy"]) == (2, "CANCELLED", OLGA)
    assert fresh(batch).outcome == "CANCELLED"
    refused = run("cancel_batch", str(batch.pk))
    assert (refused.error, refused.status) == (f"Batch {batch.pk} has ended: CANCELLED.", 1)
