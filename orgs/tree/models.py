"""The organization: a node of the tree, whose methods keep the nested set correct."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NoReturn

from django.core.validators import RegexValidator
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Now
from mptt.exceptions import CantDisableUpdates
from mptt.managers import TreeManager
from mptt.models import MPTTModel, TreeForeignKey
from mptt.querysets import TreeQuerySet

from flagsite.core.adapters import django_mptt, django_orm
from flagsite.core.db.clock import ClockTimestamp
from flagsite.core.invisible_characters import INVISIBLE
from orgs.errors import (
    MoveUnderOwnDescendant,
    OrganizationBelowItself,
    OrganizationNotFound,
)
from orgs.tree import gaps, integrity, locks
from orgs.tree.move_options import KeptValue
from orgs.tree.signals import Placement, organizations_placed, organizations_removing
from orgs.tree.subtrees import Stretch, Subtree

ORGANIZATION_KEY_PATTERN = rf"[^\s{INVISIBLE}](?:[^{INVISIBLE}]*[^\s{INVISIBLE}])?"
ORGANIZATION_KEY = RegexValidator(
    rf"\A{ORGANIZATION_KEY_PATTERN}\Z",
    "A key has no control or invisible characters and neither starts nor ends with white space.",
)
OWN_COLUMNS = frozenset({"name", "key"})
"""Columns that do not describe the tree. Flagsite writes the other columns under the locks of the trees only."""
PARENT_COLUMNS = frozenset({"parent", "parent_id"})
TREE_COLUMNS = ("tree_id", "lft", "rght", "level", "descendant_count")
CIRCLE_REFUSED = "orgs_no_circle_of_parents"
"""The constraint name in the error of the trigger that refuses circles of parents (migration 0010)."""


class OrganizationQuerySet(TreeQuerySet):
    """A query of organizations, with conditions on the tree."""

    def under(self, ancestor: Organization) -> OrganizationQuerySet:
        """Return the ancestor itself and everything below it, by the columns that `ancestor` was loaded with."""
        return self.of(ancestor.subtree.stretch)

    def of(self, stretch: Stretch) -> OrganizationQuerySet:
        """Return the organizations of a stretch of a tree."""
        return self.filter(tree_id=stretch.tree_id, lft__gte=stretch.lft, lft__lte=stretch.rght)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete these organizations and everything below them, under the locks of their trees."""
        with transaction.atomic():
            locks.lock_trees_for_writing(*self.values_list("pk", flat=True))
            deleted = sum(organization.delete()[0] for organization in self.order_by("level"))
        return deleted, {"orgs.Organization": deleted}

    delete.queryset_only = True  # type: ignore[attr-defined]  # as in Django: a manager has no `delete`


class OrganizationTreeManager(TreeManager.from_queryset(OrganizationQuerySet)):  # type: ignore[misc]
    """django-mptt's manager, which takes the locks of the trees before each change."""

    def move_node(self, node: Organization, target: Organization | None, position: str = "last-child") -> None:
        node.move_to(target, position)

    def insert_node(self, node: Organization, target: Organization | None, *args: Any, **kwargs: Any) -> Organization:
        """Set the parent of a new organization. Only `save` places it in the tree."""
        node.parent = target
        if kwargs.get("save"):
            node.save()
        return node

    def update_or_create(self, *args: Any, **kwargs: Any) -> tuple[Organization, bool]:
        """Update or create like Django, but take the locks of the trees before the lock of the row.

        Which trees these are is known only after it, so it takes the lock of all trees.
        """
        with transaction.atomic():
            locks.lock_all_trees_for_writing()
            result: tuple[Organization, bool] = super().update_or_create(*args, **kwargs)
        return result

    def disable_mptt_updates(self) -> NoReturn:
        """Raise CantDisableUpdates: until the rebuild at the end of such a block, the tree would be wrong for all."""
        raise CantDisableUpdates(
            "Each statement has to keep the tree correct. Use import_organizations for many organizations."
        )

    delay_mptt_updates = disable_mptt_updates

    def build_tree_nodes(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise CantDisableUpdates: the nodes would have no gaps, no counts and no flag states."""
        self.disable_mptt_updates()

    def rebuild(self, *args: Any, **kwargs: Any) -> None:
        """Write the tree columns as the parent links require, like `check_tree --repair`."""
        integrity.repair()

    def partial_rebuild(self, tree_id: int, **kwargs: Any) -> None:
        """Do the same as `rebuild`: a repair finds the organizations of a damaged tree only among all others."""
        integrity.repair()


class Organization(MPTTModel):
    """A customer or a part of a customer: a node of the tree.

    `save`, `move_to` and `delete` take the locks of the trees and then read the trees again, so they do not rely on the
    values that this instance was loaded with. A trigger refuses every statement that changes the tree without the lock.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=255)
    key = models.CharField(
        max_length=255,
        unique=True,
        validators=[ORGANIZATION_KEY],
        help_text="Stable name of the organization in your own systems.",
    )
    parent = TreeForeignKey("self", on_delete=models.DO_NOTHING, null=True, blank=True, related_name="children")
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    # django-mptt adds these columns if a model does not have them, but as integers of 4 bytes and with one index more.
    lft = models.PositiveBigIntegerField(editable=False)
    rght = models.PositiveBigIntegerField(editable=False)
    tree_id = models.PositiveIntegerField(editable=False)
    level = models.PositiveIntegerField(editable=False)
    descendant_count = models.PositiveIntegerField(editable=False)
    """The number of organizations below it. The nested set has gaps, so `rght - lft` does not tell it."""

    placement_jobs: tuple[int, ...] = ()
    """The ids of the jobs that the last `save` of this instance has created for the organization's placement."""

    keeps_values = False
    """Whether the next move keeps the values of flags as settings of the organization itself."""
    kept_values: tuple[KeptValue, ...] = ()
    """The values that the last move of this instance has kept."""
    change_number: int | None = None
    """The change number of the last move of this instance, if another app has given it one."""

    objects: ClassVar[OrganizationTreeManager] = OrganizationTreeManager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~models.Q(name=""), name="organization_has_a_name"),
            models.CheckConstraint(condition=~models.Q(key=""), name="organization_has_a_key"),
        ]
        indexes: ClassVar = [models.Index(fields=["tree_id", "lft"], name="organization_in_tree_order")]

    def __str__(self) -> str:
        return self.name

    @property
    def subtree(self) -> Subtree:
        """The organization with everything below it, by the columns that this instance was loaded with."""
        return Subtree(self.pk, self.tree_id, self.lft, self.rght, self.descendant_count)

    @property
    def below_in_words(self) -> str:
        """The number of organizations below it, for people, such as "1,200 below"."""
        return f"{self.descendant_count:,} below"

    @property
    def has_children(self) -> bool:
        """Whether organizations are below it, by the columns that this instance was loaded with."""
        return self.descendant_count > 0

    def get_descendant_count(self) -> int:
        """Return the number of organizations below it; django-mptt would compute it from `lft` and `rght`."""
        return self.descendant_count or 0

    def get_leafnodes(self, include_self: bool = False) -> OrganizationQuerySet:  # noqa: FBT002
        """Return the organizations below it that have no children; django-mptt would compare `lft` and `rght`."""
        leaves: OrganizationQuerySet = self.get_descendants(include_self=include_self).filter(descendant_count=0)
        return leaves

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Write the organization. If it is new or has a new parent, take the locks of the trees and place it.

        Raises OrganizationNotFound if the organization or the parent does not exist any more. Raises
        MoveUnderOwnDescendant if the parent is below the organization. Raises OrganizationBelowItself if only
        PostgreSQL's trigger finds this, because the tree columns are damaged.
        """
        columns = frozenset({*(OWN_COLUMNS | PARENT_COLUMNS if update_fields is None else update_fields), "updated_at"})
        if self._state.adding:
            for column in TREE_COLUMNS:  # a copy has old values, and so has an instance after a refused save
                setattr(self, column, None)
            self._save_placement(lambda: super(Organization, self).save(*args, **{**kwargs, "force_insert": True}))
        elif columns & PARENT_COLUMNS and self._has_new_parent():
            self._move(lambda: super(Organization, self).save(*args, update_fields=columns, **kwargs), columns)
        else:
            self._write_own(columns)

    def refresh_from_db(
        self, using: Any = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        """Reload like Django; after this, changes of the parent are compared with the reloaded parent."""
        fields = None if fields is None else list(fields)
        super().refresh_from_db(using, fields, from_queryset)
        if fields is None or PARENT_COLUMNS & set(fields):
            django_mptt.remember_loaded_fields(self)

    def move_to(self, target: Organization | None, position: str = "last-child") -> None:
        """Move below `target`, or beside it for the positions left and right. The order of siblings has no meaning."""
        with transaction.atomic():
            locks.lock_trees_for_writing(self.pk, target and target.pk)
            if target is not None and position in {"left", "right"}:
                target.refresh_from_db(fields=["parent"])
                target = target.parent
            django_mptt.forget_known_parent(self)  # `save` then compares the parent with the database
            self.parent = target
            self.save(update_fields=["parent"])

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:  # noqa: FBT002
        """Delete this organization and everything below it. Receivers of `organizations_removing` delete their rows.

        Raises the errors of the receivers, such as OrganizationHasStaff.
        """
        with transaction.atomic():
            locks.lock_trees_for_writing(self.pk)
            current = Organization.objects.filter(pk=self.pk).first()
            if current is None:
                return 0, {}
            ancestors = gaps.path_up(current.pk)[1:]
            deleted = _remove(current.subtree.stretch)
            gaps.count({node.id: -deleted for node in ancestors})
        return deleted, {"orgs.Organization": deleted}

    def delete_last(self, most: int) -> int:
        """Delete the last organizations of the subtree in the order of the tree, at most `most`; return their number.

        So none of them leaves an organization below it behind, and this organization itself goes last of all. Raises
        like `delete`.
        """
        with transaction.atomic():
            locks.lock_trees_for_writing(self.pk)
            current = Organization.objects.filter(pk=self.pk).first()
            if current is None:
                return 0
            last = list(Organization.objects.under(current).order_by("-lft").values_list("pk", "lft")[:most])
            first_id, start = last[-1]
            above = gaps.path_up(first_id)[1:]  # the organizations that are above any of them, and stay
            deleted = _remove(Stretch(current.tree_id, start, current.rght))
            starts = [lft for _, lft in reversed(last)]
            gaps.count({node.id: -bisect_right(starts, node.rght) for node in above})
        return deleted

    def _has_new_parent(self) -> bool:
        """Return whether the parent has changed since it was loaded; a parent that was not loaded has not changed."""
        return "parent_id" in self.__dict__ and self.parent_id != django_mptt.known_parent_id(self)

    def _write_own(self, columns: frozenset[str]) -> None:
        """Write the loaded OWN_COLUMNS."""
        values = {column: self.__dict__[column] for column in OWN_COLUMNS & columns & self.__dict__.keys()}
        if not Organization.objects.filter(pk=self.pk).update(**values, updated_at=Now()):
            raise OrganizationNotFound
        self.refresh_from_db(fields=["updated_at"])

    def _move(self, write: Callable[[], None], columns: frozenset[str]) -> None:
        """Read the organization again under the locks of the trees, then write it below its new parent."""
        with transaction.atomic():
            locks.lock_trees_for_writing(self.pk, self.parent_id)
            current = Organization.objects.filter(pk=self.pk).first()
            if current is None:
                raise OrganizationNotFound
            django_mptt.set_known_parent_id(self, current.parent_id)
            if self.parent_id == current.parent_id:
                self._write_own(columns)
                return
            if self.parent_id and Organization.objects.under(current).filter(pk=self.parent_id).exists():
                raise MoveUnderOwnDescendant
            self.updated_at = Now()
            try:
                self._save_placement(write, former=gaps.path_up(self.pk))
            except Exception:
                django_mptt.set_known_parent_id(
                    self, current.parent_id
                )  # rolled back: the next save has to move it again
                raise
            self.refresh_from_db()

    def _save_placement(self, write: Callable[[], None], *, former: list[gaps.Node] | None = None) -> None:
        """Make room below the parent, write the organization, and send the placement to the receivers.

        `former` is the path of the organization before a move, from itself up to the root; None for a new one.
        """
        with transaction.atomic():
            if self.parent_id is None and self.parent is not None:
                self.parent = self.parent  # it was saved after it became the parent, and has an id now
            locks.lock_trees_for_writing(self.pk, self.parent_id)
            parent = None if self.parent_id is None else gaps.path_up(self.parent_id)
            if parent == []:
                raise OrganizationNotFound(f"There is no organization {self.parent_id} to be the parent.")
            if former is None:
                self._be_placed(gaps.place_new(parent))
            else:
                gaps.move(former, parent)
                django_mptt.set_known_parent_id(self, self.parent_id)
            if self.parent_id is not None:
                self.parent = Organization.objects.get(pk=self.parent_id)
            try:
                write()
            except IntegrityError as error:
                if _is_refused_circle(error):
                    raise OrganizationBelowItself from error
                raise
            former_ancestor_ids = None if former is None else tuple(node.id for node in former[:0:-1])
            placement = Placement(self.pk, self.parent_id, former_ancestor_ids, self.keeps_values)
            started: list[tuple[Any, Any]] = organizations_placed.send(sender=Organization, placements=[placement])
            self.placement_jobs = tuple(job_id for _, job_ids in started for job_id in job_ids or ())
            self.kept_values = tuple(placement.kept)
            self.change_number = placement.change_numbers[0] if placement.change_numbers else None

    def _be_placed(self, place: gaps.Place) -> None:
        """Take over the place of a new organization; django-mptt then saves it without placing it itself."""
        self.tree_id, self.lft, self.rght, self.level = place.tree_id, place.lft, place.rght, place.level
        self.descendant_count = 0


def _remove(stretch: Stretch) -> int:
    """Delete the organizations of a stretch with what belongs to them, and return their number."""
    organizations_removing.send(sender=Organization, stretch=stretch)
    return django_orm.delete_by_one_statement(Organization.objects.of(stretch))


def _is_refused_circle(error: IntegrityError) -> bool:
    """Return whether the trigger that refuses circles of parents has raised this error."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return diagnostics is not None and diagnostics.constraint_name == CIRCLE_REFUSED
