"""GET /docs: the page on which people read and try the API."""

from __future__ import annotations

from drf_spectacular.views import SpectacularSwaggerSplitView

from orgs.access.endpoints import AlwaysJson
from orgs.access.permissions import OpenOnPurpose

documentation_page = SpectacularSwaggerSplitView.as_view(
    url_name="openapi",
    title="Flagsite API",
    permission_classes=(OpenOnPurpose,),
    authentication_classes=(),
    throttle_classes=(),
    content_negotiation_class=AlwaysJson,
    template_name="flagsite/documentation.html",
)
