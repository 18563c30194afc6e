"""The numbers of variants: each key keeps its own, and no number is used for another key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flags.values.variant_numbers import numbered

KEYS = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6)


@given(st.lists(KEYS, max_size=10), st.lists(st.integers(0, 9), max_size=10))
def test_a_number_stands_for_one_key_for_ever_also_if_undos_bring_former_variants_back(
    changes: list[list[str]], undone: list[int]
) -> None:
    states: list[list[dict[str, object]]] = [[]]
    made = 0
    owners: dict[object, object] = {}
    writes = [[{"key": key, "value": key} for key in keys] for keys in changes]
    for write in [*writes, *undone]:
        wanted = states[min(write, len(states) - 1)] if isinstance(write, int) else write
        kept = numbered(wanted, before=states[-1], made=made)
        numbers = [each["number"] for each in kept]
        assert len(set(numbers)) == len(numbers)
        assert [each["key"] for each in kept] == [each["key"] for each in wanted]
        before = {each["key"]: each["number"] for each in states[-1]}
        assert all(before.get(each["key"], each["number"]) == each["number"] for each in kept)
        assert all(owners.setdefault(each["number"], each["key"]) == each["key"] for each in kept)
        made = max([made, *numbers])
        states.append(kept)
