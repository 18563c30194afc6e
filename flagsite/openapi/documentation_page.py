"""GET /docs: the page on which people read and try the API."""

from __future__ import annotations

from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from orgs.access.endpoints import AlwaysJson
from orgs.access.permissions import OpenOnPurpose


class DocumentationPage(SpectacularSwaggerSplitView):
    """The page; an error is problem details, as everywhere."""

    def handle_exception(self, exc: Exception) -> Response:
        response: Response = super().handle_exception(exc)
        self.request.accepted_renderer = JSONRenderer()
        return response


documentation_page = DocumentationPage.as_view(
    url_name="openapi",
    title="Flagsite API",
    permission_classes=(OpenOnPurpose,),
    authentication_classes=(),
    throttle_classes=(),
    content_negotiation_class=AlwaysJson,
    template_name="flagsite/documentation.html",
)
