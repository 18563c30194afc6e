"""The checks of `bin/manage doctor`: they find what is wrong with this installation and say what to do about it."""

from flagsite.health.doctor.check_result import CheckResult, Severity
from flagsite.health.doctor.checks import CHECKS, run_checks
from flagsite.health.doctor.site_checks import Site

__all__ = ["CHECKS", "CheckResult", "Severity", "Site", "run_checks"]
