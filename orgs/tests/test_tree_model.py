"""The tree against a dictionary that does the same naively: any sequence of changes ends in the same tree."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from orgs.errors import (
    DuplicateOrganizationKey,
    ImportRefused,
    MoveUnderOwnDescendant,
    OrganizationHasChildren,
    OrganizationNotFound,
)
from orgs.tests.trees import import_rows, paths
from orgs.tree import spacing, tree_operations
from orgs.tree.models import Organization
from orgs.tree.spacing import Spacing

KEYS = st.sampled_from([f"k{number}" for number in range(9)])
PARENTS = st.one_of(st.just(""), KEYS, KEYS, KEYS)
NAMES = st.sampled_from(["one", "two, three", "four\nfive", "six"])


class TreeMachine(RuleBasedStateMachine):
    """Changes the tree and `parents` alike. Keys are few, so that everything happens to the same organizations."""

    @initialize()
    def begin(self) -> None:
        self.parents: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.stale: dict[str, Organization] = {}
        self.transaction = transaction.atomic()
        self.transaction.__enter__()

    def teardown(self) -> None:
        if hasattr(self, "transaction"):
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    def path(self, key: str, parents: dict[str, str] | None = None) -> list[str]:
        """The keys from the root down; a cycle ends where it closes, and the path then has a key twice."""
        parents = self.parents if parents is None else parents
        found = [key]
        while parents.get(found[0]) and found.count(found[0]) == 1:
            found.insert(0, parents[found[0]])
        return found

    def id_of(self, key: str) -> int | None:
        """The id, that of nobody if the organization does not exist."""
        if not key:
            return None
        return Organization.objects.filter(key=key).values_list("id", flat=True).first() or 2**40

    def refuses(self, error: type[Exception], change: Any) -> None:
        with pytest.raises(error), transaction.atomic():
            change()

    @rule(key=KEYS, name=NAMES, parent=PARENTS)
    def create(self, key: str, name: str, parent: str) -> None:
        def change() -> None:
            tree_operations.create(key=key, name=name, parent_id=self.id_of(parent))

        if key in self.parents:
            self.refuses(DuplicateOrganizationKey, change)
        elif parent and parent not in self.parents:
            self.refuses(OrganizationNotFound, change)
        else:
            change()
            self.parents[key], self.names[key] = parent, name

    @rule(key=KEYS, name=NAMES)
    def rename(self, key: str, name: str) -> None:
        if key in self.parents:
            tree_operations.rename(organization_id=self.id_of(key) or 0, name=name)
            self.names[key] = name

    @rule(key=KEYS, parent=PARENTS)
    def move(self, key: str, parent: str) -> None:
        self._move(
            key,
            parent,
            lambda: tree_operations.move(organization_id=self.id_of(key) or 0, parent_id=self.id_of(parent)),
        )

    @rule(key=KEYS)
    def load(self, key: str) -> None:
        if key in self.parents:
            self.stale[key] = Organization.objects.get(key=key)

    @rule(key=KEYS, parent=KEYS)
    def move_from_stale_to_stale(self, key: str, parent: str) -> None:
        if key in self.stale and parent in self.stale:
            self._move(key, parent, lambda: self.stale[key].move_to(self.stale[parent]))

    def _move(self, key: str, parent: str, change: Any) -> None:
        if key not in self.parents or (parent and parent not in self.parents):
            self.refuses(OrganizationNotFound, change)
        elif parent and key in self.path(parent):
            self.refuses(MoveUnderOwnDescendant, change)
        else:
            change()
            self.parents[key] = parent

    @rule(key=KEYS, subtree=st.booleans())
    def delete(self, key: str, subtree: bool) -> None:
        below = {other for other in self.parents if key in self.path(other)}
        if key not in self.parents:
            return
        if len(below) > 1 and not subtree:
            self.refuses(OrganizationHasChildren, lambda: tree_operations.delete(organization_id=self.id_of(key) or 0))
            return
        assert tree_operations.delete(organization_id=self.id_of(key) or 0, subtree=subtree) == len(below)
        for other in below:
            del self.parents[other], self.names[other]
            self.stale.pop(other, None)

    @rule(rows=st.lists(st.tuples(KEYS, NAMES, PARENTS), min_size=1, max_size=7))
    def import_file(self, rows: list[tuple[str, str, str]]) -> None:
        def change() -> Any:
            return import_rows(*(f'{key},"{name}",{parent}' for key, name, parent in rows))

        parents = self.parents | {key: parent for key, _, parent in rows}
        doubled = len({key for key, *_ in rows}) < len(rows)
        orphaned = any(parent and parent not in parents for parent in parents.values())
        circular = any(len(set(self.path(key, parents))) < len(self.path(key, parents)) for key in parents)
        if doubled or orphaned or circular:
            self.refuses(ImportRefused, change)
            return
        report = change()
        assert report.created == len(parents) - len(self.parents)
        assert report.moved == sum(self.parents[key] != parents[key] for key in self.parents)
        assert report.renamed == sum(self.names.get(key, name) != name for key, name, _ in rows)
        self.parents = parents
        self.names |= {key: name for key, name, _ in rows}

    @invariant()
    def the_tree_is_the_dictionary(self) -> None:
        assert paths() == {"/".join(self.path(key)) for key in self.parents}
        assert dict(Organization.objects.values_list("key", "name")) == self.names


def run(max_examples: int, steps: int) -> None:
    health = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        TreeMachine,
        settings=settings(
            max_examples=max_examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=health,
        ),
    )


def test_any_few_changes_end_in_the_tree_that_they_describe(db: None) -> None:
    run(max_examples=12, steps=25)


def test_any_few_changes_end_so_where_gaps_are_full(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacing, "SPACING", Spacing(unit=2, limit=60, least=1, window=1))
    run(max_examples=8, steps=25)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_any_changes_end_in_the_tree_that_they_describe(db: None) -> None:
    run(max_examples=30, steps=50)
