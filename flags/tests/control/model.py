"""Who decides about a flag in a tree: the semantics of docs/conformance, with dictionaries and nothing else.

Every step is carried out at once. There are no rows, jobs, change numbers or tree columns, so that anybody can see that
the model is right. It knows organizations and flags by their keys or ids, whichever the caller uses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Id = Hashable
ACCEPTED = "accepted"


class Refused(Exception):
    """A step that nobody carries out; the argument is the type of the problem."""


class Setting(NamedTuple):
    """An explicit decision about one flag on one organization."""

    kind: Literal["set", "lock"]
    value: bool
    reach: Literal["below", "here"] = "below"


class Answer(NamedTuple):
    """What holds for a flag in an organization, the organization on which it was decided, and why it holds."""

    value: bool | None
    source: Id | None
    reason: Literal["lock", "own", "inherited", "default"]


DEFAULT = Answer(None, None, "default")


@dataclass(slots=True)
class Model:
    """Organizations with their parents, and what was decided about flags."""

    parents: dict[Id, Id | None] = field(default_factory=dict)
    settings: dict[tuple[Id, Id], Setting] = field(default_factory=dict)
    """By organization and flag."""
    exemptions: dict[tuple[Id, Id], Id] = field(default_factory=dict)
    """By organization and flag: the organization whose lock is lifted, with all locks between the two."""

    # --- Questions ----------------------------------------------------------------------------------------------------

    def path(self, organization: Id) -> list[Id]:
        """The organizations from the root down to this one."""
        parent = self.parents[organization]
        return [*([] if parent is None else self.path(parent)), organization]

    def subtree(self, organization: Id) -> list[Id]:
        """The organization and all below it."""
        return [each for each in self.parents if organization in self.path(each)]

    def lock(self, organization: Id, flag: Id) -> Id | None:
        """The organization whose lock holds here: the topmost one that no exemption lifts."""
        path = self.path(organization)
        lifted = {
            each
            for exempt in path
            if (lock := self.exemptions.get((exempt, flag))) in path
            for each in path[path.index(lock) : path.index(exempt)]
        }
        return next((each for each in path if self._is_locked(each, flag) and each not in lifted), None)

    def answer(self, organization: Id, flag: Id) -> Answer:
        """The topmost lock that no exemption lifts; else the nearest setting; else the flag's default."""
        lock = self.lock(organization, flag)
        if lock is not None:
            return Answer(self.settings[lock, flag].value, lock, "lock")
        for each in reversed(self.path(organization)):
            setting = self.settings.get((each, flag))
            if setting and (each == organization or setting.reach == "below"):
                return Answer(setting.value, each, "own" if each == organization else "inherited")
        return DEFAULT

    def masked(self, organization: Id, flag: Id) -> int:
        """How many settings at and below the organization count for nothing as long as a lock above them holds."""
        return sum(
            (each, flag) in self.settings and self.lock(each, flag) not in {None, each}
            for each in self.subtree(organization)
        )

    def flags(self) -> set[Id]:
        """All flags about which something was decided."""
        return {flag for _, flag in self.settings}

    def values(self) -> dict[tuple[Id, Id], bool | None]:
        """Every value, by organization and flag."""
        return {(each, flag): self.answer(each, flag).value for each in self.parents for flag in self.flags()}

    # --- Steps --------------------------------------------------------------------------------------------------------

    def set(self, organization: Id, flag: Id, value: bool, *, below: str = "keep", reach: str = "below") -> None:
        """Set a flag: settings below stay (`keep`), end (`overwrite`), or count for nothing for a time (`lock`)."""
        self._refuse_below_a_lock(organization, flag)
        if below == "overwrite":
            self._end_settings(organization, flag)
        kind: Literal["set", "lock"] = "lock" if below == "lock" else "set"
        self.settings[organization, flag] = Setting(kind, value, "here" if reach == "here" else "below")
        self._end_exemptions()

    def reset(self, organization: Id, flag: Id, *, subtree: bool = False) -> None:
        """End the organization's own setting or lock, with `subtree` also those below it."""
        self._refuse_below_a_lock(organization, flag)
        self.settings.pop((organization, flag), None)
        if subtree:
            self._end_settings(organization, flag)
        self._end_exemptions()

    def exempt(self, organization: Id, flag: Id) -> None:
        """Lift the lock that holds here, and every lock between the two, for the organization's subtree.

        An earlier exemption of the organization does not count, so that it can be renewed.
        """
        earlier = {place: lock for place, lock in self.exemptions.items() if place == (organization, flag)}
        self.end_exemption(organization, flag)
        lock = self.lock(organization, flag)
        if lock is None or lock == organization:
            self.exemptions |= earlier
            raise Refused("flag-not-locked")
        self.exemptions[organization, flag] = lock

    def end_exemption(self, organization: Id, flag: Id) -> None:
        """Let the lifted locks hold again."""
        self.exemptions.pop((organization, flag), None)

    def create(self, organization: Id, parent: Id | None) -> None:
        """Add an organization, which has no setting."""
        self.parents[organization] = parent

    def move(self, organization: Id, parent: Id | None, *, materialise: bool = False) -> None:
        """Give an organization another parent. Its settings and those below go with it; locks do not hinder it.

        With `materialise`, values that the organization would lose become settings of its own; an own lock stays one.
        """
        if parent is not None and organization in self.path(parent):
            raise Refused("move-under-own-descendant")
        before = {flag: self._effective(organization, flag) for flag in self.flags()}
        is_elsewhere = self.parents[organization] != parent
        self.parents[organization] = parent
        for flag, value in before.items():
            if materialise and is_elsewhere and self._effective(organization, flag) != value:
                kind: Literal["set", "lock"] = "lock" if self._is_locked(organization, flag) else "set"
                self.settings[organization, flag] = Setting(kind, value)

    def delete(self, organization: Id, *, subtree: bool = False) -> None:
        """Remove an organization, with `subtree` also everything below it."""
        gone = self.subtree(organization)
        if len(gone) > 1 and not subtree:
            raise Refused("organization-has-children")
        for each in gone:
            del self.parents[each]
        self.settings = {place: each for place, each in self.settings.items() if place[0] in self.parents}
        self.exemptions = {place: each for place, each in self.exemptions.items() if place[0] in self.parents}
        self._end_exemptions()

    def changes(self, step: Callable[[], Any]) -> int:
        """Carry out a step; return how many values it has changed. Created and deleted organizations do not count."""
        before, there_before = self.values(), set(self.parents)
        step()
        after = self.values()
        return sum(
            before.get(place) != after.get(place)
            for place in before.keys() | after.keys()
            if place[0] in there_before and place[0] in self.parents
        )

    # --- Parts --------------------------------------------------------------------------------------------------------

    def _effective(self, organization: Id, flag: Id) -> bool:
        """The value, or the flag's default: flags are off at first."""
        return bool(self.answer(organization, flag).value)

    def _is_locked(self, organization: Id, flag: Id) -> bool:
        setting = self.settings.get((organization, flag))
        return setting is not None and setting.kind == "lock"

    def _refuse_below_a_lock(self, organization: Id, flag: Id) -> None:
        if self.lock(organization, flag) not in {None, organization}:
            raise Refused("flag-locked")

    def _end_settings(self, organization: Id, flag: Id) -> None:
        for each in self.subtree(organization):
            self.settings.pop((each, flag), None)

    def _end_exemptions(self) -> None:
        """An exemption goes with the lock that it lifts."""
        self.exemptions = {
            (organization, flag): lock
            for (organization, flag), lock in self.exemptions.items()
            if self._is_locked(lock, flag)
        }


def carry_out(model: Model, step: dict[str, Any]) -> tuple[str, int]:
    """Carry out one step of a case; return the answer, and how many values it has changed."""
    words = {name: value for name, value in step.items() if name not in {"do", "answer", "changes", "reason"}}
    where = (words.pop("organization"), *([words.pop("flag")] if "flag" in words else []))
    do = {
        "set": model.set,
        "overwrite": lambda *place, value: model.set(*place, value, below="overwrite"),
        "reset": model.reset,
        "exempt": model.exempt,
        "endExemption": model.end_exemption,
        "create": model.create,
        "move": model.move,
        "delete": model.delete,
    }[step["do"]]
    try:
        return ACCEPTED, model.changes(lambda: do(*where, **words))
    except Refused as refusal:
        return str(refusal), 0


def planted(tree: dict[str, Any]) -> Model:
    """A model with the organizations of a tree, which is given by nested keys."""
    model = Model()
    for organization, parent in organizations(tree):
        model.create(organization, parent)
    return model


def organizations(tree: dict[str, Any], parent: str | None = None) -> Iterator[tuple[str, str | None]]:
    """Each organization of a tree with its parent, parents first."""
    for key, below in tree.items():
        yield key, parent
        yield from organizations(below, key)
