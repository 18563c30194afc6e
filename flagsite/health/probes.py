"""The probes /livez, /readyz and /version, for load balancers and supervisors. They need no access key."""

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

from flagsite.core.client_address import client_address
from flagsite.health import readiness, version
from flagsite.health.doctor_token import HEADER, is_doctor_token
from flagsite.health.scraper_access import MetricsTokenAuthentication
from orgs.access.authentication import AccessKeyAuthentication
from orgs.access.endpoints import AlwaysJson
from orgs.access.models import Role
from orgs.access.permissions import OpenOnPurpose


class PartResult(TextChoices):
    """The result of a check as every caller sees it."""

    OK = "ok"
    NOT_OK = "not ok"


STATUS = inline_serializer("Liveness", {"status": serializers.ChoiceField(["ok"])})
VERSION = inline_serializer(
    "Version",
    {
        "version": serializers.CharField(),
        "commit": serializers.CharField(allow_blank=True, help_text="Empty if the commit is not known."),
        "seen": serializers.DictField(
            required=False, help_text="How this request arrived behind the proxy; only for the command doctor."
        ),
    },
)
READINESS = inline_serializer(
    "Readiness",
    {
        "status": serializers.ChoiceField(["ready", "not ready"]),
        "checks": inline_serializer(
            "ReadinessChecks", {name: serializers.ChoiceField(PartResult.choices) for name in readiness.PARTS}
        ),
        "details": serializers.DictField(
            child=serializers.CharField(allow_blank=True),
            required=False,
            help_text="More about each check; only for METRICS_TOKEN or an access key without an organization.",
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
    """GET /livez: whether this process answers."""

    @extend_schema(
        operation_id="getLiveness",
        summary="Check that the web server is alive",
        responses=STATUS,
        tags=["operation"],
        auth=[],
        examples=[_example("alive", {"status": "ok"})],
    )
    def get(self, request: Request) -> Response:
        """200 as long as this process answers. Flagsite checks neither the database nor anything else."""
        return Response({"status": "ok"})


class VersionView(ProbeView):
    """GET /version: the version of Flagsite."""

    @extend_schema(
        operation_id="getVersion",
        summary="Read the version",
        responses=VERSION,
        tags=["operation"],
        auth=[],
        examples=[
            _example("a release", {"version": version.VERSION, "commit": "1d71fc1c6e4a7b0a0f7b1a2c3d4e5f60718293a4"})
        ],
    )
    def get(self, request: Request) -> Response:
        """The version of Flagsite, and the commit if it is known.

        `doctor --url` of the same installation also gets `seen`: how this request arrived behind the proxy.
        """
        if is_doctor_token(request.headers.get(HEADER, "")):
            return Response({**version.about(), "seen": _as_seen(request)})
        return Response(version.about())


def _as_seen(request: Request) -> dict[str, Any]:
    return {
        "scheme": request.scheme,
        "host": request.headers.get("Host", ""),
        "client": client_address(request),
        "forwardedFor": "X-Forwarded-For" in request.headers,
    }


class ReadinessView(ProbeView):
    """GET /readyz: whether a load balancer should send requests to this server."""

    @extend_schema(
        operation_id="getReadiness",
        summary="Check that the web server is ready for requests",
        responses={200: READINESS, 503: READINESS},
        tags=["operation"],
        auth=[],
        examples=[
            _example("ready", {"status": "ready", "checks": dict.fromkeys(readiness.PARTS, "ok")}, "200"),
            _example(
                "a broken database", {"status": "not ready", "checks": dict.fromkeys(readiness.PARTS, "not ok")}, "503"
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        """200 if the database answers and has all migrations, otherwise 503.

        The body also reports broker, beat, probe job (`canary`) and the `listener` of the web process that answers.
        These checks do not change the status. Flagsite answers requests without broker and beat, and the jobs wait. A
        process that does not hear of changes reads from the database what it answers, so that evaluations are at most
        two seconds old. Only METRICS_TOKEN or an access key without an organization gets `details`.
        """
        current = readiness.readiness_cache.current()
        body: dict[str, Any] = {
            "status": "ready" if current.is_ready else "not ready",
            "checks": {
                name: PartResult.OK if current.parts[name].is_ok else PartResult.NOT_OK
                for name in readiness.PARTS
                if name in current.parts
            },
        }
        if _may_see_details(request):
            body["details"] = {name: part.detail for name, part in current.parts.items()}
        return Response(body, status=HTTPStatus.OK if current.is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


def _may_see_details(request: Request) -> bool:
    """Whether the caller may see details about the whole installation."""
    if "Authorization" not in request.headers and "X-API-Key" not in request.headers:
        return False
    for authentication in (MetricsTokenAuthentication, AccessKeyAuthentication):
        try:
            authenticated = authentication().authenticate(request)
        except (APIException, DatabaseError, InterfaceError):
            return False
        if authenticated is not None:
            caller = authenticated[1]
            return caller.organization_id is None and caller.may(Role.READER)
    return False


PROBES: dict[str, Callable[..., Any]] = {
    "livez": LivenessView.as_view(),
    "readyz": ReadinessView.as_view(),
    "version": VersionView.as_view(),
}


class ProbesMiddleware:
    """Answers probes before Django checks the host name or redirects to HTTPS, as probes use the machine's address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = request.path_info.strip("/")
        if name not in PROBES or request.path_info != f"/{name}":
            return self.get_response(request)
        request.probe = name  # type: ignore[attr-defined]
        response: Response = PROBES[name](request)
        return response.render()
