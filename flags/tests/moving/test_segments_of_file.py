"""The segments of a flag file are written before the flags that need them, and a mirrored file has no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import _key
from flags.definitions import service as definitions
from flags.definitions.models import Flag
from flags.moving import flag_file
from flags.segments import service
from flags.segments.models import Segment
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run

pytestmark = pytest.mark.django_db
FILE = "/v1/flag-file"
PRO = {"attribute": "plan", "op": "in", "values": ["pro"]}


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def asking(key: str, **more: Any) -> dict[str, Any]:
    return {"id": "one", "clauses": [{"op": "inSegment", "values": [key]}], **more}


@pytest.fixture
def content(api: Api) -> dict[str, Any]:
    """The file with a flag that asks for the segment `a`, which contains `b`."""
    service.create(key="b", values={"rules": [{"clauses": [PRO]}], "included": ["ann"], "tags": ["q4"]}, by="x")
    service.create(key="a", values={"rules": [asking("b")]}, by="x")
    definitions.create(key="f", values={"targeting_rules": [asking("a", serve={"variant": "on"})]}, by="x")
    return flag_file.document()


def written(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.content
    return [(each["key"], each["action"]) for each in answer.json()["segments"]]


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_export_of_what_was_imported_has_the_same_bytes(api: Api, content: dict[str, Any], method: str) -> None:
    first = flag_file.text_of(content)
    assert [segment["key"] for segment in content["segments"]] == ["a", "b"]
    entries = AuditEntry.objects.count()
    assert written(api.send(method, FILE, content)) == [("a", "none"), ("b", "none")]
    assert AuditEntry.objects.count() == entries, "nothing was written"
    Flag.objects.all().delete()
    Segment.objects.all().delete()
    assert written(api.send(method, FILE, content)) == [("a", "create"), ("b", "create")]
    assert flag_file.text_of(flag_file.document()) == first


def test_without_segments_the_file_has_no_such_member(api: Api) -> None:
    assert set(api.get(FILE).json()) == {"format", "flags"}


def test_merge_changes_what_the_file_has_and_mirror_also_resets_and_deletes(api: Api, content: dict[str, Any]) -> None:
    service.create(key="other", values={}, by="x")
    part = {"flags": [], "segments": [{"key": "b", "excluded": ["bob"]}]}
    merged = api.post(FILE, part)
    assert written(merged) == [("b", "change")]
    assert merged.json()["segments"][0]["changes"] == [{"field": "excluded", "before": [], "after": ["bob"]}]
    assert Segment.objects.get(key="b").included == ["ann"]
    content["segments"] = [each for each in content["segments"] if each["key"] == "a"]
    content["segments"][0] = {"key": "a"}
    planned = api.post(f"{FILE}/plan?mode=mirror", content)
    assert written(planned) == [("a", "change"), ("b", "delete"), ("other", "delete")]
    assert Segment.objects.count() == 3
    assert written(api.put(FILE, content)) == written(planned)
    assert list(Segment.objects.values_list("key", "rules")) == [("a", [])]


def test_mirror_keeps_a_segment_that_an_archived_flag_needs(api: Api, content: dict[str, Any]) -> None:
    assert written(api.put(FILE, {"flags": []})) == []
    assert Flag.objects.get().archived
    assert Segment.objects.count() == 2


@pytest.mark.parametrize(
    ("segments", "status", "kind", "words"),
    [
        ([{"key": "x", "rules": [asking("y")]}, {"key": "y", "rules": [asking("x")]}], 409, "segment-cycle", " -> "),
        ([{"key": "x", "rules": [asking("gone")]}], 400, "unknown-segment", "The segment 'x': There is no segment"),
        ([{"key": "x"}, {"key": "x"}], 400, "invalid-input", "A segment is there twice."),
        ([{"key": "x", "rules": 3}], 400, "invalid-input", "The segment 'x': rules: Not a list"),
        ([{"rules": []}], 400, "invalid-input", "A segment without a key"),
        ({}, 400, "invalid-input", "Not a list of at most"),
    ],
)
def test_a_file_with_a_wrong_segment_writes_nothing(
    api: Api, segments: Any, status: int, kind: str, words: str
) -> None:
    refused = api.post(FILE, {"flags": [{"name": "f"}], "segments": segments})
    assert (refused.status_code, kind_of(refused)) == (status, kind), refused.content
    assert words in refused.content.decode()
    assert not Segment.objects.exists()
    assert not Flag.objects.exists()


def test_segments_that_turn_around_are_written_in_an_order_that_works(api: Api, content: dict[str, Any]) -> None:
    turned = [{"key": "a", "rules": [{"clauses": [PRO]}]}, {"key": "b", "rules": [asking("a")]}]
    assert written(api.post(FILE, {"flags": [], "segments": turned})) == [("a", "change"), ("b", "change")]


def test_the_commands_and_the_etag_know_segments(api: Api, content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    tag = api.get(FILE)["ETag"]
    run("export_flags", str(file))
    service.update(key="b", values={"included": []}, by="x")
    assert api.get(FILE)["ETag"] != tag
    said = run("import_flags", str(file), "--plan").out
    assert 'segment b is changed (included: [] → ["ann"])' in said
    assert "2 segments: 0 created, 1 changed, 0 deleted, 1 unchanged." in said
    assert run("import_flags", str(file), "--mirror").status == 0
    assert flag_file.document() == json.loads(file.read_text())


def test_segments_that_the_file_does_not_have_count_for_the_order(api: Api) -> None:
    for key, rules in (("a", []), ("b", [asking("a")]), ("c", []), ("d", []), ("middle", [asking("b")])):
        service.create(key=key, values={"rules": rules}, by="x")
    wanted = {"a": [asking("middle")], "b": [asking("c")], "c": [asking("d")], "new": []}
    segments = [{"key": key, "rules": rules} for key, rules in wanted.items()]
    changed = written(api.post(FILE, {"flags": [], "segments": segments}))
    assert changed == [("a", "change"), ("b", "change"), ("c", "change"), ("new", "create")]


def test_a_file_has_at_most_a_thousand_segments(api: Api) -> None:
    refused = api.post(FILE, {"flags": [], "segments": [{"key": f"s{number}"} for number in range(1_001)]})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-input")
