"""Which of OpenFeature's own gherkin cases do not apply to Flagsite, each with the reason.

A case that is neither here nor passes fails, so a new one is noticed. These are the names in the files of
https://github.com/open-feature/spec, specification/assets/gherkin.
"""

from __future__ import annotations

INTEGER = "the Python client takes a boolean for an integer, as Python does, and sees no mismatch"
SDK = "this is about the SDK alone: no request reaches Flagsite"

FLAGS = {
    "metadata-flag": "metadata says where the value comes from; people cannot give a flag any of their own",
}
"""By the flag that a case is about."""

SCENARIOS = {
    "Provider not ready error": SDK,
    "Provider in fatal state error": SDK,
    "Provider status accessibility": SDK,
    "Evaluation context immutability": "Python's details can be changed; that a context stays is in client.feature",
    "Returns no metadata": "metadata always says where a value comes from",
    "CACHED reason": "the server-side client keeps no answers, so none comes from a cache",
}
"""By the name of the case, all its examples."""
