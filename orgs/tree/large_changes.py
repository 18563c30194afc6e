"""Deletions and moves of more organizations than one request should change: a job carries them out.

`orgs` does not know jobs, so `jobs.tree_changes` registers the functions that create these jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from flagsite.core import actor
from orgs.tree.models import Organization
from orgs.tree.move_options import DEFAULTS, MoveOptions


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a large change: its actor and its reason, and where it came in."""

    by: str
    reason: str
    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class StartedJob:
    """The job that carries out a large change of an organization."""

    job_id: int
    organization: Organization


Deletion = Callable[[Organization, Request], int]
"""Creates the job that deletes an organization with everything below it, or finds the open one; returns its id."""
Move = Callable[[Organization, int | None, MoveOptions, Request], int]
"""Creates the job that moves an organization (None: to a root), or finds the open one; returns its id."""
deletions: list[Deletion] = []
moves: list[Move] = []
"""The functions that create these jobs. There is one of each."""


def is_large(organization: Organization) -> bool:
    """Return whether a job has to delete or move the organization with everything below it."""
    return organization.subtree.size > int(settings.TREE_INLINE_ORGANIZATIONS)


def start_deletion(organization: Organization, *, by: str, reason: str = "") -> StartedJob:
    """Let a job delete the organization with everything below it, in the transaction of the calling code."""
    [start] = deletions
    return StartedJob(start(organization, _request(by, reason)), organization)


def start_move(
    organization: Organization, parent_id: int | None, *, options: MoveOptions = DEFAULTS, by: str, reason: str = ""
) -> StartedJob:
    """Let a job move the organization below the parent, in the transaction of the calling code. None: to a root."""
    [start] = moves
    return StartedJob(start(organization, parent_id, options, _request(by, reason)), organization)


def _request(by: str, reason: str) -> Request:
    context = actor.current()
    return Request(by, reason or context.reason, context.channel, context.address)
