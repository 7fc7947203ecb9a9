"""Files of weights for `import`: what torch and safetensors would choke on, or run."""

from __future__ import annotations

import importlib.util
import json
import random
import struct
import warnings
from collections.abc import Callable, Iterator

from attack.cases import Case
from attack.damage import damaged
from attack.ground import DATA, Ground


def weights(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """Hostile files, and damaged ones; of these one may be whole enough."""
    if importlib.util.find_spec("torch") is None:
        return
    from hostile_torch import HOSTILE

    warnings.simplefilter("ignore")  # torch says of its tensors that they are experiments
    for name, make in (HOSTILE | _SAFETENSORS).items():
        ending = ".safetensors" if name in _SAFETENSORS else ".pth"
        yield _case(name, f"w{ending}", make(), may_pass=False)
    good = ground.bundle["checkpoint.safetensors"]
    for number in range(count):
        data = damaged(good, [b"", bytes(8)], rng, near_ends=True)
        yield _case(f"a damaged file, number {number}", "w.safetensors", data, may_pass=True)


def _case(name: str, file: str, data: bytes, *, may_pass: bool) -> Case:
    words = ("import", file, "--recipe", "small", "--bundle", "new", *DATA)
    return Case(kind="weights", name=name, words=words, files={file: data}, may_pass=may_pass)


def _safetensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


_SAFETENSORS: dict[str, Callable[[], bytes]] = {
    "a header of 2^63 bytes": lambda: _safetensors({}, length=2**63),
    "a header of 90 MB": lambda: _safetensors(b" " * 90_000_000 + b"{}"),
    "a header that is a list": lambda: _safetensors([]),
    "a header nested 100,000 deep": lambda: _safetensors(b"[" * 100_000),
    "a shape of 2^64": lambda: _safetensors({"w": _tensor([2**32, 2**32], 0, 4)}, bytes(4)),
    "a negative shape": lambda: _safetensors({"w": _tensor([-1, -1], 0, 4)}, bytes(4)),
    "offsets that run backwards": lambda: _safetensors({"w": _tensor([1], 4, 0)}, bytes(4)),
    "offsets beyond the end": lambda: _safetensors({"w": _tensor([1 << 30], 0, 1 << 32)}, b""),
    "an unknown type": lambda: _safetensors({"w": _tensor([1], 0, 4, "Q4")}, bytes(4)),
    "the same bytes a thousand times": lambda: _safetensors(
        {f"w{n}": _tensor([1000], 0, 4000) for n in range(1000)}, bytes(4000)
    ),
    "a hundred thousand empty tensors": lambda: _safetensors(
        {f"w{n}": _tensor([0], 0, 0) for n in range(100_000)}
    ),
    "NaN for weights": lambda: _safetensors({"w": _tensor([2], 0, 8)}, b"\xff" * 8),
}
