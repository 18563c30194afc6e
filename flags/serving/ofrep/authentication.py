"""Which caller a request is from."""

from __future__ import annotations

from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.ofrep.protocol import Environ, EvaluationRefused
from orgs.access.caller import Caller

CHALLENGE = ("WWW-Authenticate", 'Bearer realm="flagsite"')


def authenticate(environ: Environ, access_keys: AccessKeyCache) -> Caller:
    """The caller of the access key in `Authorization: Bearer …` or `X-API-Key: …`. Raises EvaluationRefused."""
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        key = environ.get("HTTP_X_API_KEY", "")
    if not key:
        raise EvaluationRefused(401, None, "Send an access key.", CHALLENGE)
    caller = access_keys.caller_with(key.strip())
    if caller is None:
        raise EvaluationRefused(401, None, "The access key is not valid: unknown, revoked or expired.", CHALLENGE)
    return caller
