"""The page of the statistics: charts with their age, and the button with its states."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conftest import Cast
from flags.statistics import computation
from flags.statistics.models import Statistic
from jobs.batches.models import Batch
from jobs.engine import runner
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/flags/statistic/"
COMPUTE = f"{PAGE}compute/"


def stored(name: str, *points: tuple[str, float]) -> None:
    """Keep figures that are two hours old."""
    Statistic.objects.create(
        name=name, points=[{"label": label, "value": value, "details": {"neverSet": 2}} for label, value in points],
        computed_at=timezone.now() - timedelta(hours=2), seconds=0.1,
    )  # fmt: skip


def test_charts_have_bars_as_long_as_their_values_and_an_age() -> None:
    stored("adoption", ("checkout", 1200), ("search", 300))
    stored("evaluations", ("2026-11-01", 5), ("2026-11-02", 10))
    page = shown(signed_in("viewer").get(PAGE))
    assert "Computed 2 h" in page
    for part in ('width="100%" height="12"', 'width="25%" height="12"', "1,200", "never set: 2", 'height="50%"'):
        assert part in page, part
    assert "Never computed." in page, "the others"


def test_a_long_chart_says_how_many_points_it_leaves_out() -> None:
    stored("adoption", *((f"flag-{number}", number) for number in range(25)))
    page = shown(signed_in("viewer").get(PAGE))
    assert "5 more in" in page
    assert "flag-19" in page
    assert "flag-20" not in page


def test_the_button_tells_how_the_computation_stands() -> None:
    client = signed_in("operator")
    assert "The statistics were never computed." in shown(client.get(PAGE))
    assert 'id="compute-statistics"' in shown(client.get(PAGE))
    assert "Compute statistics now" in shown(client.get(COMPUTE))
    client.post(COMPUTE, {"reason": "for the board"})
    batch = Batch.objects.get()
    assert (batch.reason, batch.requested_by.startswith("user:")) == ("for the board", True)
    runner.run_next("default")
    running = shown(client.get(f"{PAGE}live/"))
    assert "has computed 1 of 10 statistics" in running
    assert 'id="compute-statistics"' not in running
    while runner.run_next("default"):
        pass
    ended = shown(client.get(f"{PAGE}live/"))
    assert "succeeded" in ended
    assert 'id="compute-statistics"' in ended


def test_a_second_press_finds_the_batch_that_is_open() -> None:
    computation.start()
    page = shown(signed_in("operator").post(COMPUTE, {}, follow=True))
    assert "computes the statistics already" in page
    assert Batch.objects.count() == 1


@pytest.mark.parametrize(("who", "looks", "computes"), [("viewer", 200, 403), ("operator", 200, 200)])
def test_who_may_look_and_who_may_compute(who: str, looks: int, computes: int) -> None:
    client = signed_in(who)
    assert client.get(PAGE).status_code == looks
    assert client.get(COMPUTE).status_code == computes
    assert ('id="compute-statistics"' in shown(client.get(PAGE))) == (computes == 200)


def test_a_bound_person_sees_neither(cast: Cast) -> None:
    client = signed_in("admin", bound_to=cast.north)
    assert {client.get(PAGE).status_code, client.post(COMPUTE, {}).status_code} == {403}


def test_the_page_needs_the_same_number_of_queries_whatever_it_shows() -> None:
    client = signed_in("viewer")
    with CaptureQueriesContext(connection) as before:
        client.get(f"{PAGE}live/")
    stored("adoption", *((f"flag-{number}", number) for number in range(25)))
    stored("keys", ("never", 1))
    with CaptureQueriesContext(connection) as after:
        client.get(f"{PAGE}live/")
    assert len(after) == len(before)
