"""The bucket of a unit: the published hash that decides a percentage rollout.

The formula of hash version 1 takes MurmurHash3 (x86, 32 bits, seed 0, unsigned; Austin Appleby, public domain) of the
UTF-8 text `salt:flag:unit`, multiplies it by 100,000 and shifts it right by 32 bits. The result is a bucket from 0 to
99,999. A unit is inside a rollout of p percent if its bucket is below 1000 p. So a higher percentage only adds units.
The flag's key is part of the hash, so two flags with the same percentage choose different units.
docs/rollout-vectors.json has examples for implementations in other languages. `flags.evaluation.hashes` has the
formulas of the other hash versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from flags.errors import UnknownHashVersion
from flags.evaluation.hashes import HASHES, Hash, HashVersion

BUCKETS = 100_000
HASH_VERSION = 1
"""The version that new flags get."""


@dataclass(frozen=True, slots=True)
class Bucketing:
    """The formula of one flag: a number for each unit, and the limit of a threshold on the scale of this number."""

    hash: Hash
    prefix: bytes
    version: HashVersion

    def number(self, unit: bytes) -> int:
        """Return the number of a unit, from 0 up to the formula's size."""
        return self.hash(self.prefix + unit)

    def bucket(self, unit: bytes) -> int:
        """Return the bucket of a unit, 0 to 99,999."""
        return self.number(unit) * BUCKETS // self.version.size

    def limit(self, threshold: int) -> int:
        """Return the lowest number of a unit that is outside a rollout."""
        return self.version.limit(threshold, BUCKETS)


def bucketing(salt: str, flag_key: str, version: int = HASH_VERSION) -> Bucketing:
    """Return the formula of a flag. Raises UnknownHashVersion, for example for a flag of a later Flagsite."""
    formula = hash_version(version)
    return Bucketing(formula.bound(salt), formula.prefix(salt, flag_key), formula)


def salt_of_default_rollout(salt: str) -> str:
    """Return the salt with which the default rollout of a flag counts, from that of the flag.

    It is another one, so that the variants are shared out evenly among those who are inside the flag's percentage.
    """
    return f"{salt}/variants"


def hash_version(version: int) -> HashVersion:
    """Return the formula of a hash version. Raises UnknownHashVersion."""
    formula = HASHES.get(version)
    if formula is None:
        raise UnknownHashVersion(
            f"Hash version {version} is unknown. The known versions are: {', '.join(map(str, HASHES))}."
        )
    return formula


def threshold(percentage: Decimal | None) -> int:
    """Return the lowest bucket outside a rollout of this percentage (three decimals). None means 100 percent."""
    return BUCKETS if percentage is None else int(percentage * (BUCKETS // 100))
