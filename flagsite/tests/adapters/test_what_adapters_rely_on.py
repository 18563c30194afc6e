"""The libraries still do what the adapters rely on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import unfold
from django.conf import settings
from django.db import connection
from django.template.loader import get_template
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import ModelEntry
from kombu.transport.redis import Channel
from mptt.managers import TreeManager
from redis.exceptions import ConnectionError as BrokerConnectionError

from conftest import Cast
from flagsite.celery import app
from flagsite.core.adapters import django_mptt, django_orm, unfold_templates
from flagsite.core.adapters.celery_beat import RereadingScheduler
from orgs.tree import locks
from orgs.tree.models import Organization


class TestKombu:
    @pytest.fixture
    def closed_channel(self) -> Iterator[Channel]:
        """A channel to the tests' broker that was closed before its first use."""
        with app.connection_for_write() as broker:
            channel = broker.channel()
            channel.close()
            yield channel

    def test_to_use_a_closed_channel_is_a_lost_connection(self, closed_channel: Channel) -> None:
        """`flagsite.celery`, imported above, has put the adapter in place."""
        with pytest.raises(BrokerConnectionError), closed_channel.conn_or_acquire() as client:
            client.ping()

    def test_without_the_adapter_it_is_an_attribute_error(
        self, closed_channel: Channel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Channel, "_connparams", Channel._connparams.__wrapped__)
        with pytest.raises(AttributeError), closed_channel.conn_or_acquire() as client:
            client.ping()

    def test_an_open_channel_reaches_the_broker(self) -> None:
        with app.connection_for_write() as broker:
            assert broker.channel().client.ping()


@pytest.mark.django_db(transaction=True)  # the library closes connections
class TestCeleryBeat:
    @pytest.fixture
    def scheduler(self) -> RereadingScheduler:
        PeriodicTask.objects.all().delete()
        every_second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
        PeriodicTask.objects.create(name="often", task="jobs.sweep", interval=every_second)
        return RereadingScheduler(app=app)

    def test_the_first_call_sees_a_change_and_the_second_does_not(self, scheduler: RereadingScheduler) -> None:
        scheduler.read_schedule_again()
        assert [scheduler.schedule_changed() for _ in range(2)] == [True, False]

    def test_the_schedule_is_read_from_the_database_when_it_is_told_to(self, scheduler: RereadingScheduler) -> None:
        assert "often" in scheduler.schedule
        PeriodicTask.objects.filter(name="often").update(name="seldom")  # which tells nobody
        assert "often" in scheduler.schedule
        scheduler.read_schedule_again()
        assert "often" not in scheduler.schedule
        assert "seldom" in scheduler.schedule

    def test_a_replaced_entry_is_the_schedules(self, scheduler: RereadingScheduler) -> None:
        entry: ModelEntry = scheduler.schedule["often"]
        upcoming = next(entry)
        scheduler.replace_entry(upcoming)
        assert scheduler.schedule["often"] is upcoming


class TestDjangoMptt:
    def test_what_was_loaded_is_the_known_parent(self, cast: Cast) -> None:
        assert django_mptt.known_parent_id(cast.oslo) == cast.north.pk
        assert django_mptt.known_parent_id(cast.acme) is None

    def test_the_known_parent_can_be_set_and_forgotten(self, cast: Cast) -> None:
        django_mptt.set_known_parent_id(cast.oslo, cast.south.pk)
        assert django_mptt.known_parent_id(cast.oslo) == cast.south.pk
        django_mptt.forget_known_parent(cast.oslo)
        assert django_mptt.known_parent_id(cast.oslo) not in {cast.south.pk, cast.north.pk, None}

    def test_loaded_fields_are_those_of_the_instance(self, cast: Cast) -> None:
        cast.oslo.parent = cast.south
        django_mptt.remember_loaded_fields(cast.oslo)
        assert django_mptt.known_parent_id(cast.oslo) == cast.south.pk

    def test_a_new_node_with_numbers_is_written_where_it_says(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(TreeManager, "insert_node", pytest.fail)
        turin = Organization.objects.create(name="Turin", key="turin", parent=cast.south)
        assert Organization.objects.get(pk=turin.pk).lft == turin.lft > cast.south.lft


class TestDjango:
    def test_rows_are_deleted_by_one_statement(self, cast: Cast, django_assert_num_queries: Any) -> None:
        locks.lock_all_trees_for_writing()
        with django_assert_num_queries(1) as queries:
            assert django_orm.delete_by_one_statement(Organization.objects.filter(parent=cast.north)) == 2
        assert queries[0]["sql"].startswith("DELETE FROM")

    def test_a_plain_connection_reaches_the_same_database(self, db: None) -> None:
        with psycopg.connect(**django_orm.direct_parameters()) as plain:
            assert type(plain.cursor()) is psycopg.Cursor
            (name,) = plain.execute("SELECT current_database()").fetchone() or ("",)
        assert name == connection.settings_dict["NAME"]


class TestUnfold:
    def test_the_themes_templates_are_those_that_were_replaced(self) -> None:
        folder = Path(unfold.__path__[0]) / "templates"
        found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in unfold_templates.REPLACED}
        assert found == unfold_templates.REPLACED

    def test_every_replacement_is_listed_and_stands_before_the_themes(self) -> None:
        folder = settings.BASE_DIR / "flagsite" / "templates"
        theirs = Path(unfold.__path__[0]) / "templates"
        names = {str(path.relative_to(folder)) for path in folder.rglob("*.html")}
        ours = {name for name in names if (theirs / name).exists()}
        assert ours == set(unfold_templates.REPLACED)
        for name in ours:
            assert get_template(name).origin.name == str(folder / name)
