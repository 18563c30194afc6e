"""The commands that find flags and organizations, and that read adoption and metrics."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.definitions import service
from flagsite.tests.admin.values import put
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api
from orgs.tests.commands import OLGA, run


def test_flags_are_found_by_their_definitions_as_over_http(cast: Cast, admin_key: str) -> None:
    run("define_flag", "new-checkout", "owner=checkout-team", 'tags=["web"]')
    run("define_flag", "old-search", "description=The search")
    run("archive_flag", "old-search")
    found = run("flags", "--json").document
    assert found == {"results": Api(admin_key).get("/v1/feature-flags").json()["results"], "more": False}
    for options, names in (
        (("--owner", "checkout-team"), ["new-checkout"]), (("--tag", "web"), ["new-checkout"]),
        (("--search", "CHECK"), ["new-checkout"]), (("--archived",), ["old-search"]), (("--stale",), []),
        (("--kind", "permission"), []), (("old-search", "new-checkout"), ["old-search", "new-checkout"]),
    ):  # fmt: skip
        assert [flag["name"] for flag in run("flags", *options, "--json").document["results"]] == names, options
    assert "archived" in run("flags", "old-search").out
    assert run("flags", "--tag", "none").lines == ["No flag matches."]
    refused = run("flags", "nowhere")
    assert (refused.status, "nowhere" in refused.error) == (1, True)


def test_a_limit_says_that_there_are_more(cast: Cast) -> None:
    for name in ("a", "b"):
        service.create(key=name, values={}, by="test")
    assert run("flags", "--limit", 1, "--json").document["more"]
    assert run("flags", "--limit", 1).lines[-1] == "There are more than 1. A higher --limit shows more."
    assert run("organizations", "--limit", 1).lines[-1] == "There are more than 1. A higher --limit shows more."


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ((), ["acme", "north", "oslo", "bergen", "south", "rome", "rival", "rival_store"]),
        (("--key", "oslo"), ["oslo"]), (("--name", "O"), ["north", "oslo", "south", "rome", "rival_store"]),
        (("--parent", "acme"), ["north", "south"]), (("--parent", "root"), ["acme", "rival"]),
        (("--above", "oslo"), ["acme", "north"]), (("--below", "north"), ["oslo", "bergen"]),
        (("--below", "acme", "--name", "rom"), ["rome"]), (("--key", "nowhere"), []),
    ],
)  # fmt: skip
def test_organizations_are_found_as_over_http(cast: Cast, options: tuple[str, ...], keys: list[str]) -> None:
    found = run("organizations", *options, "--json").document["results"]
    assert [one["key"] for one in found] == keys


def test_organizations_are_shown_with_their_paths(cast: Cast, admin_key: str) -> None:
    (shown,) = run("organizations", "--key", "oslo", "--json").document["results"]
    assert shown == Api(admin_key).get(f"/organizations/{cast.oslo.pk}").json()
    assert "Acme › North › Oslo" in run("organizations", "--key", "oslo").out
    assert run("organizations", "--key", "nowhere").lines == ["No organization matches."]
    assert run("organizations", "--below", "nowhere").status == 1


def test_the_adoption_is_that_of_the_api(cast: Cast, admin_key: str) -> None:
    put(cast.acme, "new-checkout", True)
    put(cast.rome, "new-checkout", False)
    for options, query in (((), {}), (("--organization", "acme"), {"organizationId": "acme"})):
        answer = Api(admin_key).get("/v1/feature-flags/new-checkout/adoption", **query).json()
        found = run("adoption", "new-checkout", *options, "--json").document
        assert {**found, "countedAt": None} == {**answer, "countedAt": None}
    assert run("adoption", "new-checkout", "--organization", "acme").lines[0] == (
        "new-checkout below and at acme: on for 5, off for 1."
    )
    assert run("adoption", "nowhere").status == 1


def test_the_adoption_of_a_killed_flag_says_so_beside_the_stored_values(cast: Cast) -> None:
    put(cast.acme, "new-checkout", True)
    run("change_flag", "new-checkout", "killed=true")
    everywhere, killed, counted = run("adoption", "new-checkout").lines[:3]
    assert everywhere == "new-checkout in all organizations: on for 0, off for 8."
    assert killed == "The flag is killed. Stored values: 6 on, 2 off."
    assert counted.startswith("Counted at ")


def test_the_metrics_are_printed_as_text_and_as_json(cast: Cast) -> None:
    assert "flagsite_database_up 1.0" in run("metrics").lines
    metrics = run("metrics", "--json").document["metrics"]
    (sample,) = metrics["flagsite_database_up"]["samples"]
    assert (sample["value"], metrics["flagsite_queue_jobs"]["type"]) == (1.0, "gauge")


def test_processes_are_told_to_read_again_with_a_reason(cast: Cast) -> None:
    ran = run("invalidate_cache", "--organization", "oslo", "--organization", "nowhere", "--flag", "old", "--json",
              "--reason", "restored by hand")  # fmt: skip
    assert (ran.status, ran.document["done"]) == (1, [{"organizationId": cast.oslo.pk}])
    assert [one.get("organizationId") or one.get("featureFlag") for one in ran.document["failed"]] == ["nowhere", "old"]
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.actor, entry.reason) == ("cache.invalidate", OLGA, "restored by hand")
    assert run("invalidate_cache", "--all").lines == ["1 done, 0 refused."]
    assert run("invalidate_cache").status == 2
