"""Answers made ready: for one organization's states, what each flag says to whoever asks, down to the JSON.

`flags.evaluation.evaluate` says what is right; here everything in it that does not depend on the user is decided
beforehand, once for all organizations with the same states. That both agree is tested.

An answer is made when it is asked for first. Organizations share what they have in common: a flag's answers for one
value, its outcomes that name no change. Only so many are kept as EVALUATION_CACHE_MEGABYTES allows.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.conf import settings

from flags.evaluation import REASONS, Definition, Rule, Unit
from flags.rollout import BUCKETS, hash_of, hash_prefix
from flags.serving.memory import Definitions, View
from flags.serving.states import Row, States

ANSWER_BYTES = 1_500
"""About what one flag's answer takes for one value: two outcomes, and its places in what keeps them."""
_making = threading.Lock()


class Outcome:
    """One way in which a flag can come out: the value (None: an error), and the flag's entry in an OFREP answer."""

    __slots__ = ("enabled", "json", "key", "rule", "why")

    def __init__(self, key: str, rule: Rule, json: bytes, *, enabled: bool | None, why: str = "") -> None:
        self.key = key
        self.rule = rule
        self.json = json
        self.enabled = enabled
        self.why = why

    def by_change(self, row: Row) -> Outcome:
        """The same, with where the value comes from."""
        origin = b',"sourceOrganizationId":%d,"changeNumber":%d}}' % (row[0], row[1])
        return Outcome(self.key, self.rule, self.json[:-2] + origin, enabled=self.enabled)


class Missing(Outcome):
    """Nothing can be said, since nobody said whom it is asked for."""

    __slots__ = ()

    def __init__(self, key: str, why: str) -> None:
        json = _json({"key": key, "errorCode": "TARGETING_KEY_MISSING", "errorDetails": why})
        super().__init__(key, Rule.ROLLOUT, json, enabled=None, why=why)


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

    __slots__ = ("hash", "inside", "limit", "missing", "outside", "prefix")

    def __init__(self, flag: Flag, row: Row | None) -> None:
        self.hash = hash_of(flag.definition.hash_version)
        self.prefix = flag.prefix
        self.limit = flag.limit
        self.inside = flag.outcome(Rule.ROLLOUT, row, enabled=True)
        self.outside = flag.outcome(Rule.ROLLOUT, row, enabled=False)
        self.missing = flag.missing

    def decide(self, view: View, key: str, unit: bytes) -> Outcome:
        """As `Settled.decide`."""
        if not unit:
            return self.missing
        return self.inside if self.hash(self.prefix + unit) < self.limit else self.outside


class FamilyRollout(Rollout):
    """A flag that asks for the bucket of the organization, or of its ancestor at a level."""

    __slots__ = ("level",)

    def __init__(self, flag: Flag, row: Row | None) -> None:
        super().__init__(flag, row)
        self.level = flag.definition.level

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

    def __init__(self, flag: Flag, others: Answer) -> None:
        self.users = flag.definition.whitelist
        self.always = flag.always
        self.others = others

    def decide(self, view: View, key: str, unit: bytes) -> Outcome:
        """As `Settled.decide`."""
        return self.always if key in self.users else self.others.decide(view, key, unit)


class Conditional:
    """A flag that is off for whom one of its prerequisites is off.

    `needs` has the answers of all flags that it needs by way of others too, without their own prerequisites, each once
    and before those that need it: the first that isn't on is what the prerequisites come to.
    """

    __slots__ = ("needs", "otherwise", "refused")

    def __init__(self, flag: Flag, needs: list[Answer], otherwise: Answer) -> None:
        self.needs = needs
        self.refused = flag.refused
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


class Flag:
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
        unsaid = "by targeting key; none was sent" if by_user else "by organization; none was named"
        self.missing = Missing(definition.key, f"The flag {definition.key!r} is rolled out {unsaid}.")
        self._outcomes: dict[tuple[Rule, bool], Outcome] = {}
        self.always = self.outcome(Rule.WHITELIST, enabled=True)
        self.refused = self.outcome(Rule.PREREQUISITE, enabled=False)
        self.settled = self._settled(environment)
        self.needs: list[Flag] = []
        self._known: dict[Row | None, Answer] = {}
        self._most = most

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """The flags that it asks before it looks at the organization."""
        return self.definition.prerequisites if self.settled is None else ()

    def outcome(self, rule: Rule, row: Row | None = None, *, enabled: bool) -> Outcome:
        """How it comes out by a rule, and by which change where one had its say."""
        found = self._outcomes.get((rule, enabled))
        if found is None:
            found = self._outcomes[rule, enabled] = _plain(self.definition.key, rule, enabled=enabled)
        return found if row is None else found.by_change(row)

    def answer(self, states: States) -> Answer:
        """What it says in an organization, its prerequisites included."""
        own = self.own(states)
        if not self.needs:
            return own
        return Conditional(self, [flag.own(states) for flag in self.needs], own)

    def own(self, states: States) -> Answer:
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

    def _settled(self, environment: str) -> Settled | None:
        """What it says before anything else is looked at; None for one that looks further."""
        definition = self.definition
        if definition.archived:
            return Settled(self.outcome(Rule.ARCHIVED, enabled=False))
        if definition.killed:
            return Settled(self.outcome(Rule.KILLED, enabled=False))
        forced = definition.environments.get(environment)
        return None if forced is None else Settled(self.outcome(Rule.ENVIRONMENT, enabled=forced))

    def _made(self, row: Row | None) -> Answer:
        others = self._for_others(row)
        return Whitelisted(self, others) if self.definition.whitelist else others

    def _for_others(self, row: Row | None) -> Answer:
        definition = self.definition
        enabled = definition.enabled if row is None else row[2]
        if not enabled or definition.threshold >= BUCKETS:
            rule = Rule.DEFAULT if row is None else Rule.ORGANIZATION
            return Settled(self.outcome(rule, row, enabled=enabled))
        if definition.threshold == 0:
            return Settled(self.outcome(Rule.ROLLOUT, row, enabled=False))
        return Rollout(self, row) if definition.unit == Unit.TARGETING_KEY else FamilyRollout(self, row)


class Answers:
    """Every flag's answer for organizations with the same states, in one environment."""

    __slots__ = ("_flags", "_joined", "_made", "_places", "states", "used")

    def __init__(self, flags: Sequence[Flag], places: Mapping[str, int], states: States) -> None:
        self._flags = flags
        self._places = places
        self._made: list[Answer | None] = [None] * len(flags)
        self._joined: list[bytes | Answer] | None = None
        self.states = states
        self.used = False
        """Whether they were asked for again since somebody looked which answers could go."""

    def of(self, key: str) -> Answer | None:
        """The flag's answer; None for one that does not exist."""
        place = self._places.get(key)
        return None if place is None else self._made[place] or self._make(place)

    def bulk(self, view: View, key: str, unit: bytes) -> bytes:
        """All flags' entries, in the order of their keys, as the inside of a JSON array."""
        parts = self._joined
        if parts is None:
            parts = self._joined = _joined([answer or self._make(place) for place, answer in enumerate(self._made)])
        entries: list[bytes] = []
        part: Any
        for part in parts:
            kind = type(part)
            if kind is bytes:
                entries.append(part)
            elif kind is Rollout and unit:  # as it decides by itself; a call would cost as much again
                hit = part.hash(part.prefix + unit) < part.limit
                entries.append(part.inside.json if hit else part.outside.json)
            else:
                entries.append(part.decide(view, key, unit).json)
        return b",".join(entries)

    def _make(self, place: int) -> Answer:
        made = self._made[place] = self._flags[place].answer(self.states)
        return made


Turns = deque[tuple[dict[States, Answers], States]]


class Prepared:
    """The flags of one environment, and the answers of those organizations' states that were asked for last.

    `turns` has the answers of all environments, in the order in which it is looked whether they can go.
    """

    def __init__(self, definitions: Definitions, environment: str, turns: Turns) -> None:
        count = max(1, len(definitions.by_key))
        self._most = max(2, settings.EVALUATION_CACHE_MEGABYTES * 2**20 // 3 // (ANSWER_BYTES * count))
        flags = {key: Flag(one, environment, self._most) for key, one in definitions.by_key.items()}
        _find_needs(flags)
        self._flags = list(flags.values())
        self._places = {key: place for place, key in enumerate(flags)}
        self.turns = turns
        self.kept: dict[States, Answers] = {}

    def make(self, states: States) -> Answers:
        """Answers for these states, in the place of some that nobody has asked for lately."""
        with _making:
            made = self.kept.get(states)
            if made is None:
                while len(self.turns) >= self._most:
                    self._let_one_go()
                made = self.kept[states] = Answers(self._flags, self._places, states)
                self.turns.append((self.kept, states))
            return made

    def _let_one_go(self) -> None:
        kept, states = self.turns.popleft()
        if kept[states].used:
            kept[states].used = False
            self.turns.append((kept, states))
        else:
            del kept[states]


def answers_for(definitions: Definitions, view: View, environment: str) -> Answers:
    """The answers for the organization, made once for all that have the same states.

    They are kept under the environments that some flag overrides; all others are alike, under "".
    """
    prepared: Prepared | None = definitions.prepared.get(environment)
    if prepared is None:
        prepared = _prepare(definitions, environment)
    states = view.known[0]
    found = prepared.kept.get(states)
    if found is None:
        return prepared.make(states)
    found.used = True
    return found


def _prepare(definitions: Definitions, environment: str) -> Prepared:
    named = environment if environment in definitions.environments else ""
    with _making:
        if named not in definitions.prepared:
            others: list[Prepared] = list(definitions.prepared.values())
            turns: Turns = others[0].turns if others else deque()
            definitions.prepared[named] = Prepared(definitions, named, turns)
        found: Prepared = definitions.prepared[named]
        return found


def _find_needs(flags: Mapping[str, Flag]) -> None:
    """For each flag all that it needs, by way of others too, in the order in which they are asked."""
    for flag in flags.values():
        seen = {flag.definition.key}
        under_way = [(flag, iter(flag.prerequisites))]
        while under_way:
            needing, following = under_way[-1]
            key = next(following, None)
            if key is None:
                flag.needs.append(needing)
                under_way.pop()
            elif key not in seen:
                seen.add(key)
                needed = flags.get(key) or _nothing(key)
                under_way.append((needed, iter(needed.prerequisites)))
        flag.needs.pop()  # itself


def _nothing(key: str) -> Flag:
    """A flag that does not exist."""
    return Flag(Definition(0, key, archived=True), "", 1)


def _joined(answers: Sequence[Answer]) -> list[bytes | Answer]:
    """The answers in order, those that say the same to everybody joined with their neighbours."""
    parts: list[bytes | Answer] = []
    for answer in answers:
        if not isinstance(answer, Settled):
            parts.append(answer)
        elif parts and isinstance(parts[-1], bytes):
            parts[-1] += b"," + answer.outcome.json
        else:
            parts.append(answer.outcome.json)
    return parts


def _plain(key: str, rule: Rule, *, enabled: bool) -> Outcome:
    content = {
        "key": key,
        "reason": REASONS[rule],
        "value": enabled,
        "variant": "on" if enabled else "off",
        "metadata": {"rule": rule},
    }
    return Outcome(key, rule, _json(content), enabled=enabled)


def _json(content: Mapping[str, object]) -> bytes:
    """As JSON, copied: what orjson returns keeps a buffer of kilobytes for itself."""
    return bytes(memoryview(orjson.dumps(content)))
