"""Values as code asks for them: the types of flags in Python, and the conversions that lose nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flags.values.served import copied
from flags.values.types import FlagType

EXACT_TYPES: Mapping[type, FlagType] = {
    bool: FlagType.BOOLEAN, str: FlagType.STRING, int: FlagType.INTEGER, float: FlagType.FLOAT, dict: FlagType.OBJECT,
    list: FlagType.OBJECT,
}  # fmt: skip
"""The types of most defaults, so that an evaluation finds them at once."""
LARGEST_EXACT = 2**53 - 1
"""The largest whole number that a float stands for, and no other number."""


class WrongType(TypeError):
    """The value of a flag is not of the type that the code asks for."""

    def __init__(self, flag_type: FlagType, wanted: FlagType) -> None:
        super().__init__(f"The flag has the type {flag_type}, and the code asks for the type {wanted}.")


def type_of(default: object) -> FlagType:
    """Return the type of flags that a default in the code stands for. Raises TypeError if there is none."""
    exact = EXACT_TYPES.get(type(default))
    if exact is not None:
        return exact
    for python_type, flag_type in (
        (str, FlagType.STRING), (int, FlagType.INTEGER), (float, FlagType.FLOAT), (Mapping | Sequence, FlagType.OBJECT),
    ):  # fmt: skip
        if isinstance(default, python_type):
            return flag_type
    raise TypeError(f"A default is a bool, str, int, float, mapping or sequence; {type(default).__name__} is none.")


def converted(value: Any, flag_type: FlagType, wanted: FlagType) -> Any:
    """Return the value of a flag as the type that is asked for.

    An integer can be asked for as a float, and a float without a fraction as an integer, where this loses nothing. An
    object is a copy, which the code may change.

    Raises:
        WrongType: for any other type than that of the flag.
    """
    if wanted is flag_type:
        return copied(value) if wanted is FlagType.OBJECT else value
    if {wanted, flag_type} == {FlagType.INTEGER, FlagType.FLOAT} and abs(value) <= LARGEST_EXACT:
        if wanted == FlagType.FLOAT:
            return float(value)
        if value == int(value):
            return int(value)
    raise WrongType(flag_type, wanted)
