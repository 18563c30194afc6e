"""Organizations that an import creates or moves get the flags' values that hold at their new place."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flags.definitions import service
from flags.states import inheritance
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.tests.imports.uploading import file_of, started, upload, work
from orgs.tests.trees import import_rows, paths
from orgs.tree.models import Organization

Values = dict[str, tuple[bool, str]]


def put(key: str, flag: str, enabled: bool) -> None:
    """Set a flag on an organization and all below it; a job is left to wait."""
    organization_id = Organization.objects.get(key=key).pk
    set_flag(organization_id=organization_id, flag_key=flag, enabled=enabled)


def run_jobs() -> None:
    """Run what waits, until nothing does."""
    while runner.run_next("propagation"):
        pass


def states(*keys: str) -> dict[str, Values]:
    """By organization: each flag's value, and the key of the organization that it comes from."""
    found: dict[str, Values] = {key: {} for key in keys}
    for state in FlagState.objects.filter(organization__key__in=keys).select_related("organization", "flag", "source"):
        if state.enabled is not None and state.source is not None:
            found[state.organization.key][state.flag.key] = (state.enabled, state.source.key)
    return found


@pytest.fixture
def north_on(cast: Cast) -> None:
    """Flag "a" is on in all of acme but off in the north; "b" is on in the south; "own" was set on oslo alone."""
    put("acme", "a", True)
    put("north", "a", False)
    put("south", "b", True)
    put("oslo", "own", True)
    run_jobs()


@pytest.fixture(params=[10_000, 0], ids=["at once", "by jobs"])
def by_jobs(request: pytest.FixtureRequest, settings: Any) -> bool:
    """Whether values are handed down by jobs, or at once."""
    settings.FLAGS_INLINE_ROWS = request.param
    return settings.FLAGS_INLINE_ROWS == 0


def test_created_ones_take_over_what_holds_for_their_parent(north_on: None, by_jobs: bool) -> None:
    report = import_rows("n1,N1,north", "n2,N2,n1", "n3,N3,n2", "s1,S1,south", "o1,O1,oslo", "root,Root,", "r1,R1,root")
    run_jobs()
    assert bool(report.placement_jobs) == by_jobs
    assert states("n1", "n2", "n3", "s1", "o1", "root", "r1") == {
        "n1": {"a": (False, "north")},
        "n2": {"a": (False, "north")},
        "n3": {"a": (False, "north")},
        "s1": {"a": (True, "acme"), "b": (True, "south")},
        "o1": {"a": (False, "north"), "own": (True, "oslo")},
        "root": {},
        "r1": {},
    }


def test_many_that_are_created_below_one_parent_get_one_job_which_leaves_the_others_alone(
    north_on: None, settings: Any
) -> None:
    settings.FLAGS_INLINE_ROWS = 3
    before = dict(FlagState.objects.filter(organization__key__in=["north", "oslo"]).values_list("pk", "updated_at"))
    report = import_rows(*(f"n{number},N,north" for number in range(20)), "n0a,N,n0", "o1,O,oslo")
    (job,) = Job.objects.filter(pk__in=report.placement_jobs)
    run_jobs()
    job.refresh_from_db()
    assert (job.status, job.total, job.processed, job.superseded) == ("COMPLETED", 21, 21, 0)
    created = states(*(f"n{number}" for number in range(20)), "n0a")
    assert all(values == {"a": (False, "north")} for values in created.values())
    assert states("o1") == {"o1": {"a": (False, "north"), "own": (True, "oslo")}}
    after = dict(FlagState.objects.filter(organization__key__in=["north", "oslo"]).values_list("pk", "updated_at"))
    assert after == before


def test_moved_ones_take_over_what_holds_for_their_new_parent(north_on: None, by_jobs: bool) -> None:
    import_rows("oslo,Oslo,rome", "rival,Rival,south")
    run_jobs()
    assert states("oslo", "bergen", "rival", "rival_store") == {
        "oslo": {"a": (True, "acme"), "b": (True, "south"), "own": (True, "oslo")},
        "bergen": {"a": (False, "north")},
        "rival": {"a": (True, "acme"), "b": (True, "south")},
        "rival_store": {"a": (True, "acme"), "b": (True, "south")},
    }


def test_moved_and_created_ones_below_each_other_get_what_holds_at_the_end(north_on: None, by_jobs: bool) -> None:
    """North goes below south, a new one below north, and rome, that came from the south, below the new one."""
    import_rows("north,North,south", "new,New,north", "rome,Rome,new", "newest,Newest,rome")
    assert "acme/south/north/new/rome/newest" in paths()
    run_jobs()
    for values in states("north", "bergen", "new", "rome", "newest").values():
        assert values == {"a": (False, "north"), "b": (True, "south")}


def test_what_becomes_a_root_keeps_its_own_settings_only(north_on: None) -> None:
    import_rows("north,North,", "acme,Acme,north")
    run_jobs()
    assert states("north", "oslo", "south") == {
        "north": {"a": (False, "north")},
        "oslo": {"a": (False, "north"), "own": (True, "oslo")},
        "south": {"a": (True, "acme"), "b": (True, "south")},
    }


def test_a_change_still_on_its_way_reaches_created_and_moved_ones(cast: Cast, by_jobs: bool) -> None:
    put("acme", "a", True)
    import_rows("new,New,oslo", "newer,Newer,new", "rival,Rival,bergen")
    run_jobs()
    for values in states("new", "newer", "rival", "rival_store").values():
        assert values == {"a": (True, "acme")}


def test_a_moved_one_leaves_the_change_behind_that_was_on_its_way_to_it(cast: Cast, by_jobs: bool) -> None:
    put("north", "a", True)
    import_rows("oslo,Oslo,new", "new,New,rival")
    run_jobs()
    assert states("oslo", "new", "rival") == {"oslo": {}, "new": {}, "rival": {}}


def test_of_a_flag_that_is_being_purged_nobody_gets_anything_nor_a_job(cast: Cast, by_jobs: bool) -> None:
    put("acme", "a", True)
    run_jobs()
    service.archive(key="a", by="alice")
    service.purge(key="a", by="alice")
    assert import_rows("n1,N1,north", "n2,N2,north").placement_jobs == ()
    assert states("n1", "n2") == {"n1": {}, "n2": {}}


def test_what_is_being_purged_makes_no_job_of_what_is_small_without_it(cast: Cast, settings: Any) -> None:
    put("acme", "a", True)
    put("acme", "b", True)
    run_jobs()
    service.archive(key="a", by="alice")
    service.purge(key="a", by="alice")
    settings.FLAGS_INLINE_ROWS = 2
    assert import_rows("n1,N1,north", "n2,N2,north").placement_jobs == ()
    assert states("n1", "n2") == {"n1": {"b": (True, "acme")}, "n2": {"b": (True, "acme")}}


def test_no_job_is_started_where_the_purge_of_the_last_flag_comes_in_between(
    north_on: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FLAGS_INLINE_ROWS = 0
    monkeypatch.setattr(inheritance, "_values_of", lambda _: {})
    assert import_rows("n1,N1,north", "n2,N2,north").placement_jobs == ()


def test_an_import_by_a_job_does_to_flag_states_what_any_other_move_does(north_on: None, admin_key: str) -> None:
    started(upload(admin_key, file_of("rome,Rome,oslo", "new,New,rome")))
    work()
    run_jobs()
    for values in states("rome", "new").values():
        assert values == {"a": (False, "north"), "own": (True, "oslo")}
