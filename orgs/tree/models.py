"""The organization: a node of the tree, which keeps its nested set right by itself."""

from __future__ import annotations

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
from orgs.errors import (
    MoveUnderOwnDescendant,
    OrganizationBelowItself,
    OrganizationNotFound,
)
from orgs.tree import locks
from orgs.tree.signals import Placement, organization_removing, organizations_placed
from orgs.tree.subtrees import Subtree

ORGANIZATION_KEY_PATTERN = r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?"
ORGANIZATION_KEY = RegexValidator(
    rf"\A{ORGANIZATION_KEY_PATTERN}\Z",
    "A key has no control characters and neither starts nor ends with white space.",
)
OWN_COLUMNS = frozenset({"name", "key"})
"""Columns that have nothing to do with the tree; the others are written under the tree lock only."""
PARENT_COLUMNS = frozenset({"parent", "parent_id"})
TREE_COLUMNS = ("tree_id", "lft", "rght", "level")
CIRCLE_REFUSED = "orgs_no_circle_of_parents"
"""The name in the error of the trigger that refuses circles of parents (migration 0010)."""


class OrganizationQuerySet(TreeQuerySet):
    """Organizations by where they are in the tree."""

    def under(self, ancestor: Organization) -> OrganizationQuerySet:
        """The ancestor itself and everything below it, by the columns that `ancestor` was loaded with."""
        return self.filter(tree_id=ancestor.tree_id, lft__gte=ancestor.lft, lft__lte=ancestor.rght)

    def above(self, descendant: Organization) -> OrganizationQuerySet:
        """Everything strictly above the descendant, by the columns that it was loaded with."""
        return self.filter(tree_id=descendant.tree_id, lft__lt=descendant.lft, rght__gt=descendant.rght)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete these organizations with all that is below them, under the tree lock."""
        with transaction.atomic():
            locks.lock_tree_for_writing()
            deleted = sum(organization.delete()[0] for organization in self.order_by("level"))
        return deleted, {"orgs.Organization": deleted}

    delete.queryset_only = True  # type: ignore[attr-defined]  # as Django's own: managers do not delete everything


class OrganizationTreeManager(TreeManager.from_queryset(OrganizationQuerySet)):  # type: ignore[misc]
    """django-mptt's manager, with the tree lock around each of its structural writes."""

    def move_node(self, node: Organization, target: Organization | None, position: str = "last-child") -> None:
        node.move_to(target, position)

    def insert_node(self, node: Organization, target: Organization | None, *args: Any, **kwargs: Any) -> Organization:
        """Give a new organization its parent; `save` computes its placement, and only for `save` this method does."""
        if node.is_being_placed:
            super().insert_node(node, target, *args, **kwargs)
        else:
            node.parent = target
            if kwargs.get("save"):
                node.save()
        return node

    def update_or_create(self, *args: Any, **kwargs: Any) -> tuple[Organization, bool]:
        """As Django's, with the tree lock before the lock on the row."""
        with transaction.atomic():
            locks.lock_tree_for_writing()
            found: tuple[Organization, bool] = super().update_or_create(*args, **kwargs)
        return found

    def disable_mptt_updates(self) -> NoReturn:
        """Refuse: between such a block's start and a rebuild at its end the tree would be wrong for everybody."""
        raise CantDisableUpdates("The tree is kept right with each statement; import_organizations is for many.")

    delay_mptt_updates = disable_mptt_updates

    def rebuild(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():
            locks.lock_tree_for_writing()
            super().rebuild(*args, **kwargs)

    def partial_rebuild(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():
            locks.lock_tree_for_writing()
            super().partial_rebuild(*args, **kwargs)


class Organization(MPTTModel):
    """A customer or a part of one: a node of the tree.

    Creating, moving and deleting take the tree lock by themselves and read the tree again after it, so none
    of them trusts what this instance was loaded with. A trigger refuses any statement that changes the tree
    without the lock, whoever sends it.
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
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    placement_jobs: tuple[int, ...] = ()
    """Ids of the jobs that the last `save` of this instance has started, because of the organization's placement."""
    is_being_placed = False
    """Whether its `save` is changing the tree; only then django-mptt's own methods write the nested set."""

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
        """The organization with everything below it, by the columns this instance was loaded with."""
        return Subtree(self.pk, self.tree_id, self.lft, self.rght)

    @property
    def descendant_count(self) -> int:
        """How many organizations are below it, by the columns this instance was loaded with."""
        return self.subtree.size - 1

    @property
    def has_children(self) -> bool:
        """Whether anything is below it, by the columns this instance was loaded with."""
        return self.descendant_count > 0

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Write the organization; a new one, or one with a new parent, is placed under the tree lock.

        Raises OrganizationNotFound when it or the parent is gone, and MoveUnderOwnDescendant when the parent is below.
        Raises OrganizationBelowItself when only PostgreSQL finds the parent below: the tree columns are damaged then.
        """
        columns = frozenset({*(OWN_COLUMNS | PARENT_COLUMNS if update_fields is None else update_fields), "updated_at"})
        if self._state.adding:
            for column in TREE_COLUMNS:  # a copied instance has its original's, a refused one those of the attempt
                setattr(self, column, None)
            self._save_placement(lambda: super(Organization, self).save(*args, **{**kwargs, "force_insert": True}))
        elif columns & PARENT_COLUMNS and self._has_new_parent():
            self._move(lambda: super(Organization, self).save(*args, update_fields=columns, **kwargs), columns)
        else:
            self._write_own(columns)

    def refresh_from_db(
        self, using: Any = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        """As Django's; once the parent was read anew, a change of it is told from what was read."""
        fields = None if fields is None else list(fields)
        super().refresh_from_db(using, fields, from_queryset)
        if fields is None or PARENT_COLUMNS & set(fields):
            django_mptt.remember_loaded_fields(self)

    def move_to(self, target: Organization | None, position: str = "last-child") -> None:
        """Move under `target` (its sibling for the positions left and right); the order of siblings has no meaning."""
        with transaction.atomic():
            locks.lock_tree_for_writing()
            if target is not None and position in {"left", "right"}:
                target.refresh_from_db(fields=["parent"])
                target = target.parent
            django_mptt.forget_known_parent(self)  # whatever it was: compare with the database
            self.parent = target
            self.save(update_fields=["parent"])

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:  # noqa: FBT002
        """Delete this organization and everything below it; receivers of `organization_removing` delete what is theirs.

        Raises what the receivers raise, such as OrganizationHasStaff.
        """
        with transaction.atomic():
            locks.lock_tree_for_writing()
            current = Organization.objects.filter(pk=self.pk).first()
            if current is None:
                return 0, {}
            subtree = Organization.objects.under(current)
            organization_removing.send(sender=Organization, organization=current)
            deleted = django_orm.delete_by_one_statement(subtree)
            width = current.rght - current.lft + 1
            django_mptt.close_gap(Organization.objects, width=width, right_of=current.rght, tree_id=current.tree_id)
        return deleted, {"orgs.Organization": deleted}

    def _has_new_parent(self) -> bool:
        """Whether the parent differs from what was loaded; one that was not loaded was not changed either."""
        return "parent_id" in self.__dict__ and self.parent_id != django_mptt.known_parent_id(self)

    def _write_own(self, columns: frozenset[str]) -> None:
        """Write those of the OWN_COLUMNS that were loaded."""
        values = {column: self.__dict__[column] for column in OWN_COLUMNS & columns & self.__dict__.keys()}
        if not Organization.objects.filter(pk=self.pk).update(**values, updated_at=Now()):
            raise OrganizationNotFound
        self.refresh_from_db(fields=["updated_at"])

    def _move(self, write: Callable[[], None], columns: frozenset[str]) -> None:
        """Read the organization as it is now, then write it below its new parent."""
        with transaction.atomic():
            locks.lock_tree_for_writing()
            current = Organization.objects.filter(pk=self.pk).first()
            if current is None:
                raise OrganizationNotFound
            django_mptt.set_known_parent_id(self, current.parent_id)
            if self.parent_id == current.parent_id:
                self._write_own(columns)
                return
            former = Organization.objects.above(current).order_by("lft").values_list("pk", flat=True)
            former_ancestor_ids = tuple(former)
            if self.parent_id and Organization.objects.under(current).filter(pk=self.parent_id).exists():
                raise MoveUnderOwnDescendant
            self.updated_at = Now()
            try:
                self._save_placement(write, former_ancestor_ids=former_ancestor_ids)
            except Exception:
                django_mptt.set_known_parent_id(self, current.parent_id)  # rolled back: a next save is to move it again
                raise
            self.refresh_from_db()

    def _save_placement(self, write: Callable[[], None], *, former_ancestor_ids: tuple[int, ...] | None = None) -> None:
        """Write the organization below its parent as that is now, and send the placement to its receivers.

        `former_ancestor_ids` are the ancestors before a move, root first; None for a new organization.
        """
        with transaction.atomic():
            locks.lock_tree_for_writing()
            if self.parent_id is not None:
                parent = Organization.objects.filter(pk=self.parent_id).first()
                if parent is None:
                    raise OrganizationNotFound(f"There is no organization {self.parent_id} to be the parent.")
                self.parent = parent
            self.is_being_placed = True
            try:
                write()
            except IntegrityError as error:
                if _is_refused_circle(error):
                    raise OrganizationBelowItself from error
                raise
            finally:
                self.is_being_placed = False
            started: list[tuple[Any, Any]] = organizations_placed.send(
                sender=Organization, placements=[Placement(self.pk, self.parent_id, former_ancestor_ids)]
            )
            self.placement_jobs = tuple(job_id for _, job_ids in started for job_id in job_ids or ())


def _is_refused_circle(error: IntegrityError) -> bool:
    """Whether the trigger that refuses circles of parents has raised this error."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return diagnostics is not None and diagnostics.constraint_name == CIRCLE_REFUSED
