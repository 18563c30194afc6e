"""What machines ask to see whether this web server lives, is ready, and which version it is. Open to all on purpose."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from django.db import DatabaseError, InterfaceError
from django.db.models import TextChoices
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from flagsite.health import readiness, version
from flagsite.health.scraper_access import MetricsTokenAuthentication
from orgs.access.authentication import AccessKeyAuthentication
from orgs.access.endpoints import AlwaysJson
from orgs.access.permissions import OpenOnPurpose


class CheckResult(TextChoices):
    """What a stranger sees of a check."""

    OK = "ok"
    NOT_OK = "not ok"


STATUS = inline_serializer("Liveness", {"status": serializers.ChoiceField(["ok"])})
VERSION = inline_serializer(
    "Version",
    {
        "version": serializers.CharField(),
        "commit": serializers.CharField(allow_blank=True, help_text="Empty when it is not known."),
    },
)
READINESS = inline_serializer(
    "Readiness",
    {
        "status": serializers.ChoiceField(["ready", "not ready"]),
        "checks": inline_serializer(
            "ReadinessChecks", {name: serializers.ChoiceField(CheckResult.choices) for name in readiness.ALL}
        ),
        "details": serializers.DictField(
            child=serializers.CharField(allow_blank=True),
            required=False,
            help_text="More about each check, for METRICS_TOKEN or a key without an organization.",
        ),
    },
)


def _example(name: str, value: Any, status: str = "200") -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=[status])


class Probe(APIView):
    """An address that asks nobody who they are."""

    authentication_classes: ClassVar[Any] = ()
    permission_classes = (OpenOnPurpose,)
    throttle_classes = ()
    parser_classes = ()
    content_negotiation_class = AlwaysJson


class Live(Probe):
    """Whether the process answers."""

    @extend_schema(
        operation_id="getLiveness",
        summary="Is it alive?",
        responses=STATUS,
        tags=["operation"],
        auth=[],
        examples=[_example("it is", {"status": "ok"})],
    )
    def get(self, request: Request) -> Response:
        """200 as long as this process answers at all; asks neither the database nor anything else."""
        return Response({"status": "ok"})


class Version(Probe):
    """What runs here."""

    @extend_schema(
        operation_id="getVersion",
        summary="What runs here",
        responses=VERSION,
        tags=["operation"],
        auth=[],
        examples=[
            _example("a release", {"version": version.VERSION, "commit": "1d71fc1c6e4a7b0a0f7b1a2c3d4e5f60718293a4"})
        ],
    )
    def get(self, request: Request) -> Response:
        """The version, and the commit where it is known."""
        return Response(version.about())


class Ready(Probe):
    """Whether requests are to be sent here."""

    @extend_schema(
        operation_id="getReadiness",
        summary="Are requests to be sent here?",
        responses={200: READINESS, 503: READINESS},
        tags=["operation"],
        auth=[],
        examples=[
            _example("all is well", {"status": "ready", "checks": dict.fromkeys(readiness.ALL, "ok")}, "200"),
            _example(
                "a broken database", {"status": "not ready", "checks": dict.fromkeys(readiness.ALL, "not ok")}, "503"
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        """200 while database and migrations are as they must be, else 503.

        Broker, beat and canary are told and decide nothing: while one is away requests are answered, and the jobs
        wait. Strangers see only which check is ok.
        """
        found = readiness.memory.now()
        body: dict[str, Any] = {
            "status": "ready" if found.is_ready else "not ready",
            "checks": {
                name: CheckResult.OK if found.checks[name].is_ok else CheckResult.NOT_OK
                for name in readiness.ALL
                if name in found.checks
            },
        }
        if _may_see_details(request):
            body["details"] = {name: check.detail for name, check in found.checks.items()}
        return Response(body, status=HTTPStatus.OK if found.is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


def _may_see_details(request: Request) -> bool:
    """Whether the caller looks after the whole installation; with a wrong key they are a stranger."""
    if "Authorization" not in request.headers and "X-API-Key" not in request.headers:
        return False
    for authentication in (MetricsTokenAuthentication, AccessKeyAuthentication):
        try:
            found = authentication().authenticate(request)
        except (APIException, DatabaseError, InterfaceError):
            return False
        if found is not None:
            return found[1].organization_id is None
    return False


PROBES: dict[str, Callable[..., Any]] = {
    "livez": Live.as_view(),
    "readyz": Ready.as_view(),
    "version": Version.as_view(),
}


class ProbesMiddleware:
    """Answers probes before anything looks at the host name or asks for HTTPS: they come to a machine's address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = request.path_info.strip("/")
        if name not in PROBES or request.path_info != f"/{name}":
            return self.get_response(request)
        request.probe = name  # type: ignore[attr-defined]
        response: Response = PROBES[name](request)
        return response.render()
