"""Which bucket a unit falls into: the published hash that decides a percentage rollout.

Formula, version 1: MurmurHash3 (x86, 32 bits, seed 0, unsigned; Austin Appleby, public domain) of the UTF-8 text
`salt:flag:unit`, multiplied by 100,000 and shifted right by 32 bits: one of the buckets 0 to 99,999. A unit is in a
rollout of p percent when its bucket is below 1000 p. So a higher percentage only ever adds units, and as the flag's
key goes into the hash, two flags at the same percentage pick independently. docs/rollout-vectors.json has examples
for implementations in other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from mmh3 import mmh3_32_uintdigest

from flags.errors import UnknownHashVersion

BUCKETS = 100_000
HASHES: Mapping[int, Callable[[bytes], int]] = {1: mmh3_32_uintdigest}
"""The hash of each version, to 32 bits. The version is stored with each flag, so that a later formula leaves older
flags' users where they are."""
HASH_VERSION = 1
"""Of new flags."""


def hash_of(version: int) -> Callable[[bytes], int]:
    """The hash of this version. Raises UnknownHashVersion, as where a later Flagsite has written the flag."""
    found = HASHES.get(version)
    if found is None:
        raise UnknownHashVersion(
            f"There is no hash version {version} here; these there are: {', '.join(map(str, HASHES))}."
        )
    return found


def hash_prefix(salt: str, flag_key: str) -> bytes:
    """What is hashed before the unit's own bytes."""
    return f"{salt}:{flag_key}:".encode()


def bucket(prefix: bytes, unit: bytes, version: int = HASH_VERSION) -> int:
    """The unit's bucket, 0 to 99,999. `prefix` is from `hash_prefix`; `unit` is UTF-8. Raises UnknownHashVersion."""
    return (hash_of(version)(prefix + unit) * BUCKETS) >> 32


def threshold(percentage: Decimal | None) -> int:
    """The first bucket that is out of a rollout of so many percent (three decimals); None is all."""
    return BUCKETS if percentage is None else int(percentage * (BUCKETS // 100))
