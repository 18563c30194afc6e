"""OpenFeature's evaluation cases, and Flagsite's own in the same words, with the Python client.

Flagsite's own are in evaluation.feature. OpenFeature's are run too where FLAGSITE_OPENFEATURE_GHERKIN names a folder
with a copy of specification/assets/gherkin of https://github.com/open-feature/spec.
"""

from __future__ import annotations

import pytest
from pytest_bdd import scenarios

from flagsite.tests.openfeature.gherkin.copied import features

pytestmark = pytest.mark.slow
scenarios("evaluation.feature")
if OPENFEATURES := features("evaluation.feature"):
    scenarios(*OPENFEATURES)
