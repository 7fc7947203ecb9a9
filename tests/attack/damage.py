"""Bytes as disks, networks, editors and attackers leave them; and manifests that vouch for them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping

from mnist_edge.bundle.manifest import MANIFEST
from mnist_edge.bundle.storage import seal, unseal

_ENDS = 3000  # the structure of most formats stands near either end, the weights between


def damaged(
    good: bytes, others: list[bytes], rng: random.Random, *, near_ends: bool = False
) -> bytes:
    """Other bytes than `good`.

    Args:
        good: a whole file.
        others: of which one may stand in its place.
        rng: decides.
        near_ends: whether only what stands near the beginning or the end is changed.
    """
    while True:
        bad = bytearray(good)
        reach = min(len(bad), _ENDS) if near_ends else len(bad)
        start = rng.choice((rng.randrange(reach), len(bad) - 1 - rng.randrange(reach)))
        stop = min(len(bad), start + rng.choice((1, 2, 8, 100, 4096)))
        match rng.randrange(9):
            case 0 | 1:
                bad[start] ^= 1 << rng.randrange(8)
            case 2:
                del bad[start:]
            case 3:
                del bad[start:stop]
            case 4:
                bad[start:stop] = rng.randbytes(stop - start)
            case 5:
                bad[start:stop] = bytes(stop - start)
            case 6:
                bad[start:start] = rng.randbytes(stop - start)
            case 7:
                bad[start:start] = bad[start:stop]
            case _:
                bad = bytearray(rng.choice(others))
        if bad != good:
            return bytes(bad)


def forged(bundle: Mapping[str, bytes], changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that have to change so that the manifest names every changed one rightly."""
    document = json.loads(unseal(bundle[MANIFEST].decode()))
    digests = {name: _digest(data) for name, data in bundle.items()}
    new = {digests[name]: _digest(data) for name, data in changed.items()}

    def renamed(item: object) -> object:
        if isinstance(item, list):
            return [renamed(value) for value in item]
        if not isinstance(item, dict):
            return new.get(item, item) if isinstance(item, str) else item
        result = {name: renamed(value) for name, value in item.items()}
        if isinstance(file := result.get("file"), str) and file in changed:
            result["size_bytes"] = len(changed[file])
        return result

    return {**changed, MANIFEST: sealed(renamed(document))}


def sealed(document: object) -> bytes:
    """A manifest as ours are written, its own digest at its end."""
    return seal(json.dumps(document, indent=2) + "\n").encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
