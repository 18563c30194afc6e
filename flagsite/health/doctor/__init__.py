"""What is wrong with this installation, and what to do about it: `bin/manage doctor`."""

from flagsite.health.doctor.check_result import CheckResult, Severity
from flagsite.health.doctor.checks import CHECKS, run_checks

__all__ = ["CHECKS", "CheckResult", "Severity", "run_checks"]
