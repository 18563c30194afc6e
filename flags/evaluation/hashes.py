"""The formulas of buckets, one for each hash version: that of Flagsite, and those of the products one can come from.

docs/buckets.md publishes each formula with its source, and docs/bucket-vectors.json has examples. A formula hashes the
salt, the flag's key and the unit to a whole number from 0 up to `size`, which does not belong to it. The bucket is
`number * 100,000 // size`. The formulas of other products take everything but the unit from the salt, so that a flag
may get another key when it moves here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmh3 import mmh3_32_uintdigest

Hash = Callable[[bytes], int]


@dataclass(frozen=True, slots=True)
class HashVersion:
    """One formula. `prefix` returns what is hashed before the unit; `bound` returns the function that hashes both."""

    name: str
    size: int
    prefix: Callable[[str, str], bytes]
    bound: Callable[[str], Hash]
    """Takes the salt, and returns the hash of prefix and unit. Most formulas do not need the salt a second time."""

    def limit(self, threshold: int, buckets: int) -> int:
        """Return the lowest number outside a rollout: the formula of the bucket, done beforehand."""
        return -(-threshold * self.size // buckets)


UNLEASH_SEED_OF_VARIANTS = 86_028_157
LONGEST_OF_SHA1 = 16**15 - 1
LARGEST_SIGNED = 2**31 - 1
FLAGSMITH_DIVISOR = 9_999
FNV_OFFSET, FNV_PRIME = 0x811C9DC5, 0x01000193


def _same(function: Hash) -> Callable[[str], Hash]:
    return lambda _salt: function


def _salt_then(separator: str) -> Callable[[str, str], bytes]:
    return lambda salt, _flag: _bytes(f"{salt}{separator}")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _unleash(content: bytes) -> int:
    return mmh3_32_uintdigest(content) % 100


def _unleash_variants(content: bytes) -> int:
    return mmh3_32_uintdigest(content, UNLEASH_SEED_OF_VARIANTS) % 1_000


def _launchdarkly(content: bytes) -> int:
    number = int(hashlib.sha1(content, usedforsecurity=False).hexdigest()[:15], 16)
    return min(number, LONGEST_OF_SHA1 - 1)  # the last unit of all gets the last variant


def _fnv1a(content: bytes) -> int:
    """FNV-1a, 32 bits, over UTF-16 units as JavaScript has them; for ASCII these are the bytes."""
    found = FNV_OFFSET
    if content.isascii():
        for byte in content:
            found = (found ^ byte) * FNV_PRIME & 0xFFFFFFFF
        return found
    units = content.decode(errors="surrogatepass").encode("utf-16-le", errors="surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        found = (found ^ (high << 8 | low)) * FNV_PRIME & 0xFFFFFFFF
    return found


def _growthbook_1(salt: str) -> Hash:
    after = _bytes(salt)
    return lambda unit: _fnv1a(unit + after) % 1_000


def _growthbook_2(content: bytes) -> int:
    return _fnv1a(str(_fnv1a(content)).encode()) % 10_000


def _flagsmith(content: bytes) -> int:
    """A hash that would be exactly 100 % is drawn again from the text written once more, as often as it takes."""
    text = content
    while True:
        number = int(hashlib.md5(text, usedforsecurity=False).hexdigest(), 16) % FLAGSMITH_DIVISOR
        if number < FLAGSMITH_DIVISOR - 1:
            return number
        text = text + b"," + content


def _flagd_1(content: bytes) -> int:
    number = mmh3_32_uintdigest(content)
    return min(number if number <= LARGEST_SIGNED else 2**32 - number, LARGEST_SIGNED - 1)


def _cbor_text(text: bytes) -> bytes:
    """A text in CBOR (RFC 8949), with its length in the fewest bytes."""
    length = len(text)
    if length < 24:  # noqa: PLR2004 - of RFC 8949
        return bytes([0x60 | length]) + text
    for more, size in enumerate((1, 2, 4)):
        if length < 256**size:
            return bytes([0x78 + more]) + length.to_bytes(size) + text
    raise OverflowError("A text of 4 GB.")


def _flagd_3_pair(salt: str) -> Hash:
    before = b"\x82" + _cbor_text(_bytes(salt))
    return lambda unit: mmh3_32_uintdigest(before + _cbor_text(unit))


def _flagd_3_text(content: bytes) -> int:
    return mmh3_32_uintdigest(_cbor_text(content))


def _nothing(_salt: str, _flag: str) -> bytes:
    return b""


HASHES: Mapping[int, HashVersion] = {
    1: HashVersion("Flagsite", 2**32, lambda salt, flag: _bytes(f"{salt}:{flag}:"), _same(mmh3_32_uintdigest)),
    2: HashVersion("Unleash, rollouts", 100, _salt_then(":"), _same(_unleash)),
    3: HashVersion("Unleash, variants", 1_000, _salt_then(":"), _same(_unleash_variants)),
    4: HashVersion("LaunchDarkly", LONGEST_OF_SHA1, _salt_then("."), _same(_launchdarkly)),
    5: HashVersion("GrowthBook, hash version 1", 1_000, _nothing, _growthbook_1),
    6: HashVersion("GrowthBook, hash version 2", 10_000, _salt_then(""), _same(_growthbook_2)),
    7: HashVersion("Flagsmith", FLAGSMITH_DIVISOR - 1, _salt_then(""), _same(_flagsmith)),
    8: HashVersion("flagd, fractional version 1", LARGEST_SIGNED, _salt_then(""), _same(_flagd_1)),
    9: HashVersion("flagd, fractional version 2", 2**32, _salt_then(""), _same(mmh3_32_uintdigest)),
    10: HashVersion("flagd, fractional version 3, of flag and key", 2**32, _nothing, _flagd_3_pair),
    11: HashVersion("flagd, fractional version 3, of one text", 2**32, _salt_then(""), _same(_flagd_3_text)),
}
"""The formula of each hash version. Each flag stores its version, so that a later formula does not change the buckets
of older flags."""
