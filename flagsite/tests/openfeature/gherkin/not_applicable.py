"""Which of OpenFeature's own gherkin cases do not apply to Flagsite, each with the reason.

A case that is neither here nor passes fails, so a new one is noticed. These are the names in the files of
https://github.com/open-feature/spec, specification/assets/gherkin.
"""

from __future__ import annotations

NOT_BOOLEAN = "Flagsite's flags are boolean: no strings, numbers or objects"
INTEGER = "the Python client takes a boolean for an integer, as Python does, and sees no mismatch"
SDK = "this is about the SDK alone: no request reaches Flagsite"

FLAGS = {
    "string-flag": NOT_BOOLEAN,
    "wrong-flag": NOT_BOOLEAN,
    "integer-flag": NOT_BOOLEAN,
    "float-flag": NOT_BOOLEAN,
    "object-flag": NOT_BOOLEAN,
    "string-zero-flag": NOT_BOOLEAN,
    "integer-zero-flag": NOT_BOOLEAN,
    "float-zero-flag": NOT_BOOLEAN,
    "string-targeted-zero-flag": NOT_BOOLEAN,
    "integer-targeted-zero-flag": NOT_BOOLEAN,
    "float-targeted-zero-flag": NOT_BOOLEAN,
    "object-targeted-zero-flag": NOT_BOOLEAN,
    "object-zero-flag": NOT_BOOLEAN,
    "string-disabled-flag": NOT_BOOLEAN,
    "integer-disabled-flag": NOT_BOOLEAN,
    "float-disabled-flag": NOT_BOOLEAN,
    "object-disabled-flag": NOT_BOOLEAN,
    "context-aware": NOT_BOOLEAN,
    "complex-targeted": NOT_BOOLEAN,
    "metadata-flag": "metadata says where the value comes from; people cannot give a flag any of their own",
}
"""By the flag that a case is about."""

SCENARIOS = {
    "Resolves string value": NOT_BOOLEAN,
    "Resolves integer value": NOT_BOOLEAN,
    "Resolves float value": NOT_BOOLEAN,
    "Resolves object value": NOT_BOOLEAN,
    "Resolves string details": NOT_BOOLEAN,
    "Resolves integer details": NOT_BOOLEAN,
    "Resolves float details": NOT_BOOLEAN,
    "Resolves object details": NOT_BOOLEAN,
    "Resolves based on context": NOT_BOOLEAN,
    "Type error": "it needs a string flag; that of evaluation_v2.feature is run with a boolean one",
    "Provider not ready error": SDK,
    "Provider in fatal state error": SDK,
    "Provider status accessibility": SDK,
    "Evaluation context immutability": "Python's details can be changed; that a context stays is in client.feature",
    "Returns no metadata": "metadata always says where a value comes from",
    "CACHED reason": "the server-side client keeps no answers, so none comes from a cache",
}
"""By the name of the case, all its examples."""
