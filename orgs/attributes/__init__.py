"""Attributes of organizations: typed facts that organizations below inherit, and that targeting rules read."""
