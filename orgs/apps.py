"""The Django app of organizations, access and the audit log."""

from django.apps import AppConfig


class OrgsConfig(AppConfig):
    name = "orgs"
    verbose_name = "Organizations"

    def ready(self) -> None:
        """Connect the receiver that deletes access keys together with their organization."""
        from orgs.access.removal import remove_access  # noqa: PLC0415 - models are loaded only now
        from orgs.tree.signals import organizations_removing  # noqa: PLC0415

        organizations_removing.connect(remove_access, dispatch_uid="orgs.remove_access")
