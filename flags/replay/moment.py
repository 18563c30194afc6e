"""Evaluations of recorded contexts, all at one moment, as OFREP would answer them then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from flags.errors import FlagNotFound
from flags.replay.recording import Answer, RecordedContext, organization_in, refuse
from flags.serving.compiled_environment import CompiledFlags
from flags.serving.definition_set import DefinitionSet
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.ofrep.evaluation_context import snapshot_for, text_of
from flags.serving.ofrep.protocol import EvaluationRefused
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.resolution import ERROR_CODES, Resolution
from flagsite.core.db.clock import now
from flagsite.core.db.snapshot import snapshot
from orgs.access.caller import Caller


class Given(NamedTuple):
    """What Flagsite answers for a flag. There is no resolution if there is no such flag."""

    answer: Answer
    resolution: Resolution | None


NO_FLAG = Given({"errorCode": "FLAG_NOT_FOUND"}, None)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates the flags of one recorded context."""

    compiled: CompiledFlags
    organization: OrganizationSnapshot
    targeting_key: str
    recorded: RecordedContext

    def answer(self, flag: str) -> Given:
        """Return what Flagsite answers for a flag."""
        try:
            rules = self.compiled[flag]
        except FlagNotFound:
            return NO_FLAG
        key = self.targeting_key
        found = rules.decide(self.organization, key, key.encode(), self.recorded.context)
        if found.error is not None:
            return Given({"errorCode": ERROR_CODES[found.error]}, found)
        return Given({"value": found.value, "variant": found.variant, "errorCode": ""}, found)


@dataclass(frozen=True, slots=True)
class Moment:
    """The definitions and the organizations of recorded contexts, as they are at one moment."""

    at: datetime
    definitions: DefinitionSet
    organizations: Mapping[str, OrganizationSnapshot]
    """By `flags.replay.recording.organization_in`."""

    def evaluator(self, recorded: RecordedContext) -> Evaluator:
        """Return what evaluates flags for a context. Raises PermanentFailure for a context that OFREP refuses."""
        try:
            targeting_key, environment = (text_of(recorded.context, each) for each in ("targetingKey", "environment"))
        except EvaluationRefused as error:
            refuse(recorded.line, str(error))
        organization = self.organizations[organization_in(recorded)]
        compiled = self.definitions.compiled_flags(organization.states, environment)
        return Evaluator(compiled, organization, targeting_key, recorded)


def now_for(caller: Caller, organizations: Mapping[str, RecordedContext], check: Callable[[], None]) -> Moment:
    """Return the moment of now.

    Args:
        caller: for whom the contexts are evaluated. A context without an organization has that of the caller.
        organizations: a context for each organization, by the name of `organization_in`.
        check: called between two organizations; its errors end the reading.

    Returns:
        The moment. All that it has was read in one transaction.

    Raises:
        PermanentFailure: there is no such organization, or the caller does not see it.
    """
    cache, found = EvaluationCache(), {}
    with snapshot():
        at = now()
        definitions = cache.definitions()  # before the organizations, which then have what the rules read
        for name, recorded in organizations.items():
            check()
            try:
                found[name] = snapshot_for(cache, caller, None, recorded.context)
            except EvaluationRefused as error:
                refuse(recorded.line, str(error))
    return Moment(at, definitions, found)
