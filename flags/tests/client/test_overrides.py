"""override_flag: flags are what a test says, without a database, and only for that test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from flags.client import ais_enabled, is_enabled, override_flag


def test_a_flag_is_fixed_for_a_block() -> None:
    with override_flag("new-ui", True):
        assert is_enabled("new-ui")
    with override_flag("new-ui", False):
        assert not is_enabled("new-ui", default=True)


def test_overrides_nest() -> None:
    with override_flag("a"), override_flag("b", False):
        with override_flag("a", False):
            assert (is_enabled("a"), is_enabled("b")) == (False, False)
        assert (is_enabled("a"), is_enabled("b")) == (True, False)


def test_one_object_serves_many_times_within_itself() -> None:
    fixed = override_flag("a")
    with fixed:
        with fixed:
            assert is_enabled("a")
        assert is_enabled("a")


@override_flag("new-ui")
def test_a_function_is_decorated(tmp_path: object) -> None:
    assert is_enabled("new-ui")
    assert tmp_path


@override_flag("new-ui")
class TestOfAClass:
    def test_each_method_has_it(self) -> None:
        assert is_enabled("new-ui")


class Inherited:
    def test_of_a_base(self) -> bool:
        return is_enabled("inherited")

    @staticmethod
    def test_static() -> bool:
        return is_enabled("inherited")

    @classmethod
    def test_of_the_class(cls) -> bool:
        return is_enabled("inherited")

    async def test_async(self) -> bool:
        return is_enabled("inherited")


def test_methods_of_every_kind_are_covered_and_those_of_a_base_stay_as_they_are_there() -> None:
    @override_flag("inherited")
    class Inheriting(Inherited):
        pass

    def answers(one: Inherited) -> list[bool]:
        return [one.test_of_a_base(), one.test_static(), one.test_of_the_class(), asyncio.run(one.test_async())]

    assert answers(Inheriting()) == [True] * 4
    with override_flag("inherited", False):
        assert answers(Inherited()) == [False] * 4


def test_what_cannot_be_covered_is_refused() -> None:
    def generator() -> Iterator[bool]:
        yield is_enabled("a")

    async def asynchronous() -> AsyncIterator[bool]:
        yield is_enabled("a")

    for function in (generator, asynchronous):
        with pytest.raises(TypeError, match=r"generator function; write with override_flag\('a', True\) inside"):
            override_flag("a")(function)
    for attributes in ({}, {"test_data": 5}):
        with pytest.raises(TypeError, match="Empty has no test methods"):
            override_flag("a")(type("Empty", (), attributes))


def test_it_ends_with_an_exception() -> None:
    def fail() -> None:
        raise KeyError("broken")

    with override_flag("a", False):
        with pytest.raises(KeyError, match="broken"):
            override_flag("a")(fail)()
        assert not is_enabled("a")


def test_coroutines_at_the_same_time_have_their_own() -> None:
    async def ask(enabled: bool) -> list[bool]:
        @override_flag("a", enabled)
        async def inner() -> list[bool]:
            found = []
            for _ in range(5):
                await asyncio.sleep(0)
                found += [is_enabled("a"), await ais_enabled("a")]
            return found

        return await inner()

    async def both() -> list[list[bool]]:
        return list(await asyncio.gather(ask(True), ask(False)))

    assert asyncio.run(both()) == [[True] * 10, [False] * 10]


@pytest.mark.django_db
def test_other_threads_see_nothing_of_it() -> None:
    inside, ask, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        with override_flag("a", False):
            inside.set()
            ask.wait(5)
            seen.append(is_enabled("a"))

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(5)
    with override_flag("a"):
        assert is_enabled("a")
        ask.set()
        thread.join()
        assert is_enabled("a")
    assert seen == [False]
