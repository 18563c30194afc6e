"""What an audit entry says as one plain sentence."""

from __future__ import annotations

from typing import Any

import pytest

from orgs.audit.models import AuditEntry
from orgs.audit.sentence_parts import Places
from orgs.audit.sentences import SENTENCES, sentence, text_of

PLACES = Places({1: ["Acme"], 2: ["Acme", "Norge"], 3: ["Acme", "Sverige"], 4: ["Acme", "Norge", "Store 7"]})
PLAN = {"flag": "express-pay", "wanted": {"enabled": False}, "scheduledAt": "2026-12-01T08:00:00+00:00"}
FIELDS_PLAN = {"flag": "express-pay", "wanted": {"rolloutPercentage": 20, "owner": "pay"}}

SAID = [
    ("artifact.upload", "artifact:3", None, {"file": "users.csv", "bytes": 4},
     "uploaded the file users.csv (artifact 3)"),
    ("batch.add", "batch:3", 2, {"members": 2}, "added 2 members to batch 3"),
    ("batch.cancel", "batch:3", 2, {"members": 2}, "cancelled batch 3"),
    ("batch.create", "batch:3", 2, {"name": "nightly", "members": 1},
     "created the batch nightly with 1 member (batch 3)"),
    ("batch.retry", "batch:3", 2, {"members": 2}, "retried 2 members of batch 3"),
    ("cache.invalidate", "cache", None, {"done": [], "failed": []}, "let all processes read their cached data again"),
    ("database.maintained", "job:9", None, {"actions": ["vacuum"]}, "maintained the database (job 9)"),
    ("deliveries.replay", "job:9", None, {"deliveries": 1200}, "replayed 1,200 messages (job 9)"),
    ("delivery.replay", "delivery:8", None, {"before": "FAILED"}, "replayed delivery 8"),
    ("flag-schedule.apply", "flag-schedule:5", 2, PLAN,
     "set express-pay off for Norge, as planned (scheduled change 5)"),
    ("flag-schedule.apply", "flag-schedule:5", None, FIELDS_PLAN,
     "changed rollout percentage and owner of express-pay, as planned (scheduled change 5)"),
    ("flag-schedule.cancel", "flag-schedule:5", 2, {"flag": "express-pay"},
     "cancelled scheduled change 5 of express-pay"),
    ("flag-schedule.create", "flag-schedule:5", 2, PLAN,
     "planned to set express-pay off for Norge at 2026-12-01 08:00 UTC"),
    ("flag-schedule.create", "flag-schedule:5", 2, {**PLAN, "cron": "0 8 * * *"},
     "planned to set express-pay off for Norge at 2026-12-01 08:00 UTC and again after that"),
    ("flag-schedule.create", "flag-schedule:5", 2, {**PLAN, "wanted": {"enabled": False, "below": "lock"}},
     "planned to set express-pay locked off for Norge at 2026-12-01 08:00 UTC"),
    ("flag-schedule.create", "flag-schedule:5", 2, {**PLAN, "wanted": {"enabled": True, "reach": "here"}},
     "planned to set express-pay on for Norge only at 2026-12-01 08:00 UTC"),
    ("flag-schedule.apply", "flag-schedule:5", 2, {**PLAN, "wanted": {"reset": True, "subtree": True}},
     "set express-pay as inherited for Norge and everything below, as planned (scheduled change 5)"),
    ("flag-schedule.create", "flag-schedule:5", None, {**PLAN, **FIELDS_PLAN},
     "planned to change rollout percentage and owner of express-pay at 2026-12-01 08:00 UTC"),
    ("flag-schedule.fail", "flag-schedule:5", 2, {**PLAN, "error": "The flag is archived."},
     "could not set express-pay off for Norge, as planned (scheduled change 5): The flag is archived."),
    ("flag-schedule.retry", "flag-schedule:5", 2, {"flag": "express-pay"}, "retried scheduled change 5 of express-pay"),
    ("flag.archive", "flag:express-pay", None, {}, "archived express-pay"),
    ("flag.create", "flag:express-pay", None, {}, "created express-pay"),
    ("flag.purge", "flag:express-pay", None, {}, "began to purge express-pay"),
    ("flag.purged", "flag:express-pay", None, {}, "purged express-pay, with its flag states and changes"),
    ("flag.set", "flag:express-pay", 2, {"enabled": False, "jobId": 8},
     "set express-pay off for Norge and everything below it"),
    ("flag.set", "flag:express-pay", 2, {"enabled": False, "jobId": 8, "settingsBelow": "keep"},
     "set express-pay off for Norge and what inherits from it below"),
    ("flag.set", "flag:express-pay", 2, {"enabled": True, "jobId": 8, "settingsBelow": "overwrite", "settingsEnded": 1},
     "set express-pay on for Norge and everything below it, over 1 setting below"),
    ("flag.set", "flag:express-pay", 2, {"enabled": True, "jobId": 8, "onlyHere": True},
     "set express-pay on for Norge alone"),
    ("flag.lock", "flag:express-pay", 2, {"enabled": False, "jobId": 8, "settingsBelow": "lock",
                                          "expiresAt": "2026-12-01T08:00:00+00:00"},
     "locked express-pay off for Norge and everything below it until 2026-12-01 08:00 UTC"),
    ("flag.exempt", "flag:express-pay", 4, {"enabled": True},
     "exempted Store 7 and everything below it from the lock of express-pay"),
    ("flag.exempt", "flag:express-pay", 4, {"enabled": True, "until": "2026-12-01T08:00:00+00:00"},
     "exempted Store 7 and everything below it from the lock of express-pay until 2026-12-01 08:00 UTC"),
    ("flag.exemption-ended", "flag:express-pay", 4, {"enabled": True},
     "ended the exemption of Store 7 from the lock of express-pay"),
    ("flag.reset", "flag:express-pay", 4, {"enabled": True}, "reset express-pay for Store 7 to the inherited value"),
    ("flag.reset", "flag:express-pay", 2, {"enabled": True, "settingsEnded": 3},
     "reset express-pay for Norge to the inherited value and ended 3 settings below"),
    ("flag.undo", "flag:express-pay", 4, {"undone": 1234, "restored": 3, "leftAlone": 0},
     "undid change 1234 of express-pay for Store 7"),
    ("flag.undo", "flag:express-pay", 2, {"undone": 12, "restored": 3, "leftAlone": 1},
     "undid change 12 of express-pay for Norge, and left 1 setting alone that changed since"),
    ("flag.undo", "flag:express-pay", None,
     {"undone": 12, "leftAlone": 2, "before": {"killed": True}, "after": {"killed": False}},
     "undid change 12 of express-pay: killed, and left 2 fields alone that changed since"),
    ("flag.set", "flag:express-pay", 4, {"enabled": True, "jobId": None}, "set express-pay on for Store 7"),
    ("flag.set", "flag:express-pay", 9, {"enabled": True}, "set express-pay on for organization 9 (deleted)"),
    ("flag.update", "flag:express-pay", None,
     {"before": {"rolloutPercentage": 10}, "after": {"rolloutPercentage": 25.0}},
     "changed the rollout percentage of express-pay from 10 to 25"),
    ("flag.update", "flag:express-pay", None, {"before": {"description": ""}, "after": {"description": "a {b} c"}},
     "changed the description of express-pay from none to a {b} c"),
    ("flag.update", "flag:express-pay", None, {"before": {"tags": []}, "after": {"tags": ["a"]}},
     "changed tags of express-pay"),
    ("flag.update", "flag:express-pay", None, {"before": {"killed": False}, "after": {"killed": True}},
     "switched express-pay off for everybody"),
    ("flag.update", "flag:express-pay", None, {"before": {"killed": True}, "after": {"killed": False}},
     "ended the kill switch of express-pay"),
    ("flag.update", "flag:express-pay", None, {"before": {"archived": True}, "after": {"archived": False}},
     "took express-pay out of the archive"),
    ("segment.create", "segment:beta", None, {}, "created the segment beta"),
    ("segment.delete", "segment:beta", None, {}, "deleted the segment beta"),
    ("segment.undo", "segment:beta", None,
     {"undone": 12, "leftAlone": 0, "before": {"included": ["a"]}, "after": {"included": []}},
     "undid change 12 of beta: included"),
    ("segment.update", "segment:beta", None,
     {"flags": ["a", "b"], "before": {"included": ["a"], "owner": ""}, "after": {"included": [], "owner": "x"}},
     "changed included and owner of the segment beta, which 2 flags use"),
    ("segment.update", "segment:beta", None, {"flags": ["a"], "before": {"owner": ""}, "after": {"owner": "x"}},
     "changed owner of the segment beta, which 1 flag uses"),
    ("segment.update", "segment:beta", None, {"flags": [], "before": {"owner": ""}, "after": {"owner": "x"}},
     "changed owner of the segment beta"),
    ("flags.recalculated", "job:9", None, {"mended": 0},
     "compared the flag states of all organizations with the settings (job 9)"),
    ("flags.recalculated", "job:9", 2, {"mended": 1200},
     "compared the flag states of Norge with the settings and mended 1,200 (job 9)"),
    ("job.cancel", "job:9", 2, {"rootJobId": 9}, "cancelled job 9"),
    ("job.enqueue", "job:9", 2, {"kind": "nightly"}, "enqueued job 9, nightly for Norge"),
    ("job.enqueue", "job:9", None, {"kind": "nightly"}, "enqueued job 9, nightly"),
    ("job.priority", "job:9", None, {"before": 0, "after": 5}, "changed the priority of job 9 from 0 to 5"),
    ("job.replace", "job:9", None, {"kind": "nightly"}, "replaced the waiting job 9, nightly"),
    ("job.retry", "job:9", None, {"retryJobId": 10}, "retried job 9"),
    ("jobs.bulk", "job:9", None, {"deed": "cancel", "jobs": 3}, "cancelled 3 jobs (job 9)"),
    ("jobs.bulk", "job:9", None, {"deed": "priority", "jobs": 1, "priority": 5},
     "gave another priority to 1 job (job 9)"),
    ("jobs.cleaned", "job:9", None, {"deleted": {"COMPLETED": 3, "FAILED": 1}}, "deleted 4 old rows (job 9)"),
    ("key.create", "key:abc nightly", 2, {"role": "reader"},
     "created the access key nightly with the role reader for Norge"),
    ("key.create", "key:abc nightly", None, {"role": "reader"}, "created the access key nightly with the role reader"),
    ("key.revoke", "key:abc nightly", None, {"endedChanges": 0}, "revoked the access key nightly"),
    ("key.rotate", "key:abc nightly", None, {"successor": "xyz"}, "gave the access key nightly the successor xyz"),
    ("organization.attributes", "organization:s7", 4,
     {"before": {"plan": "free", "seats": 3}, "after": {"plan": "pro", "tier": None}},
     "changed the attributes of Store 7: plan, seats and tier"),
    ("organization.create", "organization:s7", 4, {"name": "Store 7", "parentId": 2}, "created Store 7 below Norge"),
    ("organization.create", "organization:acme", 1, {"name": "Acme", "parentId": None}, "created the root Acme"),
    ("organization.delete", "organization:s9", 9, {"name": "Store 9", "organizations": 1}, "deleted Store 9"),
    ("organization.delete", "organization:s9", 9, {"name": "Store 9", "organizations": 3, "status": "COMPLETED"},
     "deleted Store 9 and 2 below"),
    ("organization.delete", "organization:s7", 4, {"name": "Store 7", "organizations": 3, "status": "CANCELLED"},
     "deleted 3 organizations below Store 7, which is still there"),
    ("organization.move", "organization:s7", 4, {"before": 2, "after": 3}, "moved Store 7 from Norge to Sverige"),
    ("organization.move", "organization:s7", 4, {"before": 2, "after": None},
     "moved Store 7 from Norge to a tree of its own"),
    ("organization.move", "organization:s7", 4, {"before": None, "after": 3}, "moved Store 7 to Sverige"),
    ("organization.rename", "organization:s7", 4, {"before": "Store", "after": "Shop"}, "renamed Store to Shop"),
    ("organizations.import", "organizations", None, {"created": 1200, "moved": 2},
     "imported organizations: created 1,200, moved 2"),
    ("organizations.import_request", "job:9", None, {"dryRun": False, "file": "a.csv"},
     "began to import the file a.csv (job 9)"),
    ("organizations.import_request", "job:9", None, {"dryRun": True, "file": "a.csv"},
     "checked the file a.csv (job 9)"),
    ("queue.change", "queue:mail", None,
     {"before": {"concurrency": 1, "rate": 2}, "after": {"concurrency": 4, "rate": 2}},
     "changed concurrency of the queue mail"),
    ("queue.create", "queue:mail", None, {}, "created the queue mail"),
    ("queue.delete", "queue:mail", None, {}, "deleted the queue mail"),
    ("queue.pause", "queue:mail", None, {}, "paused the queue mail"),
    ("queue.resume", "queue:mail", None, {}, "resumed the queue mail"),
    ("schedule.change", "schedule:probe", None, {"before": {"enabled": True}, "after": {"enabled": False}},
     "changed enabled of the periodic task probe"),
    ("schedule.create", "schedule:probe", None, {}, "created the periodic task probe"),
    ("schedule.delete", "schedule:probe", None, {}, "deleted the periodic task probe"),
    ("schedule.run", "schedule:probe", None, {"task": "jobs.probe"}, "ran the periodic task probe at once"),
    ("subscription.change", "subscription:5", None, {"before": {"name": "a"}, "after": {"name": "b"}},
     "changed name of subscription 5"),
    ("subscription.create", "subscription:5", None, {}, "created subscription 5"),
    ("subscription.delete", "subscription:5", None, {}, "deleted subscription 5"),
    ("subscription.end", "subscription:5", None, {"name": "ops", "why": "The address is gone."},
     "ended subscription 5, ops: The address is gone."),
    ("subscription.rotate-secret", "subscription:5", None, {}, "gave subscription 5 another secret"),
    ("subscription.test", "subscription:5", None, {}, "sent a test message to subscription 5"),
    ("tree.repair", "organizations", None, {"organizations": 3}, "repaired the tree columns of 3 organizations"),
    ("user.change", "user:bob", None, {"before": {"groups": []}, "after": {"groups": ["admin"]}},
     "changed groups of the person bob"),
    ("user.create", "user:bob", None, {}, "created the person bob"),
    ("user.password", "user:bob", None, {}, "set another password for bob"),
]  # fmt: skip


def said(**columns: Any) -> str:
    columns = {"actor": "user:olga", "details": {}} | columns
    return text_of(sentence(AuditEntry(**columns), PLACES))


@pytest.mark.parametrize(("action", "subject", "organization_id", "details", "words"), SAID)
def test_an_entry_is_a_sentence(
    action: str, subject: str, organization_id: int | None, details: dict[str, Any], words: str
) -> None:
    told = said(action=action, subject=subject, organization_id=organization_id, details=details)
    assert told == f"olga {words}"


def test_each_sentence_is_tested() -> None:
    assert {action for action, *_ in SAID} == set(SENTENCES)


@pytest.mark.parametrize("action", SENTENCES)
def test_an_entry_without_details_is_a_sentence_too(action: str) -> None:
    assert said(action=action, subject="a:b").startswith("olga ")


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        ("user:olga", "olga"), ("key:4fG6aB nightly-sync", "access key nightly-sync"),
        ("key:4fG6aB", "access key 4fG6aB"),
        ("command:root@host", "root@host"), ("system", "Flagsite"), ("unknown", "unknown"), ("", "somebody"),
    ],
)  # fmt: skip
def test_the_actor_has_a_plain_name(actor: str, name: str) -> None:
    assert said(actor=actor, action="queue.pause", subject="queue:mail") == f"{name} paused the queue mail"


def test_the_reason_ends_the_sentence() -> None:
    told = said(action="queue.pause", subject="queue:mail", reason="till\n the mail server is back")
    assert told == "olga paused the queue mail: till the mail server is back"


def test_an_action_of_a_later_release_is_told_by_its_code() -> None:
    assert said(action="flag.fold", subject="flag:one") == "olga did flag.fold to one"


def test_an_organization_outside_of_the_scope_has_no_name() -> None:
    places = Places({4: ["Norge", "Store 7"]}, "outside of your organizations")
    entry = AuditEntry(actor="user:olga", action="organization.move", subject="organization:s7", organization_id=4,
                       details={"before": 3, "after": 2})  # fmt: skip
    told = text_of(sentence(entry, places))
    assert told == (
        "olga moved Store 7 from organization 3 (outside of your organizations) "
        "to organization 2 (outside of your organizations)"
    )


def test_a_long_value_is_cut() -> None:
    details = {"before": {"owner": ""}, "after": {"owner": "x" * 1000}}
    assert len(said(action="flag.update", subject="flag:one", details=details)) < 250
