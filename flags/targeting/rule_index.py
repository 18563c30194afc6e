"""The rules of many flags, made ready to find all that match at once.

Each rule is one bit of a number. Each attribute that clauses compare is read once, and tables (`clause_tables`) say
which rules its value rules out. So a request costs a few look-ups for each attribute, however many clauses there are.
What no table answers is asked afterwards, of the rules that are left. `TargetingRule.matches` is the rule; a property
test compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from flags.targeting.attributes import TARGETING_KEY, Attributes, Getter, getter
from flags.targeting.clause_tables import Bit, Maker, Refused, Table, maker_of, table_of
from flags.targeting.places import Place
from flags.targeting.rules import ARRAYS, IN_SEGMENT, OF_THE_TREE, SCALARS, Clause, EvaluatedSegment

Rest = Callable[[Attributes, str, Place, int], bool]
"""The test of what no table answers. It gets the rules that the tables have left too."""
CONTEXT, ORGANIZATION, KEY = range(3)
"""Where the value that a clause compares comes from."""
Source = tuple[int, str]
"""Where a value comes from, and the name of the attribute there."""
Column = tuple[str, Getter | None, Refused, int, int]
"""A name, its getter if it is a path, and the members of the table (`clause_tables.Table`)."""


class RuleIndex:
    """Rules, numbered from 0. Rule n is the bit `1 << n`.

    The rules of the segments that clauses name have the numbers after those of the flags. `rest` has the tests that
    each rule needs in addition.
    """

    __slots__ = ("_columns", "_possible", "own", "rest")

    def __init__(self, rules: Iterable[Sequence[Clause]]) -> None:
        """`rules` has the clauses of each rule."""
        made = _Builder(rules)
        self._possible = made.possible
        self.own = made.own
        """The rules of flags, without those of segments, as bits."""
        self.rest: Sequence[Sequence[Rest]] = made.rest
        columns = made.columns()
        self._columns: tuple[list[Column], ...] = tuple(columns[where] for where in (CONTEXT, ORGANIZATION, KEY))

    def candidates(self, attributes: Attributes, targeting_key: str, place: Place) -> int:
        """Return the rules that match as far as tables know. They match if their tests in `rest` say so too."""
        refused = 0
        of_context, of_organization, of_key = self._columns
        if of_context:
            refused = _refused_by(of_context, attributes)
        if of_organization:
            refused |= _refused_by(of_organization, place.attributes)
        if of_key:
            refused |= _refused_by(of_key, {TARGETING_KEY: targeting_key or None})
        return self._possible & ~refused


def _refused_by(columns: Sequence[Column], attributes: Attributes) -> int:
    refused, get = 0, attributes.get
    for name, read, table, other, without in columns:
        value = get(name) if read is None else read(attributes)
        if value is None:
            refused |= without
        elif type(value) in SCALARS or not isinstance(value, ARRAYS):
            refused |= table(value)
        else:
            hits = 0
            for each in value:
                hits |= 0 if each is None else table(each) ^ other
            refused |= hits ^ other
    return refused


class _Members:
    """Who is in a segment. `rules` has the bits of its rules, and `rest` their tests."""

    __slots__ = ("excluded", "included", "rest", "rules")

    def __init__(self, segment: EvaluatedSegment, rest: Sequence[Sequence[Rest]]) -> None:
        self.included, self.excluded = frozenset(segment.included), frozenset(segment.excluded)
        self.rest = rest
        self.rules = 0

    def has(self, attributes: Attributes, targeting_key: str, place: Place, candidates: int) -> bool:
        if targeting_key in self.included:
            return True
        found = 0 if targeting_key in self.excluded else candidates & self.rules
        while found:
            for test in self.rest[(found & -found).bit_length() - 1]:
                if not test(attributes, targeting_key, place, candidates):
                    break
            else:
                return True
            found &= found - 1
        return False


class _Builder:
    """Sorts the clauses of all rules into tables."""

    def __init__(self, rules: Iterable[Sequence[Clause]]) -> None:
        self.possible = 0
        self.rest: list[list[Rest]] = []
        self._sources: dict[Source, list[tuple[Bit, Clause]]] = {}
        self._members: dict[int, _Members] = {}
        """By the identity of the segment: its content may be long."""
        self._named: list[EvaluatedSegment] = []
        for clauses in rules:
            self._add_rule(clauses)
        self.own = (1 << len(self.rest)) - 1
        while self._named:
            segment = self._named.pop()
            members = self._members[id(segment)]
            for rule in segment.rules:
                members.rules |= 1 << len(self.rest)
                self._add_rule(rule.clauses)

    def _add_rule(self, clauses: Sequence[Clause]) -> None:
        number = len(self.rest)
        self.rest.append([])
        if any(clause.why_never for clause in clauses):
            return
        self.possible |= 1 << number
        for clause in clauses:
            if clause.op == IN_SEGMENT:
                self.rest[number].append(self._test_of_segments(clause))
            elif clause.op in OF_THE_TREE:
                self.rest[number].append(_test_of(clause))
            else:
                self._sources.setdefault(_source_of(clause), []).append((1 << number, clause))

    def _test_of_segments(self, clause: Clause) -> Rest:
        named = []
        for segment in clause.segments:
            if id(segment) not in self._members:
                self._members[id(segment)] = _Members(segment, self.rest)
                self._named.append(segment)
            named.append(self._members[id(segment)].has)
        if len(named) == 1 and not clause.negate:
            return named[0]
        negate = clause.negate
        return lambda attributes, targeting_key, place, candidates: (
            any(has(attributes, targeting_key, place, candidates) for has in named) is not negate
        )

    def columns(self) -> dict[int, list[Column]]:
        """The columns of each kind of source."""
        found: dict[int, list[Column]] = {CONTEXT: [], ORGANIZATION: [], KEY: []}
        for (where, name), clauses in self._sources.items():
            read = getter(name) if "." in name else None
            found[where] += [(name, read, *table) for table in self._tables(clauses)]
        return found

    def _tables(self, clauses: Sequence[tuple[Bit, Clause]]) -> Iterator[Table]:
        """The tables of one attribute. Those clauses that no table answers become tests."""
        layers: dict[tuple[Maker, bool, int], dict[Bit, Clause]] = {}
        for bit, clause in clauses:
            layer, make = 0, maker_of(clause.op)
            while bit in layers.setdefault((make, clause.ignore_case, layer), {}):
                layer += 1
            layers[make, clause.ignore_case, layer][bit] = clause
        for (make, ignore_case, _), of_table in layers.items():
            table = table_of(make, list(of_table.items()), ignore_case=ignore_case)
            if table is not None:
                yield table
            else:
                for bit, clause in of_table.items():
                    self._ask_afterwards(bit, clause)

    def _ask_afterwards(self, bit: Bit, clause: Clause) -> None:
        self.rest[bit.bit_length() - 1].append(_test_of(clause))


def _test_of(clause: Clause) -> Rest:
    test = clause.test
    return lambda attributes, targeting_key, place, candidates: test(attributes, targeting_key, place)


def _source_of(clause: Clause) -> Source:
    if clause.own_name:
        return ORGANIZATION, clause.own_name
    return (KEY if clause.attribute == TARGETING_KEY else CONTEXT), clause.attribute
