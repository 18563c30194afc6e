"""Answers made ready: for one organization's states, what each flag says to whoever asks, down to the JSON.

`flags.evaluation.evaluate` says what is right; here everything in it that does not depend on the user is decided
beforehand, once for all organizations with the same states. That both agree is tested.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from mmh3 import mmh3_32_uintdigest

from flags.evaluation import REASONS, Definition, Rule, State, Unit
from flags.rollout import BUCKETS, hash_prefix
from flags.serving.memory import Definitions, View


class Outcome:
    """One way in which a flag can come out: the value (None: an error), and the flag's entry in an OFREP answer."""

    __slots__ = ("enabled", "json", "key", "rule", "why")

    def __init__(self, definition: Definition, rule: Rule, state: State | None, *, enabled: bool) -> None:
        self.key = definition.key
        self.enabled: bool | None = enabled
        self.rule = rule
        self.why = ""
        metadata: dict[str, str | int] = {"rule": rule}
        if state is not None and rule in {Rule.ORGANIZATION, Rule.ROLLOUT}:
            metadata |= {"sourceOrganizationId": state.source_id, "changeNumber": state.number}
        self.json = orjson.dumps(
            {
                "key": definition.key,
                "reason": REASONS[rule],
                "value": enabled,
                "variant": "on" if enabled else "off",
                "metadata": metadata,
            }
        )


class Missing(Outcome):
    """Nothing can be said, since nobody said whom it is asked for."""

    __slots__ = ()

    def __init__(self, key: str, why: str) -> None:  # an error has no value and no rule
        self.key = key
        self.enabled = None
        self.rule = Rule.ROLLOUT
        self.why = why
        self.json = orjson.dumps({"key": key, "errorCode": "TARGETING_KEY_MISSING", "errorDetails": why})


class Settled:
    """A flag that says the same to everybody."""

    __slots__ = ("outcome",)

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def decide(self, view: View, key: str, unit: bytes) -> Outcome:
        """What the flag says; `key` is the targeting key, `unit` the same in UTF-8, empty where there is none."""
        return self.outcome


class Rollout:
    """A flag that asks for the user's bucket and nothing else."""

    __slots__ = ("inside", "limit", "missing", "outside", "prefix")

    def __init__(self, definition: Definition, state: State | None) -> None:
        self.prefix = hash_prefix(definition.salt, definition.key)
        # bucket < threshold, with the multiplication and the shift of the formula done beforehand
        self.limit = -((-definition.threshold << 32) // BUCKETS)
        self.inside = Outcome(definition, Rule.ROLLOUT, state, enabled=True)
        self.outside = Outcome(definition, Rule.ROLLOUT, state, enabled=False)
        self.missing = Missing(
            definition.key, f"The flag {definition.key!r} is rolled out by targeting key; none was sent."
        )

    def decide(self, view: View, key: str, unit: bytes) -> Outcome:
        """As `Settled.decide`."""
        if not unit:
            return self.missing
        return self.inside if mmh3_32_uintdigest(self.prefix + unit) < self.limit else self.outside


class FamilyRollout(Rollout):
    """A flag that asks for the bucket of the organization, or of its ancestor at a level."""

    __slots__ = ("level",)

    def __init__(self, definition: Definition, state: State | None) -> None:
        super().__init__(definition, state)
        self.level = definition.level
        self.missing = Missing(
            definition.key, f"The flag {definition.key!r} is rolled out by organization; none was named."
        )

    def decide(self, view: View, key: str, unit: bytes) -> Outcome:
        """As `Settled.decide`."""
        keys = view.keys
        if not keys:
            return self.missing
        of = keys[-1] if self.level is None or self.level >= len(keys) else keys[self.level]
        return Rollout.decide(self, view, key, of.encode())


class Whitelisted:
    """A flag that some users always have, whatever it says to others."""

    __slots__ = ("always", "others", "users")

    def __init__(self, definition: Definition, state: State | None, others: Answer) -> None:
        self.users = definition.whitelist
        self.always = Outcome(definition, Rule.WHITELIST, state, enabled=True)
        self.others = others

    def decide(self, view: View, key: str, unit: bytes) -> Outcome:
        """As `Settled.decide`."""
        return self.always if key in self.users else self.others.decide(view, key, unit)


class Conditional:
    """A flag that is off for whom one of its prerequisites is off."""

    __slots__ = ("needs", "otherwise", "refused")

    def __init__(self, definition: Definition, state: State | None, needs: list[Answer], otherwise: Answer) -> None:
        self.needs = needs
        self.refused = Outcome(definition, Rule.PREREQUISITE, state, enabled=False)
        self.otherwise = otherwise

    def decide(self, view: View, key: str, unit: bytes) -> Outcome:
        """As `Settled.decide`."""
        for need in self.needs:
            needed = need.decide(view, key, unit)
            if needed.enabled is None:
                return Missing(self.refused.key, needed.why)
            if not needed.enabled:
                return self.refused
        return self.otherwise.decide(view, key, unit)


Answer = Settled | Rollout | FamilyRollout | Whitelisted | Conditional


def answers_for(definitions: Definitions, view: View, environment: str) -> Answers:
    """The answers for the organization, made once for all that have the same states.

    They are kept under the environments that some flag overrides; all others are alike, under "".
    """
    kept = view.states.answers
    named = environment if environment in definitions.environments else ""
    found: Answers | None = kept.get(named)
    if found is None or found.definitions is not definitions:
        found = kept[named] = Answers(definitions, {state.flag_id: state for state in view.states.rows}, named or None)
    return found


class Answers:
    """Every flag's answer for organizations with the same states, in one environment."""

    def __init__(self, definitions: Definitions, states: Mapping[int, State], environment: str | None) -> None:
        self.definitions = definitions
        self._definitions = definitions.by_key
        self._states = states
        self._environment = environment
        self.by_key: dict[str, Answer] = {}
        for key in self._definitions:
            self._answer(key)
        self._parts = self._joined()

    def bulk(self, view: View, key: str, unit: bytes) -> bytes:
        """All flags' entries, in the order of their keys, as the inside of a JSON array."""
        return b",".join(
            [part if isinstance(part, bytes) else part.decide(view, key, unit).json for part in self._parts]
        )

    def _joined(self) -> list[bytes | Answer]:
        """The answers in order, those that say the same to everybody joined with their neighbours."""
        parts: list[bytes | Answer] = []
        for key in self._definitions:
            answer = self.by_key[key]
            if not isinstance(answer, Settled):
                parts.append(answer)
            elif parts and isinstance(parts[-1], bytes):
                parts[-1] += b"," + answer.outcome.json
            else:
                parts.append(answer.outcome.json)
        return parts

    def _answer(self, key: str) -> Answer:
        found = self.by_key.get(key)
        if found is None:
            found = self.by_key[key] = self._made(self._definitions[key])
        return found

    def _made(self, definition: Definition) -> Answer:
        state = self._states.get(definition.id)
        if definition.archived:
            return Settled(Outcome(definition, Rule.ARCHIVED, state, enabled=False))
        if definition.killed:
            return Settled(Outcome(definition, Rule.KILLED, state, enabled=False))
        forced = definition.environments.get(self._environment or "")
        if forced is not None:
            return Settled(Outcome(definition, Rule.ENVIRONMENT, state, enabled=forced))
        answer = self._for_others(definition, state)
        if definition.whitelist:
            answer = Whitelisted(definition, state, answer)
        return self._conditional(definition, state, answer) if definition.prerequisites else answer

    def _conditional(self, definition: Definition, state: State | None, otherwise: Answer) -> Answer:
        needs = [self._answer(key) if key in self._definitions else _nothing(key) for key in definition.prerequisites]
        return Conditional(definition, state, needs, otherwise)

    def _for_others(self, definition: Definition, state: State | None) -> Answer:
        rule = Rule.DEFAULT if state is None else Rule.ORGANIZATION
        enabled = definition.enabled if state is None else state.enabled
        if not enabled or definition.threshold >= BUCKETS:
            return Settled(Outcome(definition, rule, state, enabled=enabled))
        if definition.threshold == 0:
            return Settled(Outcome(definition, Rule.ROLLOUT, state, enabled=False))
        return Rollout(definition, state) if definition.unit == Unit.TARGETING_KEY else FamilyRollout(definition, state)


def _nothing(key: str) -> Answer:
    """What a flag says that does not exist."""
    return Settled(Outcome(Definition(0, key), Rule.DEFAULT, None, enabled=False))
