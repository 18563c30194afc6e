"""What is wrong with this installation, and what to do about it: `bin/manage doctor`."""

from flagsite.doctor.examination import CHECKS, examine
from flagsite.doctor.findings import Finding, State

__all__ = ["CHECKS", "Finding", "State", "examine"]
