"""The operators of clauses: how each compares the value of an attribute with the values of the clause.

No operator converts a value: the text "12" is not the number 12, and true is not 1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from math import isfinite
from operator import eq, ge, gt, le, lt
from socket import AF_INET, inet_pton
from typing import Any

from flags.targeting.versions import version_of
from flags.values.patterns import LONGEST_PATTERN, WrongPattern, compiled, set_of_patterns

LONGEST_ADDRESS = 64
LONGEST_SEARCHED = 4_096
"""In characters. A pattern that is made to be slow needs milliseconds for such a text, while other evaluations wait."""
ADDRESSES_OF_IPV4 = 1 << 32
MOST_READ = 1024
"""How many texts of attributes are kept with what they mean: the rules of many flags ask for the same attribute."""
Test = Callable[[Any], bool]
"""Says whether the value of an attribute, which is neither None nor an array, matches."""


class WrongValue(ValueError):
    """A value that an operator cannot compare with. The message says what it has to be."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. `prepare` takes the values of a clause and `ignoreCase`; it returns the test, or raises WrongValue.

    The tests run for each evaluation, so they are prepared for the values that they compare with.
    """

    name: str
    prepare: Callable[[Sequence[Any], bool], Test]
    takes: str
    """The values in words."""
    takes_case: bool = False
    """Whether a clause may say `ignoreCase`."""


def is_number(value: Any) -> bool:
    """Return whether a value is a number of JSON. True and false are none, nor are Python's infinity and NaN."""
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def plain_text(value: str) -> str:
    """Return a text as `str`: a subclass of it, such as a member of `TextChoices`, may have a hash of its own."""
    return value if type(value) is str else str.__str__(value)


def _plain_text_of(value: Any) -> str | None:
    return plain_text(value) if isinstance(value, str) else None


def _texts(values: Sequence[Any], ignore_case: bool) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise WrongValue("a text")
    return tuple(value.casefold() if ignore_case else value for value in values)


def _in(values: Sequence[Any], ignore_case: bool) -> Test:
    if not all(isinstance(value, str | bool) or is_number(value) for value in values):
        raise WrongValue("a text, a number, true or false")
    texts = frozenset(_texts([value for value in values if isinstance(value, str)], ignore_case))
    if not ignore_case and all(isinstance(value, str) for value in values):
        return lambda value: (value if type(value) is str else _plain_text_of(value)) in texts
    numbers = frozenset(value for value in values if is_number(value))
    booleans = frozenset(value for value in values if isinstance(value, bool))

    def test(value: Any) -> bool:
        if isinstance(value, str):
            return (value.casefold() if ignore_case else plain_text(value)) in texts
        if isinstance(value, bool):
            return value in booleans
        return is_number(value) and value in numbers

    return test


def _text(compare: Callable[[str, tuple[str, ...]], bool], values: Sequence[Any], ignore_case: bool) -> Test:
    texts = _texts(values, ignore_case)
    if ignore_case:
        return lambda value: isinstance(value, str) and compare(value.casefold(), texts)
    return lambda value: isinstance(value, str) and compare(value, texts)


def _contains(value: str, texts: tuple[str, ...]) -> bool:
    return any(text in value for text in texts)


Compare = Callable[[Any, Any], bool]


def _number(compare: Compare, widest: Callable[[Sequence[Any]], Any], values: Sequence[Any], _: bool) -> Test:
    """Compare numbers. `widest` picks the value that matches wherever one of them does."""
    if not values or not all(is_number(value) for value in values):
        raise WrongValue("a number")
    limit = widest(values)
    return lambda value: (type(value) is int or is_number(value)) and compare(value, limit)


def _read(read: Callable[[Any], Any], what: str, compare: Compare, values: Sequence[Any], _: bool) -> Test:
    """Compare what `read` makes of both values; it returns None for a value that it cannot read."""
    known = [read(value) for value in values]
    if None in known:
        raise WrongValue(what)

    if len(known) == 1:
        (one,) = known

        def test_one(value: Any) -> bool:
            found = read(value)
            return found is not None and compare(found, one)

        return test_one

    def test(value: Any) -> bool:
        found = read(value)
        return found is not None and any(compare(found, each) for each in known)

    return test


RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-9]{2}(?::([0-9]{2})(?:\.[0-9]+)?)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""A time with a zone. The seconds may be missing. Group 1 has them."""


def time_of(value: object) -> datetime | None:
    """Return the time in a text of RFC 3339; None if the value is not one, or has no zone.

    A leap second is the first second of the next minute. Python code may also give a `datetime`.
    """
    if isinstance(value, datetime):
        return None if value.utcoffset() is None else value
    form = RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if form is None:
        return None
    text, is_leap = form[0].upper(), form[1] == "60"
    try:
        if is_leap:
            return datetime.fromisoformat(f"{text[: form.start(1)]}59{text[form.end(1) :]}") + timedelta(seconds=1)
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FIRST_MAPPED = int(ipaddress.IPv6Address("::ffff:0:0"))
BITS_BEFORE_MAPPED = 96


@lru_cache(maxsize=MOST_READ)
def _network_in(value: str) -> Network | None:
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None


def ranges_of(value: object) -> list[tuple[int, int]]:
    """Return the addresses of a network such as "10.0.0.0/8", or of one address: from the first to the last number.

    `address_of` counts an address of IPv4 below all of IPv6. A network of IPv4 has its addresses as IPv6 writes them
    (`::ffff:10.0.0.0/104`) too, also if it was written so. Nothing is returned for what is no network.
    """
    network = _network_in(value) if isinstance(value, str) and len(value) <= LONGEST_ADDRESS else None
    if network is None:
        return []
    first, last = int(network.network_address), int(network.broadcast_address)
    if isinstance(network, ipaddress.IPv6Network):
        if network.network_address.ipv4_mapped is None or network.prefixlen < BITS_BEFORE_MAPPED:
            return [(first, last)]
        first, last = first - FIRST_MAPPED, last - FIRST_MAPPED
    return [(first - ADDRESSES_OF_IPV4, last - ADDRESSES_OF_IPV4), (first + FIRST_MAPPED, last + FIRST_MAPPED)]


def address_of(value: object) -> int | None:
    """Return the number of an IP address, as it is written. Those of IPv4 are negative. None for anything else."""
    if not isinstance(value, str) or len(value) > LONGEST_ADDRESS or "/" in value:
        return None
    try:  # much faster than `ipaddress`, and reads the same addresses of IPv4
        return int.from_bytes(inet_pton(AF_INET, value)) - ADDRESSES_OF_IPV4
    except (OSError, ValueError):
        network = _network_in(value)
    if network is None:
        return None
    number = int(network.network_address)
    return number - ADDRESSES_OF_IPV4 if isinstance(network, ipaddress.IPv4Network) else number


def _in_cidr(values: Sequence[Any], _: bool) -> Test:
    networks = [ranges_of(value) for value in values]
    if [] in networks:
        raise WrongValue('an IP address or a network such as "10.0.0.0/8"')
    ranges = [each for network in networks for each in network]

    def test(value: Any) -> bool:
        address = address_of(value)
        if address is not None:
            for first, last in ranges:
                if first <= address <= last:
                    return True
        return False

    return test


def _matches(values: Sequence[Any], ignore_case: bool) -> Test:
    searches = [_pattern(value, ignore_case).search for value in values]
    together = set_of_patterns(tuple(values), ignore_case=ignore_case)
    if together is not None:
        return partial(_is_found, together.Match)  # a set is faster, as it does not look for the place
    return lambda value: utf_8_of(value) is not None and any(search(value) is not None for search in searches)


def _is_found(match: Callable[[bytes], object], value: Any) -> bool:
    text = utf_8_of(value)
    return text is not None and match(text) is not None


def _pattern(value: Any, ignore_case: bool) -> Any:
    if not isinstance(value, str) or len(value) > LONGEST_PATTERN:
        raise WrongValue(f"a regular expression of RE2 with at most {LONGEST_PATTERN} characters")
    try:
        return compiled(value, ignore_case=ignore_case)
    except WrongPattern as error:
        raise WrongValue(f"a regular expression of RE2 ({error})") from error


def utf_8_of(value: Any) -> bytes | None:
    """Return a text in UTF-8, in which RE2 searches; None if it is no text, too long, or has half of a character."""
    if not isinstance(value, str) or len(value) > LONGEST_SEARCHED:
        return None
    try:
        return value.encode()
    except UnicodeEncodeError:
        return None


def _exists(values: Sequence[Any], _: bool) -> Test:
    if values:
        raise WrongValue("nothing: the operator takes no values")
    return lambda value: True


TIME = "a time with a zone, such as 2026-11-30T12:00:00Z"
NO_VALUES = "no values"
SEMVER = "a version such as 1.4.2"
OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("in", _in, "texts, numbers, true or false", takes_case=True),
        Operator("startsWith", partial(_text, str.startswith), "texts", takes_case=True),
        Operator("endsWith", partial(_text, str.endswith), "texts", takes_case=True),
        Operator("contains", partial(_text, _contains), "texts", takes_case=True),
        Operator("matches", _matches, "regular expressions of RE2, found anywhere in the text", takes_case=True),
        Operator("lt", partial(_number, lt, max), "numbers"),
        Operator("lte", partial(_number, le, max), "numbers"),
        Operator("gt", partial(_number, gt, min), "numbers"),
        Operator("gte", partial(_number, ge, min), "numbers"),
        Operator("before", partial(_read, time_of, TIME, lt), "times with a zone"),
        Operator("after", partial(_read, time_of, TIME, gt), "times with a zone"),
        Operator("semverEq", partial(_read, version_of, SEMVER, eq), "versions"),
        Operator("semverLt", partial(_read, version_of, SEMVER, lt), "versions"),
        Operator("semverLte", partial(_read, version_of, SEMVER, le), "versions"),
        Operator("semverGt", partial(_read, version_of, SEMVER, gt), "versions"),
        Operator("semverGte", partial(_read, version_of, SEMVER, ge), "versions"),
        Operator("inCidr", _in_cidr, "IP addresses and networks"),
        Operator("exists", _exists, NO_VALUES),
    )
}
"""The operators that compare an attribute, by their names."""
