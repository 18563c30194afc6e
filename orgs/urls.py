"""The URL paths of the organizations."""

from __future__ import annotations

from django.urls import path

from orgs.access import access_key_api, people_api
from orgs.attributes.api import AttributesOfOrganization
from orgs.audit import api as audit_api
from orgs.tree import api, integrity_api, path_converters  # noqa: F401 - registers <organization:…>

urlpatterns = [
    path("organizations", api.Organizations.as_view(), name="organizations"),
    path("organizations/<organization:organization>", api.OneOrganization.as_view(), name="organization"),
    path("organizations/<organization:organization>/ancestors", api.Ancestors.as_view(), name="ancestors"),
    path("organizations/<organization:organization>/descendants", api.Descendants.as_view(), name="descendants"),
    path("v1/organizations/csv", api.OrganizationsAsCsv.as_view(), name="organizations-csv"),
    path(
        "v1/organizations/<organization:organization>/attributes",
        AttributesOfOrganization.as_view(),
        name="attributes",
    ),
    path("v1/tree", integrity_api.TreeCheck.as_view(), name="tree"),
    path("v1/tree/repair", integrity_api.TreeRepair.as_view(), name="repair-tree"),
    path("v1/access-keys", access_key_api.AccessKeys.as_view(), name="access-keys"),
    path("v1/access-keys/<str:prefix>", access_key_api.OneAccessKey.as_view(), name="access-key"),
    path("v1/access-keys/<str:prefix>/rotate", access_key_api.RotateAccessKey.as_view(), name="rotate-access-key"),
    path("v1/access-keys/<str:prefix>/revoke", access_key_api.RevokeAccessKey.as_view(), name="revoke-access-key"),
    path("v1/people", people_api.People.as_view(), name="people"),
    path("v1/people/<str:username>", people_api.OnePerson.as_view(), name="person"),
    path("v1/people/<str:username>/password", people_api.PasswordOfPerson.as_view(), name="set-password"),
    path("v1/audit-log", audit_api.AuditLog.as_view(), name="audit-log"),
    path("v1/audit-log/csv", audit_api.AuditLogAsCsv.as_view(), name="audit-log-csv"),
]
