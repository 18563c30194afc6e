"""The Django app of organizations, access and the audit log."""

from django.apps import AppConfig


class OrgsConfig(AppConfig):
    name = "orgs"
    verbose_name = "Organizations"

    def ready(self) -> None:
        """Let access keys and attributes be deleted with their organization, and add figures to its page."""
        from orgs.access.removal import remove_access  # noqa: PLC0415 - models are loaded only now
        from orgs.attributes.attribute_operations import remove_attributes  # noqa: PLC0415
        from orgs.tree import admin_sections, organization_figures  # noqa: PLC0415
        from orgs.tree.signals import organizations_removing  # noqa: PLC0415

        admin_sections.figures.append(organization_figures.access)
        organizations_removing.connect(remove_access, dispatch_uid="orgs.remove_access")
        organizations_removing.connect(remove_attributes, dispatch_uid="orgs.remove_attributes")
