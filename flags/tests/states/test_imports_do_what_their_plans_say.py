"""A dry run says what an import then does to the values of flags: for random trees, settings and files."""

from __future__ import annotations

import random
from io import BytesIO
from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.states import import_planning
from flags.states.set_flag import set_flag
from flags.tests.control.planting import plant
from flags.tests.states.test_moves_do_what_their_plans_say import FLAGS, decide_at_random, run_jobs, tree, values
from jobs.engine import runner
from orgs.importing.importer import import_organizations
from orgs.importing.options import ImportOptions
from orgs.tests.api import Api
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
OPTIONS = ImportOptions(move_between_trees=True)


def file_of(lines: list[tuple[str, str]]) -> bytes:
    """A file with keys and the keys of parents."""
    return "\n".join(["key,name,parent_key", *(f"{key},{key},{parent}" for key, parent in lines)]).encode()


def random_file(chance: random.Random) -> bytes:
    """Some organizations move, also out of a moved one and below a new one; some are new. There are no circles."""
    parents = {each.key: each.parent.key if each.parent else "" for each in Organization.objects.select_related()}
    moved = chance.sample(sorted(parents), chance.randrange(1, 5))
    new = [f"new{number}" for number in range(chance.randrange(3))]
    for key in [*new, *moved]:
        above = [each for each in parents if key not in line(parents, each)]
        parents[key] = chance.choice(["", *above])
    return file_of([(key, parents[key]) for key in [*new, *moved]])


def line(parents: dict[str, str], key: str) -> list[str]:
    """An organization and all above it."""
    return [key, *(line(parents, parents[key]) if parents.get(key) else [])]


@pytest.mark.parametrize("seed", range(20))
def test_an_import_changes_what_its_dry_run_says(seed: int, settings: Any) -> None:
    chance = random.Random(seed)
    settings.FLAGS_INLINE_ROWS = chance.choice([0, 1000])
    plant(tree(chance))
    for flag in FLAGS:
        Flag.objects.create(key=flag, enabled=chance.random() < 0.5)
    decide_at_random(chance, list(Organization.objects.order_by("id")))
    content, before = random_file(chance), values()
    planned = import_organizations(BytesIO(content), options=OPTIONS, dry_run=True).values
    assert planned is not None
    assert import_organizations(BytesIO(content), options=OPTIONS).values is None
    run_jobs()
    after = values()
    others = [place for place, value in before.items() if after[place] != value]
    assert planned.changed == len({organization for organization, _ in others})
    keys = dict(Flag.objects.values_list("pk", "key"))
    found = [keys[flag] for _, flag in others]
    assert {each.flag: each.changed for each in planned.flags} == {key: found.count(key) for key in found}


def test_the_api_the_page_and_the_command_tell_what_a_dry_run_has_found(
    cast: Cast, admin_key: str, tmp_path: Any
) -> None:
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    run_jobs()
    content = file_of([("north", "rival"), ("south", "acme"), ("new-one", "north")])
    api = Api(admin_key)
    started = api.client.post(
        "/v1/imports/plan?moveBetweenTrees=true", content, content_type="text/csv",
        headers={"Authorization": f"Bearer {admin_key}"},
    )  # fmt: skip
    while runner.run_next("default"):
        pass
    read = api.get(f"/v1/imports/{started.json()['jobId']}").json()
    assert read["values"] == {
        "changed": 3, "flagsAffected": 1, "flags": [{"featureFlag": "checkout", "changed": 3}],
    }  # fmt: skip
    page = shown(signed_in("admin").get(f"/admin/jobs/organizationimport/{started.json()['jobId']}/change/"))
    assert "3 organizations would get other values of flags:" in page
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    planned = run("import_organizations", path, "--dry-run", "--move-between-trees").out
    assert "3 organizations would get other values of flags:\ncheckout: 3" in planned


def test_too_many_settings_are_not_counted(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    monkeypatch.setattr(import_planning, "MAX_SETTINGS", 0)
    content = file_of([("north", "south")])
    assert import_organizations(BytesIO(content), dry_run=True).values is None
