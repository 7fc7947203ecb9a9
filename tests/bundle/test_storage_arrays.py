from __future__ import annotations

import io
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.bundle import storage
from mnist_edge.bundle.storage import pack_arrays, unpack_arrays
from mnist_edge.errors import BadInput

pytestmark = pytest.mark.edge

ARRAYS = {
    "images": np.arange(2 * 784, dtype=np.int64).astype(np.uint8).reshape(2, 28, 28),
    "labels": np.array([3, 7]),
    "logits": np.linspace(-9, 9, 20).reshape(2, 10),
}


def test_arrays_come_back_as_they_were() -> None:
    arrays = {**ARRAYS, "empty": np.zeros((0, 3), np.float32), "scalar": np.array(1.5)}
    again = unpack_arrays(pack_arrays(arrays))
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)


def test_the_bytes_depend_on_the_arrays_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    first = pack_arrays(ARRAYS)
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    assert pack_arrays({name: array.copy() for name, array in ARRAYS.items()}) == first


def test_numpy_reads_what_is_packed() -> None:
    with np.load(io.BytesIO(pack_arrays(ARRAYS)), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["logits"], ARRAYS["logits"])


def test_objects_are_not_packed() -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        pack_arrays({"a": np.array([None])})


def npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], **saving: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **saving)
    return buffer.getvalue()


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


def header_of(shape: tuple[int, ...]) -> bytes:
    """The start of an array file that promises more than it holds."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"PK\x05\x06" + b"\0" * 10,
        b"<!DOCTYPE html><html></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        npy(np.zeros(3)),
        pack_arrays(ARRAYS)[:-1],
        pack_arrays(ARRAYS)[1:],
        archive({"images.npy": b"no array"}),
        archive({"images.npy": b""}),
        archive({"images.npy": npy(np.zeros(9))[:-1]}),
        archive({"images.npy": header_of((10**12,))}),
        archive({"images.npy": header_of((2**63, 2**63))}),
        archive({"images.npy": header_of((-1,))}),
        archive({"images.npy": npy(np.array([{}]), allow_pickle=True)}),
    ],
    ids=lambda data: f"{len(data)} bytes",  # an archive holds the time, and workers collect alike
)
def test_what_is_no_array_file_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="not an array file") as caught:
        unpack_arrays(data)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_arrays({"a": np.zeros(1000), "b": np.zeros(1000)})
    assert len(data) < 1000
    monkeypatch.setattr(storage, "_MAX_UNPACKED_BYTES", 12_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(BadInput, match="more than 12,000 bytes"):
        unpack_arrays(data)


def peak_bytes(data: bytes) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="not an array file"):
            unpack_arrays(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_entry_that_lies_about_its_size_unpacks_no_further() -> None:
    bomb = archive({"images.npy": bytes(100 << 20)})
    size = (100 << 20).to_bytes(4, "little")
    assert bomb.count(size) == 2
    lying = bomb.replace(size, (100).to_bytes(4, "little"))
    assert peak_bytes(lying) < 8 << 20


def test_an_array_that_lies_about_its_shape_gets_no_room() -> None:
    assert peak_bytes(archive({"images.npy": header_of((1 << 27,)) + bytes(64)})) < 8 << 20


def test_every_flipped_bit_is_refused_or_harmless() -> None:
    data = pack_arrays({"labels": np.arange(10)})
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        try:
            arrays = unpack_arrays(bytes(flipped))
        except BadInput:
            continue
        # A zip file has fields that nobody needs, and the entry's name has no check sum.
        assert all(array.tobytes() == np.arange(10).tobytes() for array in arrays.values())


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        unpack_arrays(data)
