"""Flags in views, functions and templates: for the request's user and organization without saying so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import AnonymousUser, User
from django.http import Http404, HttpRequest, HttpResponse
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conftest import Cast
from flags.client import asking_for, feature_flag, is_enabled, override_flag
from flags.client.middleware import flags_of_request
from flags.definitions.models import Flag
from flags.errors import TargetingKeyMissing
from flags.states.set_flag import set_flag

pytestmark = pytest.mark.django_db


def organization_of(request: HttpRequest) -> str | None:
    return request.headers.get("X-Organization")


def user_of(request: HttpRequest) -> str | None:
    return request.headers.get("X-User")


@pytest.fixture(autouse=True)
def of_headers(settings: Any) -> None:
    settings.FLAG_REQUEST_ORGANIZATION = f"{__name__}.organization_of"


@pytest.fixture
def on_for_oslo(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)


def request(organization: str | None = None, user: Any = None, **headers: str) -> HttpRequest:
    made = RequestFactory().get("/", headers=headers | ({"X-Organization": organization} if organization else {}))
    made.user = user or AnonymousUser()
    return made


# --- middleware
def test_the_middleware_makes_arguments_unnecessary(on_for_oslo: None) -> None:
    handle = flags_of_request(lambda _: HttpResponse(is_enabled("checkout")))
    assert [handle(request(name)).content for name in ("oslo", "rome", None)] == [b"True", b"False", b"False"]  # type: ignore[union-attr]
    assert not is_enabled("checkout")


def test_the_user_is_the_signed_in_one_or_whom_the_setting_names(cast: Cast, settings: Any) -> None:
    alice = User.objects.create(username="alice")
    Flag.objects.create(key="friends", whitelist=[str(alice.pk), "bob"])
    handle: Any = flags_of_request(lambda _: HttpResponse(is_enabled("friends")))
    assert handle(request(user=alice)).content == b"True"
    assert handle(request()).content == b"False"
    settings.FLAG_REQUEST_USER = f"{__name__}.user_of"
    assert handle(request(**{"X-User": "bob"})).content == b"True"
    assert handle(request(user=alice)).content == b"False"


def test_who_is_not_signed_in_and_whom_the_setting_does_not_name_is_no_user(cast: Cast, settings: Any) -> None:
    Flag.objects.create(key="half", enabled=True, rollout_percentage=50)
    handle: Any = flags_of_request(lambda _: HttpResponse(is_enabled("half")))
    for setting in ("", f"{__name__}.user_of"):
        settings.FLAG_REQUEST_USER = setting
        with pytest.raises(TargetingKeyMissing):
            handle(request())


def test_a_request_that_asks_for_no_flag_costs_no_query(cast: Cast, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        flags_of_request(lambda _: HttpResponse())(request("oslo"))


def test_the_middleware_serves_asynchronous_stacks(cast: Cast) -> None:
    async def view(_: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        with override_flag("other"):
            return HttpResponse(is_enabled("other"))

    handle: Any = flags_of_request(view)
    assert iscoroutinefunction(handle)
    assert asyncio.run(handle(request("oslo"))).content == b"True"


def test_an_asynchronous_view_asks_for_its_request_and_what_follows_does_not(on_for_oslo: None) -> None:
    async def view(_: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse(is_enabled("checkout"))

    handle: Any = flags_of_request(view)

    async def ask() -> tuple[bytes, bool]:
        return (await handle(request("oslo"))).content, is_enabled("checkout")

    is_enabled("checkout", organization="oslo")  # from now on the process knows
    assert asyncio.run(ask()) == (b"True", False)


# --- decorator
def test_a_view_is_there_where_the_flag_is_on(on_for_oslo: None) -> None:
    @feature_flag("checkout")
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("new")

    assert view(request("oslo")).content == b"new"
    with pytest.raises(Http404):
        view(request("rome"))


def test_for_whom_somebody_has_said_before_the_view_counts(on_for_oslo: None) -> None:
    view = feature_flag("checkout", fallback=lambda _: "old")(lambda _: "new")
    with asking_for(organization="oslo"):
        assert view(request("rome")) == "new"
    with asking_for(organization="rome"):
        assert view(request("oslo")) == "old"


def test_a_view_of_rest_framework_is_asked_for_its_request(on_for_oslo: None) -> None:
    class Page(APIView):
        authentication_classes: ClassVar[list[Any]] = []
        permission_classes: ClassVar[list[Any]] = []

        @feature_flag("checkout")
        def get(self, request: Request) -> Response:
            return Response("new")

    assert [Page.as_view()(request(name)).status_code for name in ("oslo", "rome")] == [200, 404]


def test_a_view_may_have_a_fallback(on_for_oslo: None) -> None:
    def old(request: HttpRequest, number: int) -> HttpResponse:
        return HttpResponse(f"old {number}")

    @feature_flag("checkout", fallback=old)
    def view(request: HttpRequest, number: int) -> HttpResponse:
        return HttpResponse(f"new {number}")

    assert [view(request(name), 7).content for name in ("oslo", "rome")] == [b"new 7", b"old 7"]


def test_a_view_made_as_a_class(on_for_oslo: None) -> None:
    @method_decorator(feature_flag("checkout"), name="dispatch")
    class Page(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("new")

    class Other(View):
        @feature_flag("checkout", fallback=lambda *_: HttpResponse("old"))
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("new")

    assert Page.as_view()(request("oslo")).content == b"new"
    assert [Other.as_view()(request(name)).content for name in ("oslo", "rome")] == [b"new", b"old"]


def test_a_function_names_its_parameters(cast: Cast) -> None:
    Flag.objects.create(key="friends", whitelist=["alice"])

    @feature_flag("friends", user_id_param="user_id", fallback="nothing")
    def greet(greeting: str, user_id: str = "nobody") -> str:
        return f"{greeting}, {user_id}"

    assert [greet("Hello", "alice"), greet("Hello", user_id="alice"), greet("Hello", "bob"), greet("Hello")] == [
        "Hello, alice", "Hello, alice", "nothing", "nothing",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="has no parameter 'users'"):
        feature_flag("friends", user_id_param="users")(greet)


def test_a_parameter_is_found_by_its_name_wherever_it_stands(cast: Cast) -> None:
    Flag.objects.create(key="friends", whitelist=["alice"])
    friends = feature_flag("friends", user_id_param="user_id", fallback="nothing")

    def keyword_only(*names: str, user_id: str = "nobody") -> str:
        return user_id

    def with_default(user_id: str = "alice") -> str:
        return user_id

    def positional_only(user_id: str, /, **more: str) -> str:
        return user_id

    assert friends(keyword_only)("alice", "alice") == "nothing"
    assert friends(keyword_only)("bob", user_id="alice") == "alice"
    assert friends(with_default)() == "alice"
    assert friends(positional_only)("bob", user_id="alice") == "nothing"
    assert friends(positional_only)("alice", user_id="bob") == "alice"


def test_an_argument_that_is_not_given_names_nobody(cast: Cast) -> None:
    Flag.objects.create(key="nearly-all", enabled=True, rollout_percentage="99.999")

    @feature_flag("nearly-all", user_id_param="user_id", fallback="nobody")
    def greet(user_id: str) -> str:
        return user_id

    assert greet("alice") == "alice"
    assert greet() == "nobody"  # type: ignore[call-arg]


def test_a_function_is_asked_for_an_organization_or_for_the_context(on_for_oslo: None, cast: Cast) -> None:
    @feature_flag("checkout", organization_param="organization_id", fallback=lambda **_: "old")
    def charge(*, organization_id: int | None = None) -> str:
        return "new"

    assert [charge(organization_id=cast.oslo.pk), charge(organization_id=cast.rome.pk), charge()] == [
        "new", "old", "old",
    ]  # fmt: skip
    with asking_for(organization=cast.oslo):
        assert charge() == "new"


def test_without_a_fallback_a_function_returns_none(cast: Cast) -> None:
    @feature_flag("nothing")
    def work() -> str:
        return "done"

    assert work() is None
    with override_flag("nothing"):
        assert work() == "done"


def test_a_rollout_without_a_user_is_off_in_a_decorated_function(cast: Cast) -> None:
    Flag.objects.create(key="half", enabled=True, rollout_percentage=50)
    new: Callable[[], str] = lambda: "new"  # noqa: E731
    assert feature_flag("half", fallback="old")(new)() == "old"


def test_coroutine_functions_and_views_stay_such() -> None:
    async def old(number: int) -> str:
        await asyncio.sleep(0)
        return f"old {number}"

    @feature_flag("async", fallback=old)
    async def work(number: int) -> str:
        await asyncio.sleep(0)
        return f"new {number}"

    assert iscoroutinefunction(work)
    for enabled, words in ((True, "new 7"), (False, "old 7")):
        with override_flag("async", enabled):
            assert asyncio.run(work(7)) == words

    @feature_flag("async")
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("new")

    with override_flag("async"):
        assert asyncio.run(view(request())).content == b"new"
    with override_flag("async", False), pytest.raises(Http404):
        asyncio.run(view(request()))


class AsyncPage(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("new")


class DispatchedPage(AsyncPage):
    @feature_flag("async", fallback=lambda *_: HttpResponse("old"))
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)


def old_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("old")


async def old_async_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("old")


@pytest.mark.parametrize(
    "view",
    [
        feature_flag("async", fallback=old_page)(AsyncPage.as_view()),
        feature_flag("async", fallback=old_async_page)(AsyncPage.as_view()),
        method_decorator(feature_flag("async", fallback=old_page), name="dispatch")(
            type("Page", (AsyncPage,), {})
        ).as_view(),
        DispatchedPage.as_view(),
    ],
    ids=["as_view", "async fallback", "method_decorator", "dispatch"],
)
def test_asynchronous_views_made_as_a_class_stay_such(view: Any) -> None:
    assert iscoroutinefunction(view)
    for enabled, words in ((True, b"new"), (False, b"old")):
        with override_flag("async", enabled):
            assert asyncio.run(view(request())).content == words


# --- templates
@pytest.mark.parametrize(
    ("source", "on", "off"),
    [
        ('{% if_flag "checkout" %}new{% endif_flag %}', "new", ""),
        ('{% if_flag "checkout" %}new{% else %}old{% endif_flag %}', "new", "old"),
        ("{% if_flag name %}{% if_flag name %}new{% endif_flag %}{% else %}old{% endif_flag %}", "new", "old"),
        ('{% flag_enabled "checkout" as x %}{{ x|yesno:"new,old" }}', "new", "old"),
    ],
)
def test_a_template_shows_what_is_on(on_for_oslo: None, source: str, on: str, off: str) -> None:
    template = Template("{% load flags %}" + source)
    shown = [template.render(Context({"request": request(name), "name": "checkout"})) for name in ("oslo", "rome")]
    assert shown == [on, off]
    with asking_for(organization="oslo"):
        assert template.render(Context({"name": "checkout"})) == on


def test_a_template_may_say_for_whom(on_for_oslo: None, cast: Cast) -> None:
    source = '{% load flags %}{% if_flag "checkout" organization=store user_id="7" %}new{% else %}old{% endif_flag %}'
    assert Template(source).render(Context({"store": cast.oslo})) == "new"
    assert Template(source).render(Context({"store": cast.rome.pk})) == "old"


@pytest.mark.parametrize("arguments", ["", '"checkout" colour="red"', '"checkout" "oslo"'])
def test_a_tag_that_makes_no_sense_is_refused(arguments: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="if_flag"):
        Template(f"{{% load flags %}}{{% if_flag {arguments} %}}{{% endif_flag %}}")
