"""Signatures that RFC 8032 made, and those that others forge, stretch and bend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha512

import pytest
from factory import ROOT
from signers import ORDER, Signer, times

from mnist_edge.bundle import ed25519
from mnist_edge.bundle.ed25519 import verify

pytestmark = pytest.mark.edge

VECTORS = json.loads((ROOT / "tests" / "vectors" / "rfc8032.json").read_text())
P = 2**255 - 19
MESSAGE = b"a manifest"
ALICE, BOB = Signer(bytes(32)), Signer(bytes(31) + b"\x01")
GOOD = ALICE.sign(MESSAGE)


def encoded(number: int) -> bytes:
    return number.to_bytes(32, "little")


def points_of_small_order() -> list[bytes]:
    """All eight: a point of order 8, found by leaving the base point's group, and its multiples."""
    for y in range(2, 100):
        point = ed25519._decode(encoded(y))
        if point is not None:
            torsion = ed25519._sum_of_products(ORDER, point, 0, ed25519._ZERO)
            multiples = [ed25519._sum_of_products(n, torsion, 0, ed25519._ZERO) for n in range(8)]
            found = {ed25519._encode(multiple) for multiple in multiples}
            if len(found) == 8:
                return sorted(found)
    raise AssertionError


SMALL = points_of_small_order()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["test"])
def test_the_vectors_of_the_standard_hold(vector: dict[str, str]) -> None:
    key, message, signature = (
        bytes.fromhex(vector[part]) for part in ("public_key", "message", "signature")
    )
    assert verify(key, message, signature)
    assert not verify(key, message + b"\x00", signature)


def test_every_changed_bit_of_a_signature_and_of_a_key_is_seen() -> None:
    assert verify(ALICE.public, MESSAGE, GOOD)
    for bit in range(0, 512, 7):
        changed = bytearray(GOOD)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify(ALICE.public, MESSAGE, bytes(changed)), bit
    for bit in range(0, 256, 7):
        changed = bytearray(ALICE.public)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify(bytes(changed), MESSAGE, GOOD), bit


def test_another_key_did_not_sign_it() -> None:
    assert not verify(BOB.public, MESSAGE, GOOD)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 63, 65, 96, 128])
def test_a_signature_of_another_length_is_none(length: int) -> None:
    assert not verify(ALICE.public, MESSAGE, (GOOD * 2)[:length])


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_none(length: int) -> None:
    assert not verify((ALICE.public * 2)[:length], MESSAGE, GOOD)


def stretched() -> Iterator[bytes]:
    """The same signature under other names: S and as many times the order as fit."""
    response = int.from_bytes(GOOD[32:], "little")
    for factor in range(1, 16):
        if response + factor * ORDER < 1 << 256:
            yield GOOD[:32] + encoded(response + factor * ORDER)


def test_one_signature_has_one_form() -> None:
    others = list(stretched())
    assert len(others) > 10
    assert not any(verify(ALICE.public, MESSAGE, other) for other in others)


def test_the_check_of_s_is_what_refuses_the_other_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a larger bound for S the equation itself takes them: they are no broken signatures.
    class Larger(int):
        def __le__(self, other: object) -> bool:
            return False

    monkeypatch.setattr(ed25519, "_ORDER", Larger(ORDER))
    # 253 bits are enough for S and one time the order.
    assert verify(ALICE.public, MESSAGE, next(stretched()))


@pytest.mark.parametrize("response", [0, 1, ORDER - 1, ORDER, ORDER + 1, (1 << 256) - 1])
def test_numbers_at_the_edges_sign_nothing(response: int) -> None:
    for commitment in (times(1), times(0), GOOD[:32]):
        assert not verify(ALICE.public, MESSAGE, commitment + encoded(response))


def test_there_are_eight_points_of_small_order() -> None:
    assert encoded(1) in SMALL
    assert encoded(P - 1) in SMALL
    assert encoded(0) in SMALL


@pytest.mark.parametrize("key", SMALL, ids=bytes.hex)
def test_a_key_of_small_order_for_which_anybody_can_sign_is_none(
    key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R = S·B with any S is a signature of every eighth message or more.
    forged = times(5) + encoded(5)
    messages = [b"%d" % number for number in range(60)]
    assert not any(verify(key, message, forged) for message in messages)
    monkeypatch.setattr(ed25519, "_is_of_small_order", lambda _: False)
    assert any(verify(key, message, forged) for message in messages)


def test_an_encoding_that_is_not_canonical_is_no_point() -> None:
    for number in (P, P + 1, P + 18, P + (1 << 255), (1 << 255) - 1, (1 << 256) - 1):
        assert ed25519._decode(encoded(number)) is None
        assert not verify(encoded(number), MESSAGE, GOOD)
    for y in (1, P - 1):  # x is 0, which has no odd twin
        assert ed25519._decode(encoded(y)) is not None
        assert ed25519._decode(encoded(y | 1 << 255)) is None


def test_a_commitment_that_is_not_canonical_is_refused() -> None:
    # R is the neutral point, S·B = k·A: a signature that the owner of the key can make.
    secret = ALICE._secret
    neutral = encoded(1)
    challenge = sha512(neutral + ALICE.public + MESSAGE).digest()
    response = int.from_bytes(challenge, "little") * secret % ORDER
    assert verify(ALICE.public, MESSAGE, neutral + encoded(response))
    for other in (encoded(P + 1), encoded(1 | 1 << 255)):
        challenge = sha512(other + ALICE.public + MESSAGE).digest()
        response = int.from_bytes(challenge, "little") * secret % ORDER
        assert not verify(ALICE.public, MESSAGE, other + encoded(response))


def test_numbers_that_are_on_no_curve_are_no_key() -> None:
    assert not verify(encoded(2), MESSAGE, GOOD)
    assert ed25519._decode(encoded(2)) is None
