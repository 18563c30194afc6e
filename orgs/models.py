"""The organization tree and the keys that give access to a part of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models.functions import Now
from mptt.managers import TreeManager
from mptt.models import MPTTModel, TreeForeignKey
from mptt.querysets import TreeQuerySet
from rest_framework_api_key.models import AbstractAPIKey

from orgs import locks
from orgs.errors import MoveUnderOwnDescendant, OrganizationNotFound
from orgs.signals import Placement, organization_removing, organizations_placed

ORGANIZATION_KEY = RegexValidator(
    r"\A[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?\Z",
    "A key has no control characters and neither starts nor ends with white space.",
)
OWN_COLUMNS = frozenset({"name", "key", "updated_at"})
"""Columns that say nothing about an organization's place; all others are written under the tree lock only."""


class OrganizationQuerySet(TreeQuerySet):
    """Which organizations."""

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


class OrganizationTreeManager(TreeManager.from_queryset(OrganizationQuerySet)):  # type: ignore[misc]
    """django-mptt's manager, with the tree lock around each of its structural writes."""

    def move_node(self, node: Organization, target: Organization, position: str = "last-child") -> None:
        node.move_to(target, position)

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
    """Ids of the jobs that the last `save` of this instance has started, because it placed the organization."""

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
    def has_children(self) -> bool:
        """Whether anything is below it, by the columns this instance was loaded with."""
        return self.rght - self.lft > 1

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Write the organization; a new one or one with a new parent finds its place under the tree lock.

        Raises OrganizationNotFound when the parent is gone, MoveUnderOwnDescendant when it is below.
        """
        if self._state.adding:
            self._place(lambda: super(Organization, self).save(*args, **kwargs), former_ancestor_ids=None)
        elif self.parent_id != self._mptt_cached_fields["parent"]:
            self._move(lambda: super(Organization, self).save(*args, **kwargs))
        else:
            self.updated_at = Now()
            own = OWN_COLUMNS & ({*update_fields, "updated_at"} if update_fields is not None else OWN_COLUMNS)
            models.Model.save(self, *args, update_fields=own, **kwargs)
            self.refresh_from_db(fields=["updated_at"])

    def move_to(self, target: Organization | None, position: str = "last-child") -> None:
        """Move under `target` (its sibling for the positions left and right); the order of siblings has no meaning."""
        beside = target is not None and position in {"left", "right"}
        self.parent = target.parent if beside and target is not None else target
        self.save()

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Delete this organization and everything below it, their flag states and access keys included."""
        with transaction.atomic():
            locks.lock_tree_for_writing()
            current = Organization.objects.filter(pk=self.pk).first()
            if current is None:
                return 0, {}
            organization_removing.send(sender=Organization, organization=current)
            subtree = Organization.objects.under(current)
            AccessKey.objects.filter(organization__in=subtree).delete()
            deleted = subtree._raw_delete(subtree.db)
            Organization.objects._close_gap(current.rght - current.lft + 1, current.rght, current.tree_id)
        return deleted, {"orgs.Organization": deleted}

    def _move(self, write: Any) -> None:
        """Find where the organization stands now, then write it in its new place."""
        with transaction.atomic():
            locks.lock_tree_for_writing()
            current = Organization.objects.filter(pk=self.pk).first()
            if current is None:
                raise OrganizationNotFound
            self._mptt_cached_fields["parent"] = current.parent_id
            if self.parent_id == current.parent_id:
                return
            former = Organization.objects.above(current).order_by("lft").values_list("pk", flat=True)
            former_ancestor_ids = tuple(former)
            if self.parent_id and Organization.objects.under(current).filter(pk=self.parent_id).exists():
                raise MoveUnderOwnDescendant
            self.updated_at = Now()
            self._place(write, former_ancestor_ids=former_ancestor_ids)
            self.refresh_from_db()

    def _place(self, write: Any, *, former_ancestor_ids: tuple[int, ...] | None) -> None:
        """Write the organization below its parent as it stands now, and tell who wants to know."""
        with transaction.atomic():
            locks.lock_tree_for_writing()
            if self.parent_id is not None:
                parent = Organization.objects.filter(pk=self.parent_id).first()
                if parent is None:
                    raise OrganizationNotFound(f"There is no organization {self.parent_id} to be the parent.")
                self.parent = parent
            write()
            started = organizations_placed.send(
                sender=Organization, placements=[Placement(self.pk, self.parent_id, former_ancestor_ids)]
            )
            self.placement_jobs = tuple(job_id for _, job_ids in started for job_id in job_ids or ())


class Role(models.TextChoices):
    """What a caller may do; each role may do all that the ones before it may."""

    READER = "reader", "Reader: sees"
    EDITOR = "editor", "Editor: sets flags"
    OPERATOR = "operator", "Operator: retries and cancels jobs"
    ADMIN = "admin", "Admin: changes the organization tree"

    def includes(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class AccessKey(AbstractAPIKey):
    """A key that a program sends with its requests; only its hash is stored."""

    role = models.CharField(max_length=16, choices=Role.choices, default=Role.READER)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="access_keys",
        help_text="The key sees and changes this organization and what is below it; empty: everything.",
    )

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "access key"
        verbose_name_plural = "access keys"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="access_key_role_is_known")
        ]


class IdempotentRequest(models.Model):
    """A write that came with an Idempotency-Key, and what was answered."""

    id = models.BigAutoField(primary_key=True)
    caller = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty while the request is carried out.")
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["caller", "key"], name="one_answer_per_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.caller}: {self.key}"
