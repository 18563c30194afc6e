"""What is wrong with this installation, and what to do about it: `bin/manage doctor`."""

from flagsite.health.doctor.examination import CHECKS, examine
from flagsite.health.doctor.findings import Finding, Severity

__all__ = ["CHECKS", "Finding", "Severity", "examine"]
