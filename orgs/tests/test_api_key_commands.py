"""The commands that make, show and end access keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from conftest import Cast
from orgs.access.models import AccessKey
from orgs.tests.api import Api


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def made(*arguments: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run("create_key", *arguments, "--json"))
    return result


def test_a_new_key_works_and_only_its_hash_is_stored(cast: Cast) -> None:
    answer = made("nightly sync", "--role", "editor")
    assert Api(answer["key"]).post(f"/{cast.oslo.pk}/flag/true").status_code == 200
    assert (answer["name"], answer["role"], answer["organizationId"]) == ("nightly sync", "editor", None)
    assert answer["key"].startswith(answer["prefix"] + ".")
    record = AccessKey.objects.get()
    assert answer["key"].partition(".")[2] not in f"{record.pk} {record.hashed_key}"


def test_a_key_reads_unless_told_otherwise_and_is_shown_once(db: None) -> None:
    printed = run("create_key", "looker")
    key = printed.splitlines()[-1]
    assert Api(key).get("/organizations").status_code == 200
    assert AccessKey.objects.get().role == "reader"
    assert key not in run("list_keys")


@pytest.mark.parametrize("by", ["key", "pk"])
def test_a_key_is_bound_to_an_organization_by_key_or_id(cast: Cast, by: str) -> None:
    answer = made("north", "--organization", str(getattr(cast.north, by)))
    assert answer["organizationId"] == cast.north.pk
    assert Api(answer["key"]).get(f"/organizations/{cast.acme.pk}").status_code == 404


@pytest.mark.parametrize(
    "arguments",
    [
        ("x", "--organization", "nowhere"),
        ("x", "--organization", "99999999999999999999999"),
        ("x", "--organization", "٣"),
        ("x", "--role", "king"),
        ("x", "--expires", "soon"),
        ("x", "--expires", "2020-02-30"),
        ("x", "--expires", "2020-01-01"),
        ("x", "--expires", "0s"),
        ("",),
        ("x" * 51,),
        ("a\x00b",),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(db: None, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("create_key", *arguments)
    assert not AccessKey.objects.exists()


@pytest.mark.parametrize("when", ["2999-01-01", "2999-01-01T00:00:00Z", "2999-01-01T01:00:00+01:00"])
def test_an_expiry_is_a_date_or_a_time(db: None, when: str) -> None:
    assert made("x", "--expires", when)["expiresAt"] == "2999-01-01T00:00:00.000000Z"


def test_an_expiry_may_be_so_long_from_now(db: None) -> None:
    week = datetime.fromisoformat(made("x", "--expires", "7d")["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=6) < week < timedelta(days=8)


def test_a_revoked_key_is_listed_as_such(db: None) -> None:
    prefix = made("old")["prefix"]
    run("revoke_key", prefix)
    run("revoke_key", prefix)
    assert [(key["name"], key["state"]) for key in json.loads(run("list_keys", "--json"))] == [("old", "revoked")]


def test_a_key_that_does_not_exist_cannot_be_revoked(db: None) -> None:
    with pytest.raises(CommandError, match="nope"):
        run("revoke_key", "nope")


def test_a_key_is_rotated_with_an_overlap(cast: Cast) -> None:
    former = made("nightly", "--role", "editor", "--organization", "acme")
    new = json.loads(run("rotate_key", former["prefix"], "--overlap", "2h", "--json"))
    assert {Api(one["key"]).get("/organizations").status_code for one in (former, new)} == {200}
    left = AccessKey.objects.get(prefix=former["prefix"]).expiry_date - datetime.now(UTC)
    assert timedelta(hours=1) < left < timedelta(hours=3)
    printed = run("list_keys")
    ends = AccessKey.objects.get(prefix=former["prefix"]).expiry_date
    until = f"valid until {ends:%Y-%m-%d %H:%M}"
    assert f"{until}, replaced by {new['prefix']}" in printed
    for options in (["--dry-run"], []):
        assert f"The former key {former['prefix']} is {until} UTC." in run("revoke_key", new["prefix"], *options)
    assert "acme (id " in printed
    assert new["key"] not in printed


@pytest.mark.parametrize("overlap", ["soon", "91d", "-1h"])
def test_an_overlap_that_makes_no_sense_is_refused(db: None, overlap: str) -> None:
    former = made("nightly")
    with pytest.raises(CommandError):
        run("rotate_key", former["prefix"], f"--overlap={overlap}")
    assert AccessKey.objects.count() == 1
