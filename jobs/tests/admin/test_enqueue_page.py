"""The page that enqueues a job, with a form for each kind made from its JSON schema."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from conftest import Cast
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.runner import run_next
from jobs.tests.operations.test_enqueueing import KIND
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/jobs/job/enqueue/"
RICH = "rich-kind-of-a-test"
PROPERTIES: dict[str, Any] = {
    "title": {"type": "string", "maxLength": 20, "description": "What the report is called."},
    "format": {"type": "string", "enum": ["csv", "pdf"], "default": "csv"},
    "rows": {"type": "integer", "minimum": 1, "maximum": 100},
    "share": {"type": "number"},
    "dryRun": {"type": "boolean"},
    "since": {"type": "string", "format": "date"},
    "flags": {"type": "array", "items": {"type": "string"}},
    "ids": {"type": "array", "items": {"type": "integer"}},
    "parts": {"type": "array", "items": {"type": "string", "enum": ["usage", "audit"]}},
    "filter": {"type": "object", "properties": {"tag": {"type": "string"}}, "additionalProperties": False},
    "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
}


@job_kind(
    RICH,
    summary="Makes a report.",
    arguments={"type": "object", "properties": PROPERTIES, "required": ["title"], "additionalProperties": False},
)
def make(run: Run) -> None:
    """Do nothing."""


def posted(client: Any, kind: str, **values: Any) -> Any:
    return client.post(f"{PAGE}?kind={kind}", values)


def test_each_property_of_a_schema_has_a_field_that_fits_it() -> None:
    page = shown(signed_in("operator").get(f"{PAGE}?kind={RICH}"))
    for part in (
        'maxlength="20"', "What the report is called.", 'name="arguments-format"', '<option value="csv" selected>csv',
        'type="number" name="arguments-rows" min="1" max="100"', 'type="date"', "One in each line.", "As JSON.",
        'type="checkbox" name="arguments-parts" value="usage"', '<option value="" selected>–</option>',
    ):  # fmt: skip
        assert part in page, part
    assert page.count('title="required"') == 1


def test_the_values_of_the_form_are_the_arguments_of_the_job() -> None:
    client = signed_in("operator")
    answer = posted(
        client, RICH, reason="a customer waits", run_at="2030-01-31T09:00", priority="-3",
        **{
            "arguments-title": "June", "arguments-format": "pdf", "arguments-rows": "7", "arguments-share": "0.5",
            "arguments-dryRun": "false", "arguments-since": "2026-06-01", "arguments-flags": "new-basket\r\n sale \r\n",
            "arguments-ids": "3\n4", "arguments-parts": ["usage"], "arguments-filter": '{"tag": "web"}',
            "arguments-either": "17",
        },
    )  # fmt: skip
    job = Job.objects.get(kind=RICH)
    assert answer.headers["Location"] == f"/admin/jobs/job/{job.pk}/change/"
    assert job.arguments == {
        "title": "June", "format": "pdf", "rows": 7, "share": 0.5, "dryRun": False, "since": "2026-06-01",
        "flags": ["new-basket", "sale"], "ids": [3, 4], "parts": ["usage"], "filter": {"tag": "web"}, "either": 17,
    }  # fmt: skip
    assert (job.run_at, job.priority, job.trigger) == (datetime(2030, 1, 31, 9, tzinfo=UTC), -3, "admin")
    entry = AuditEntry.objects.get(action="job.enqueue")
    assert (entry.actor, entry.reason, entry.via) == ("user:pat", "a customer waits", "admin")


def test_empty_fields_are_no_arguments() -> None:
    posted(signed_in("operator"), RICH, **{"arguments-title": "June", "arguments-format": "csv"})
    assert Job.objects.get(kind=RICH).arguments == {"title": "June", "format": "csv"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", "", "This field is required."),
        ("rows", "101", "less than or equal to 100"),
        ("ids", "3\nfour", "Write a number in each line."),
        ("since", "yesterday", "Write a day such as 2026-11-30."),
        ("filter", '{"colour": "red"}', "This argument does not exist here. The arguments are: tag."),
        ("filter", "tag", "Enter a valid JSON."),
        ("filter", r'{"tag": "\u0000"}', "NUL"),
    ],
)
def test_wrong_values_are_named_beside_their_fields(field: str, value: str, words: str) -> None:
    values = {"arguments-title": "June", f"arguments-{field}": value}
    assert words in shown(posted(signed_in("operator"), RICH, **values))
    assert not Job.objects.exists()


def test_a_kind_of_organizations_works_for_the_chosen_subtree(cast: Cast) -> None:
    posted(signed_in("operator"), KIND, organization="acme", **{"arguments-upTo": "3"})
    assert Job.objects.get(kind=KIND).organization_id == cast.acme.pk
    assert 'name="organization"' not in shown(signed_in("operator", name="ola").get(f"{PAGE}?kind={RICH}"))


def test_a_bound_person_enqueues_for_the_own_subtree_only(cast: Cast) -> None:
    client = signed_in("operator", bound_to=cast.north)
    assert RICH not in shown(client.get(PAGE))
    assert posted(client, RICH, **{"arguments-title": "x"}).status_code == 403
    assert "No organization" in shown(posted(client, KIND, organization="acme", **{"arguments-upTo": "3"}))
    assert not Job.objects.exists()
    posted(client, KIND, **{"arguments-upTo": "3"})
    assert Job.objects.get().organization_id == cast.north.pk


def test_a_second_job_with_the_unique_key_is_not_created() -> None:
    client = signed_in("operator")
    values = {"unique_key": "june", "arguments-upTo": "3"}
    posted(client, KIND, **values)
    again = client.post(f"{PAGE}?kind={KIND}", values, follow=True)
    assert "has this unique key already" in shown(again)
    assert Job.objects.count() == 1


def test_viewers_cannot_open_the_page_and_unknown_kinds_are_not_found(cast: Cast) -> None:
    client = signed_in("viewer")
    assert (client.get(PAGE).status_code, posted(client, KIND).status_code) == (403, 403)
    assert f'href="{PAGE}"' not in shown(client.get("/admin/jobs/job/"))
    operator = signed_in("operator", name="ola")
    assert f'href="{PAGE}"' in shown(operator.get("/admin/jobs/job/"))
    assert "Makes a report." in shown(operator.get(PAGE))
    assert operator.get(f"{PAGE}?kind=propagation").status_code == 404


def test_the_page_of_a_job_shows_its_result_and_what_it_did() -> None:
    client = signed_in("operator")
    posted(client, KIND, **{"arguments-upTo": "2"})
    run_next("default")
    page = shown(client.get(f"/admin/jobs/job/{Job.objects.get().pk}/change/"))
    assert "&quot;counted&quot;: [" in page
    assert "had a newer value" not in page
