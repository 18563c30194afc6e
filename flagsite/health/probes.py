"""/livez, /readyz and /version, for load balancers and supervisors. Open to everybody on purpose."""

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
    """What callers without access see of a part: whether it works."""

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
            "ReadinessChecks", {name: serializers.ChoiceField(CheckResult.choices) for name in readiness.PARTS}
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


class ProbeView(APIView):
    """An endpoint without authentication, rate limit and content negotiation."""

    authentication_classes: ClassVar[Any] = ()
    permission_classes = (OpenOnPurpose,)
    throttle_classes = ()
    parser_classes = ()
    content_negotiation_class = AlwaysJson


class LivenessView(ProbeView):
    """GET /livez: whether the process answers."""

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


class VersionView(ProbeView):
    """GET /version: which version of Flagsite runs here."""

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


class ReadinessView(ProbeView):
    """GET /readyz: whether a load balancer should send requests to this server."""

    @extend_schema(
        operation_id="getReadiness",
        summary="Are requests to be sent here?",
        responses={200: READINESS, 503: READINESS},
        tags=["operation"],
        auth=[],
        examples=[
            _example("all is well", {"status": "ready", "checks": dict.fromkeys(readiness.PARTS, "ok")}, "200"),
            _example(
                "a broken database", {"status": "not ready", "checks": dict.fromkeys(readiness.PARTS, "not ok")}, "503"
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        """200 while database and migrations are as they must be, else 503.

        Broker, beat and canary are told and decide nothing: while one is away requests are answered, and the jobs
        wait. Strangers see only which check is ok.
        """
        current = readiness.readiness_cache.current()
        body: dict[str, Any] = {
            "status": "ready" if current.is_ready else "not ready",
            "checks": {
                name: CheckResult.OK if current.parts[name].is_ok else CheckResult.NOT_OK
                for name in readiness.PARTS
                if name in current.parts
            },
        }
        if _may_see_details(request):
            body["details"] = {name: part.detail for name, part in current.parts.items()}
        return Response(body, status=HTTPStatus.OK if current.is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


def _may_see_details(request: Request) -> bool:
    """Whether the caller may see the whole installation; a caller with a wrong key may not."""
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
    "livez": LivenessView.as_view(),
    "readyz": ReadinessView.as_view(),
    "version": VersionView.as_view(),
}


class ProbesMiddleware:
    """Answers probes before Django checks the host name or redirects to HTTPS: probes use a machine's own address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = request.path_info.strip("/")
        if name not in PROBES or request.path_info != f"/{name}":
            return self.get_response(request)
        request.probe = name  # type: ignore[attr-defined]
        response: Response = PROBES[name](request)
        return response.render()
