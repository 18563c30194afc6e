"""Defining flags in the admin site, archiving and purging them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import planned
from jobs.engine.models import Job
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/flags/flag/"
FILLED_IN = {
    "description": "Another look.", "enabled": "on", "rollout_percentage": "12.5", "rollout_unit": "targetingKey",
    "rollout_level": "", "salt": "s", "whitelist": "u1\r\n\r\nu2\r\n", "environments": '{"staging": true}',
    "owner": "team a", "tags": "a, b", "kind": "release", "expires_on": "2027-01-31", "reason": "pilot",
}  # fmt: skip


@pytest.fixture
def operator() -> Client:
    return signed_in("operator")


@pytest.fixture
def flag(db: None) -> Flag:
    return service.create(key="f", values={"whitelist": ["somebody"]}, by="user:olga")


def page_of(flag: Flag) -> str:
    return f"{LIST}{flag.pk}/change/"


def form_of(flag: Flag) -> str:
    return f"{page_of(flag)}?tab=definition"


def operation(flag: Flag, name: str) -> str:
    return f"{LIST}{flag.pk}/{name}/do/"


def latest() -> AuditEntry:
    return AuditEntry.objects.latest("id")


def test_an_operator_defines_a_flag_and_says_why(operator: Client) -> None:
    needed = service.create(key="needed", values={}, by="user:olga")
    shown(operator.get(f"{LIST}add/"))
    answer = operator.post(f"{LIST}add/", FILLED_IN | {"key": "new-ui", "prerequisites": [needed.pk]})
    made = Flag.objects.get(key="new-ui")
    assert (answer.status_code, made.created_by, made.version) == (302, "user:pat", 1)
    assert (made.whitelist, made.tags, made.environments) == (["u1", "u2"], ["a", "b"], {"staging": True})
    assert [each.key for each in made.prerequisites.all()] == ["needed"]
    entry = latest()
    assert (entry.action, entry.actor, entry.reason, entry.via) == ("flag.create", "user:pat", "pilot", "admin")
    assert entry.details["after"]["rolloutPercentage"] == 12.5


def test_an_operator_changes_a_flag_and_the_audit_log_has_both_values(operator: Client, flag: Flag) -> None:
    page = shown(operator.get(form_of(flag)))
    assert f'value="{flag.revision}"' in page
    assert "somebody" in page
    answer = operator.post(form_of(flag), FILLED_IN | {"based_on": flag.revision, "key": "other"})
    assert answer.status_code == 302
    flag.refresh_from_db()
    assert (flag.key, flag.version, flag.updated_by, flag.salt) == ("f", 2, "user:pat", "s")
    assert latest().details["before"]["userWhitelist"] == ["somebody"]
    assert latest().details["after"]["userWhitelist"] == ["u1", "u2"]


def test_who_looked_at_an_older_version_is_told_and_nothing_is_lost(operator: Client, flag: Flag) -> None:
    old = flag.revision
    service.update(key="f", values={"owner": "quicker"}, by="user:olga")
    page = shown(operator.post(form_of(flag), FILLED_IN | {"based_on": old}))
    assert "Somebody has changed the flag since you opened this page." in page
    flag.refresh_from_db()
    assert (flag.owner, flag.version) == ("quicker", 2)


def test_who_is_too_late_by_a_moment_is_told_too(operator: Client, flag: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    really = service.update

    def after_another(**asked: Any) -> Flag:
        monkeypatch.setattr(service, "update", really)
        service.update(key="f", values={"owner": "quicker"}, by="user:olga")
        return service.update(**asked)

    monkeypatch.setattr(service, "update", after_another)
    answer = operator.post(form_of(flag), FILLED_IN | {"based_on": flag.revision}, follow=True)
    assert "Somebody has changed the flag since you read it" in shown(answer)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rollout_unit": "ancestor"}, "The unit ancestor needs a level"),
        ({"rollout_percentage": "101"}, "Not a number from 0 to 100."),
        ({"rollout_percentage": "a"}, "Enter a number."),
        ({"environments": '{"staging": 1}'}, "Every value must be true or false."),
        ({"environments": '{"my env/!": true}'}, "A name has 1 to 64 of"),
        ({"environments": "{"}, "This is not JSON. Write names and values such as"),
        ({"tags": "x" * 65}, "Every entry must be a text of 1 to 64 characters."),
        ({"kind": "big"}, "Select a valid choice"),
    ],
)
def test_what_makes_no_sense_is_told_beside_the_field(
    operator: Client, flag: Flag, wrong: dict[str, str], message: str
) -> None:
    page = shown(operator.post(form_of(flag), FILLED_IN | {"based_on": flag.revision} | wrong))
    assert message in page
    assert Flag.objects.get().version == 1


def test_an_empty_salt_leaves_the_one_that_there_is(operator: Client, flag: Flag) -> None:
    for salt in (flag.salt, ""):
        Flag.objects.update(salt=salt)
        flag.refresh_from_db()
        operator.post(form_of(flag), FILLED_IN | {"based_on": flag.revision, "salt": "", "owner": f"of {salt}"})
        flag.refresh_from_db()
        assert (flag.salt, flag.owner) == (salt, f"of {salt}".strip())
    operator.post(f"{LIST}add/", FILLED_IN | {"key": "new-ui", "salt": ""})
    assert len(Flag.objects.get(key="new-ui").salt) == 8


def test_a_circle_is_told(operator: Client, flag: Flag) -> None:
    other = service.create(key="g", values={"prerequisites": ["f"]}, by="user:olga")
    page = shown(operator.post(form_of(flag), FILLED_IN | {"based_on": flag.revision, "prerequisites": [other.pk]}))
    assert "f -&gt; g -&gt; f" in page


def test_archiving_is_asked_for_and_can_be_taken_back(operator: Client, flag: Flag) -> None:
    assert operation(flag, "archive") in shown(operator.get(page_of(flag)))
    assert "off for everybody" in shown(operator.get(operation(flag, "archive")))
    assert not Flag.objects.get().archived
    operator.post(operation(flag, "archive"), {"reason": "over", "based_on": flag.revision})
    flag.refresh_from_db()
    assert (flag.archived, latest().action, latest().reason) == (True, "flag.archive", "over")
    assert operation(flag, "unarchive") in shown(operator.get(page_of(flag)))
    stale = shown(operator.post(operation(flag, "unarchive"), {"reason": "back", "based_on": "1-1"}))
    assert "Somebody has changed the flag since you read it" in stale
    operator.post(operation(flag, "unarchive"), {"reason": "back", "based_on": flag.revision})
    assert not Flag.objects.get().archived


def test_the_form_of_an_archived_flag_only_shows_the_definition_until_somebody_unarchives_it(
    operator: Client, flag: Flag
) -> None:
    service.archive(key="f", by="user:olga")
    page = shown(operator.get(form_of(flag)))
    assert 'name="description"' not in page
    assert 'name="_save"' not in page
    assert "to change it, unarchive the flag" in page
    assert operation(flag, "unarchive") in page
    flag.refresh_from_db()
    refused = operator.post(form_of(flag), FILLED_IN | {"based_on": flag.revision})
    assert refused.status_code == 403
    assert Flag.objects.get().description == ""
    operator.post(operation(flag, "unarchive"), {"reason": "back", "based_on": flag.revision})
    assert 'name="description"' in shown(operator.get(form_of(flag)))


def test_an_archived_flag_says_so_above_its_form_and_a_live_one_offers_to_set_it(operator: Client, flag: Flag) -> None:
    choose = f"{LIST}{flag.pk}/set/"
    assert "state-of-flag" not in shown(operator.get(page_of(flag)))
    assert choose in shown(operator.get(page_of(flag)))
    service.archive(key="f", by="user:olga")
    page = shown(operator.get(page_of(flag)))
    assert "The flag is archived." in page
    assert choose not in page


def test_who_archives_a_flag_is_told_of_its_scheduled_changes_before_and_after(
    cast: Cast, operator: Client, flag: Flag
) -> None:
    planned(cast.oslo, flag="f")
    asked = shown(operator.get(operation(flag, "archive")))
    assert "1 scheduled change of the flag still waits. As long as the flag is archived" in asked
    done = shown(operator.post(operation(flag, "archive"), {"reason": "over", "based_on": flag.revision}, follow=True))
    assert "f is archived. Reason: over" in done
    assert "1 scheduled change of f still waits." in done


def test_a_flag_is_set_from_its_own_page_on_a_chosen_organization(cast: Cast, operator: Client, flag: Flag) -> None:
    choose = f"{LIST}{flag.pk}/set/"
    assert "has the key or id" in shown(operator.post(choose, {"organization": "nowhere"}))
    answer = operator.post(choose, {"organization": "oslo"})
    assert (answer.status_code, answer["Location"]) == (302, f"{LIST}set/{cast.oslo.pk}/?flag=f")
    assert 'value="f"' in shown(operator.get(answer["Location"]))
    assert signed_in("viewer", name="vic").get(choose).status_code == 403


def test_a_live_flag_is_not_purged_and_the_page_offers_no_purge(flag: Flag) -> None:
    admin = signed_in("admin")
    assert operation(flag, "purge") not in shown(admin.get(page_of(flag)))
    asked = {"reason": "over", "based_on": flag.revision, "key": "f"}
    assert "Archive it first" in shown(admin.post(operation(flag, "purge"), asked))
    assert not Job.objects.exists()


def test_a_name_that_an_archived_flag_has_is_refused_with_the_way_out(operator: Client, flag: Flag) -> None:
    service.archive(key="f", by="user:olga")
    page = shown(operator.post(f"{LIST}add/", FILLED_IN | {"key": "f"}))
    assert "it is archived. To use it again, unarchive it" in page


def test_a_purge_wants_the_key_once_more(flag: Flag) -> None:
    admin = signed_in("admin")
    flag = service.archive(key="f", by="user:olga")
    asked = {"reason": "over", "based_on": flag.revision}
    assert "This is not the key of the flag" in shown(admin.post(operation(flag, "purge"), asked | {"key": "g"}))
    assert not Job.objects.exists()
    answer = admin.post(operation(flag, "purge"), asked | {"key": "f"})
    job = Job.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/jobs/job/{job.pk}/change/")
    assert (job.kind, job.requested_by, latest().reason) == ("purge", "user:pat", "over")
    assert "purge" in shown(admin.get(answer["Location"]))
    assert "purge" in shown(admin.get("/admin/jobs/job/"))
    assert "/do/" not in shown(admin.get(page_of(flag)))
    assert admin.post(form_of(flag), FILLED_IN | {"based_on": flag.revision}).status_code == 403
    assert admin.get(operation(flag, "archive")).status_code == 403


@pytest.mark.parametrize("who", ["viewer", "bound admin"])
def test_who_may_not_define_flags_looks_and_changes_nothing(cast: Cast, flag: Flag, who: str) -> None:
    client = signed_in(who.removeprefix("bound "), bound_to=cast.north if who.startswith("bound") else None)
    set_flag(organization_id=cast.oslo.pk, flag_key="f", enabled=True)
    page = shown(client.get(form_of(flag)))
    for others in ("somebody", flag.salt, flag.created_by):
        assert (others in page) == (who == "viewer")
    assert "/do/" not in page
    assert client.get(f"{LIST}add/").status_code == 403
    for address in (f"{LIST}add/", form_of(flag), operation(flag, "archive"), operation(flag, "purge")):
        values = FILLED_IN | {"key": "f", "based_on": flag.revision}
        assert client.post(address, values).status_code == 403, address
    assert Flag.objects.get().version == 1
    assert client.get(operation(flag, "burn")).status_code == 403


def test_an_archived_flag_is_not_switched_and_the_page_says_why(operator: Client, cast: Cast, flag: Flag) -> None:
    service.archive(key="f", by="user:olga")
    asked = {"flag": "f", "enabled": "true", "reason": "x"}
    assert "is archived" in shown(operator.post(f"{LIST}set/{cast.oslo.pk}/", asked))


def test_there_is_no_other_operation(operator: Client, flag: Flag) -> None:
    assert operator.get(operation(flag, "burn")).status_code == 404
    assert operator.get(f"{LIST}999/archive/do/").status_code == 404


def test_the_list_says_how_each_stands(operator: Client, flag: Flag) -> None:
    for key, values in (("dead", {"killed": True}), ("old", {"archived": True}), ("new", {})):
        service.create(key=key, values=values, by="user:olga")
    service.archive(key="f", by="user:olga")
    service.purge(key="f", by="user:olga")
    page = shown(operator.get(LIST))
    assert re.findall(r'fs-status-(\w+)">', page) == ["killed", "purging", "live", "archived"]


def test_the_form_of_a_new_flag_has_the_percentage_of_the_setting(operator: Client, settings: Any) -> None:
    settings.FLAGS_DEFAULT_ROLLOUT = 0
    assert re.search(r'name="rollout_percentage" value="0"', shown(operator.get(f"{LIST}add/")))
    settings.FLAGS_DEFAULT_ROLLOUT = 100
    assert not re.search(r'name="rollout_percentage" value=', shown(operator.get(f"{LIST}add/")))


def test_who_cannot_change_a_flag_sees_its_environments_without_styles_that_the_browser_refuses(db: None) -> None:
    flag = service.create(key="f", values={"environments": {"staging": True, "production": False}}, by="user:olga")
    page = shown(signed_in("viewer").get(form_of(flag)))
    assert "production: off, staging: on" in page
    assert 'style="' not in page


def test_the_page_folds_many_variants_and_many_changes_of_an_entry(operator: Client) -> None:
    variants = [{"key": f"v{number}", "value": f"text {number}"} for number in range(8)]
    flag = service.create(key="typed", values={"type": "string", "variants": variants}, by="user:olga")
    page = shown(operator.get(page_of(flag)))
    shown_first, _, folded = page.partition("<summary>2 more</summary>")
    assert "<strong>v5</strong>" in shown_first
    assert "<strong>v6</strong>" in folded
    history = page[page.index('id="history-title"') : page.index('id="askers-title"')]
    assert re.search(r"<summary>\d+ more</summary>", history)
