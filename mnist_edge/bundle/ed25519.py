"""Ed25519 signatures, verified as RFC 8032 says.

Only verified: nothing here holds a secret, so it need not run in constant time. Where the standard
leaves room this is strict, so that one signature has one form and a key has an owner: the number S
must be reduced, encodings canonical, and a key of small order, for which anybody can sign, is none.
"""

from __future__ import annotations

from hashlib import sha512
from typing import TypeAlias

KEY_BYTES = 32
SIGNATURE_BYTES = 64

_Point: TypeAlias = tuple[int, int, int, int]
"""X, Y, Z and T with x = X/Z, y = Y/Z and x·y = T/Z (section 5.1.4)."""

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_ZERO: _Point = (0, 1, 1, 0)
_SIGN = 1 << 255


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) of `message` was made by the owner of `public_key` (32)."""
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    key = _decode(public_key)
    response = int.from_bytes(signature[32:], "little")
    if key is None or _is_of_small_order(key) or response >= _ORDER:
        return False
    digest = sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    # R = S·B - k·A. Its bytes are compared, so that R has one encoding, too.
    return _encode(_sum_of_products(response, _BASE, challenge, _negative(key))) == signature[:32]


def _decode(encoded: bytes) -> _Point | None:
    """A point of its 32 bytes (section 5.1.3); None where they are none, or not canonical."""
    number = int.from_bytes(encoded, "little")
    y, odd = number & (_SIGN - 1), number >> 255
    if y >= _P:
        return None
    numerator, denominator = y * y - 1, _D * y * y + 1
    x = numerator * denominator**3 * pow(numerator * denominator**7, (_P - 5) // 8, _P) % _P
    if (denominator * x * x - numerator) % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (denominator * x * x - numerator) % _P or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(KEY_BYTES, "little")


def _add(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _negative(point: _Point) -> _Point:
    return _P - point[0], point[1], point[2], _P - point[3]


def _sum_of_products(s: int, one: _Point, k: int, other: _Point) -> _Point:
    """s·one + k·other, both in one pass over their bits."""
    choices = (_ZERO, one, other, _add(one, other))
    total = _ZERO
    for bit in reversed(range(_ORDER.bit_length())):
        total = _add(total, total)
        total = _add(total, choices[(s >> bit & 1) + 2 * (k >> bit & 1)])
    return total


def _is_of_small_order(point: _Point) -> bool:
    """Whether eight times the point is nothing."""
    for _ in range(3):
        point = _add(point, point)
    return point[0] == 0 and point[1] == point[2]


_found = _decode((4 * pow(5, -1, _P) % _P).to_bytes(KEY_BYTES, "little"))
assert _found is not None
_BASE = _found
