"""GET /: the page for people and programs that open the address of this service: what it is, and where to go."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from flagsite.core.reading_pages import only_reads


@only_reads
def start_page(request: HttpRequest) -> HttpResponse:
    """The page has no figures and no names, so it is open to everybody."""
    return render(request, "flagsite/start_page.html", {**admin.site.each_context(request), "title": "Flagsite"})
