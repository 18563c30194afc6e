"""The bucket of a unit: the published hash that decides a percentage rollout.

The formula of hash version 1 takes MurmurHash3 (x86, 32 bits, seed 0, unsigned; Austin Appleby, public domain) of the
UTF-8 text `salt:flag:unit`, multiplies it by 100,000 and shifts it right by 32 bits. The result is a bucket from 0 to
99,999. A unit is inside a rollout of p percent if its bucket is below 1000 p. So a higher percentage only adds units.
The flag's key is part of the hash, so two flags with the same percentage choose different units.
docs/rollout-vectors.json has examples for implementations in other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from mmh3 import mmh3_32_uintdigest

from flags.errors import UnknownHashVersion

BUCKETS = 100_000
HASHES: Mapping[int, Callable[[bytes], int]] = {1: mmh3_32_uintdigest}
"""The 32-bit hash function of each hash version. Each flag stores its version, so that a later formula does not change
the buckets of older flags."""
HASH_VERSION = 1
"""The version that new flags get."""


def hash_of(version: int) -> Callable[[bytes], int]:
    """Return the hash function of a version. Raises UnknownHashVersion, for example for a flag of a later Flagsite."""
    function = HASHES.get(version)
    if function is None:
        raise UnknownHashVersion(
            f"Hash version {version} is unknown. The known versions are: {', '.join(map(str, HASHES))}."
        )
    return function


def hash_prefix(salt: str, flag_key: str) -> bytes:
    """Return the bytes that are hashed before the unit's own bytes."""
    return f"{salt}:{flag_key}:".encode()


def bucket(prefix: bytes, unit: bytes, version: int = HASH_VERSION) -> int:
    """Return the bucket of a unit, 0 to 99,999. `prefix` comes from `hash_prefix`. Raises UnknownHashVersion."""
    return (hash_of(version)(prefix + unit) * BUCKETS) >> 32


def threshold(percentage: Decimal | None) -> int:
    """Return the lowest bucket outside a rollout of this percentage (three decimals). None means 100 percent."""
    return BUCKETS if percentage is None else int(percentage * (BUCKETS // 100))
