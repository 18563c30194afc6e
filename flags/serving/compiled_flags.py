"""One flag's answer, made ready: what it says to whoever asks in organizations with one value, down to the JSON.

`flags.evaluation.evaluate` says what is right; here everything in it that does not depend on the user is decided
beforehand. That both agree is tested.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.engine import REASONS, Definition, Rule, Unit
from flags.evaluation.rollout import BUCKETS, hash_of, hash_prefix
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.packed_states import PackedStates, Row
from flagsite.core.errors import FlagsiteError

CODES: Mapping[type[FlagsiteError], str] = {
    TargetingKeyMissing: "TARGETING_KEY_MISSING",
    UnknownHashVersion: "GENERAL",
}
"""What stands in OFREP's answers for a flag that can't be decided."""


class Resolution:
    """One way in which a flag can come out: the value (None: an error), and the flag's entry in an OFREP answer."""

    __slots__ = ("enabled", "error", "json", "key", "rule", "why")

    def __init__(self, key: str, rule: Rule, json: bytes, *, enabled: bool | None) -> None:
        self.key = key
        self.rule = rule
        self.json = json
        self.enabled = enabled
        self.error: type[FlagsiteError] | None = None
        self.why = ""
        """What a person reads of the error."""

    def by_change(self, row: Row) -> Resolution:
        """The same, with where the value comes from."""
        origin = b',"sourceOrganizationId":%d,"changeNumber":%d}}' % (row[0], row[1])
        return Resolution(self.key, self.rule, self.json[:-2] + origin, enabled=self.enabled)


class FailedResolution(Resolution):
    """Nothing can be said, since nobody said whom it is asked for, or since the rollout's formula is not known here."""

    __slots__ = ()

    def __init__(self, key: str, error: type[FlagsiteError], why: str) -> None:
        json = _json({"key": key, "errorCode": CODES[error], "errorDetails": why})
        super().__init__(key, Rule.ROLLOUT, json, enabled=None)
        self.error = error
        self.why = why


class FixedRules:
    """A flag that says the same to everybody."""

    __slots__ = ("outcome",)

    def __init__(self, outcome: Resolution) -> None:
        self.outcome = outcome

    def decide(self, view: OrganizationSnapshot, key: str, unit: bytes) -> Resolution:
        """What the flag says; `key` is the targeting key, `unit` the same in UTF-8, empty where there is none."""
        return self.outcome


class RolloutRules:
    """A flag that asks for the user's bucket and nothing else."""

    __slots__ = ("hash", "inside", "limit", "missing", "outside", "prefix")

    def __init__(self, flag: CompiledFlag, row: Row | None) -> None:
        self.hash = hash_of(flag.definition.hash_version)
        self.prefix = flag.prefix
        self.limit = flag.limit
        self.inside = flag.outcome(Rule.ROLLOUT, row, enabled=True)
        self.outside = flag.outcome(Rule.ROLLOUT, row, enabled=False)
        self.missing = flag.missing

    def decide(self, view: OrganizationSnapshot, key: str, unit: bytes) -> Resolution:
        """As `Settled.decide`."""
        if not unit:
            return self.missing
        return self.inside if self.hash(self.prefix + unit) < self.limit else self.outside


class OrganizationRolloutRules(RolloutRules):
    """A flag that asks for the bucket of the organization, or of its ancestor at a level."""

    __slots__ = ("level",)

    def __init__(self, flag: CompiledFlag, row: Row | None) -> None:
        super().__init__(flag, row)
        self.level = flag.definition.level

    def decide(self, view: OrganizationSnapshot, key: str, unit: bytes) -> Resolution:
        """As `Settled.decide`."""
        keys = view.keys
        if not keys:
            return self.missing
        of = keys[-1] if self.level is None or self.level >= len(keys) else keys[self.level]
        return RolloutRules.decide(self, view, key, of.encode())


class WhitelistRules:
    """A flag that some users always have, whatever it says to others."""

    __slots__ = ("always", "others", "users")

    def __init__(self, flag: CompiledFlag, others: CompiledRules) -> None:
        self.users = flag.definition.whitelist
        self.always = flag.always
        self.others = others

    def decide(self, view: OrganizationSnapshot, key: str, unit: bytes) -> Resolution:
        """As `Settled.decide`."""
        return self.always if key in self.users else self.others.decide(view, key, unit)


class PrerequisiteRules:
    """A flag that is off for whom one of its prerequisites is off.

    `needs` has the answers of all flags that it needs by way of others too, without their own prerequisites, each once
    and before those that need it: the first that isn't on is what the prerequisites come to.
    """

    __slots__ = ("needs", "otherwise", "refused")

    def __init__(self, flag: CompiledFlag, needs: list[CompiledRules], otherwise: CompiledRules) -> None:
        self.needs = needs
        self.refused = flag.refused
        self.otherwise = otherwise

    def decide(self, view: OrganizationSnapshot, key: str, unit: bytes) -> Resolution:
        """As `Settled.decide`."""
        for need in self.needs:
            needed = need.decide(view, key, unit)
            if needed.error is not None:
                return FailedResolution(self.refused.key, needed.error, needed.why)
            if not needed.enabled:
                return self.refused
        return self.otherwise.decide(view, key, unit)


CompiledRules = FixedRules | RolloutRules | OrganizationRolloutRules | WhitelistRules | PrerequisiteRules


class CompiledFlag:
    """What a definition says in one environment, to organizations with whatever value."""

    __slots__ = (
        "_known", "_most", "_outcomes", "always", "definition", "limit", "missing", "needs", "prefix", "refused",
        "settled",
    )  # fmt: skip

    def __init__(self, definition: Definition, environment: str, most: int) -> None:
        self.definition = definition
        self.prefix = hash_prefix(definition.salt, definition.key)
        # bucket < threshold, with the multiplication and the shift of the formula done beforehand
        self.limit = -((-definition.threshold << 32) // BUCKETS)
        by_user = definition.unit == Unit.TARGETING_KEY
        need = "a targeting key, and the request has none" if by_user else "an organization, and the request names none"
        why = f"The rollout of the flag {definition.key!r} needs {need}."
        self.missing = FailedResolution(definition.key, TargetingKeyMissing, why)
        self._outcomes: dict[tuple[Rule, bool], Resolution] = {}
        self.always = self.outcome(Rule.WHITELIST, enabled=True)
        self.refused = self.outcome(Rule.PREREQUISITE, enabled=False)
        self.settled = self._settled(environment)
        self.needs: list[CompiledFlag] = []
        self._known: dict[Row | None, CompiledRules] = {}
        self._most = most

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """The flags that it asks before it looks at the organization."""
        return self.definition.prerequisites if self.settled is None else ()

    def outcome(self, rule: Rule, row: Row | None = None, *, enabled: bool) -> Resolution:
        """How it comes out by a rule, and by which change where one had its say."""
        found = self._outcomes.get((rule, enabled))
        if found is None:
            found = self._outcomes[rule, enabled] = _plain(self.definition.key, rule, enabled=enabled)
        return found if row is None else found.by_change(row)

    def answer(self, states: PackedStates) -> CompiledRules:
        """What it says in an organization, its prerequisites included."""
        own = self.own(states)
        if not self.needs:
            return own
        return PrerequisiteRules(self, [flag.own(states) for flag in self.needs], own)

    def own(self, states: PackedStates) -> CompiledRules:
        """The same where all prerequisites are on; one answer for all organizations with the same value."""
        if self.settled is not None:
            return self.settled
        row = states.row(self.definition.id)
        found = self._known.get(row)
        if found is None:
            if len(self._known) >= self._most:
                self._known.clear()
            found = self._known[row] = self._made(row)
        return found

    def _settled(self, environment: str) -> FixedRules | None:
        """What it says before anything else is looked at; None for one that looks further."""
        definition = self.definition
        if definition.archived:
            return FixedRules(self.outcome(Rule.ARCHIVED, enabled=False))
        if definition.killed:
            return FixedRules(self.outcome(Rule.KILLED, enabled=False))
        forced = definition.environments.get(environment)
        return None if forced is None else FixedRules(self.outcome(Rule.ENVIRONMENT, enabled=forced))

    def _made(self, row: Row | None) -> CompiledRules:
        others = self._for_others(row)
        return WhitelistRules(self, others) if self.definition.whitelist else others

    def _for_others(self, row: Row | None) -> CompiledRules:
        definition = self.definition
        enabled = definition.enabled if row is None else row[2]
        if not enabled or definition.threshold >= BUCKETS:
            rule = Rule.DEFAULT if row is None else Rule.ORGANIZATION
            return FixedRules(self.outcome(rule, row, enabled=enabled))
        if definition.threshold == 0:
            return FixedRules(self.outcome(Rule.ROLLOUT, row, enabled=False))
        try:
            return (
                RolloutRules(self, row)
                if definition.unit == Unit.TARGETING_KEY
                else OrganizationRolloutRules(self, row)
            )
        except UnknownHashVersion as error:
            return FixedRules(FailedResolution(definition.key, UnknownHashVersion, str(error)))


def _plain(key: str, rule: Rule, *, enabled: bool) -> Resolution:
    content = {
        "key": key,
        "reason": REASONS[rule],
        "value": enabled,
        "variant": "on" if enabled else "off",
        "metadata": {"rule": rule},
    }
    return Resolution(key, rule, _json(content), enabled=enabled)


def _json(content: Mapping[str, object]) -> bytes:
    """As JSON, copied: what orjson returns keeps a buffer of kilobytes for itself."""
    return bytes(memoryview(orjson.dumps(content)))
