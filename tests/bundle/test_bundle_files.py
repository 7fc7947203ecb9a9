from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
from factory import make_bundle, make_reference, read_all

from mnist_edge.bundle import codec
from mnist_edge.bundle.folder import Bundle, open_bundle, save_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST, FileRecord, Manifest, record
from mnist_edge.bundle.storage import pack_arrays
from mnist_edge.errors import BundleError, DigestMismatch, LeftBehind

pytestmark = [pytest.mark.edge, pytest.mark.usefixtures("with_torch")]

ONNX = "onnx-float32"
INT8 = "onnx-int8-dynamic"

# The parsed manifest, to be damaged in place.
Document: TypeAlias = dict[str, Any]


def swap(first: Path, second: Path) -> None:
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda path: path.write_bytes(b"onnx byteS"), DigestMismatch, "is not the file"),
        (lambda path: path.write_bytes(b"onnx byte"), DigestMismatch, "has 9 bytes, the manifest"),
        (lambda path: path.write_bytes(b"onnx bytes\n"), DigestMismatch, "has 11 bytes"),
        (lambda path: path.write_bytes(b""), DigestMismatch, "has 0 bytes"),
        (Path.unlink, LeftBehind, "is not here"),
        (replaced_by(Path.mkdir), BundleError, "is no regular file"),
        (replaced_by(os.mkfifo), BundleError, "is no regular file"),
        (
            replaced_by(lambda path: path.symlink_to("/dev/zero")),
            BundleError,
            "is no regular file",
        ),
        (replaced_by(lambda path: path.symlink_to(path)), BundleError, "no regular file"),
        (
            replaced_by(lambda path: path.symlink_to("history.json")),
            DigestMismatch,
            "has 3 bytes",
        ),
    ],
)
@pytest.mark.timeout(20)
def test_a_damaged_file_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], error: type[BundleError], message: str
) -> None:
    bundle = make_bundle(tmp_path)
    damage(tmp_path / "onnx-float32.onnx")
    with pytest.raises(error, match=message) as caught:
        bundle.read(bundle.artifact(ONNX))
    assert type(caught.value) is error
    assert caught.value.fix == f"mnist-edge export --bundle {tmp_path}"


def test_a_stale_file_of_the_same_size_is_refused(tmp_path: Path) -> None:
    old = make_bundle(tmp_path / "old", {ONNX: b"1234"})
    new = make_bundle(tmp_path / "new", {ONNX: b"5678"})
    shutil.copy(old.path / "onnx-float32.onnx", new.path)
    with pytest.raises(DigestMismatch):
        new.read(new.artifact(ONNX))


def test_two_swapped_files_are_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, {ONNX: b"1234", "torchscript-float32": b"5678"})
    swap(tmp_path / "onnx-float32.onnx", tmp_path / "torchscript-float32.pt")
    for name in (ONNX, "torchscript-float32"):
        with pytest.raises(DigestMismatch):
            bundle.read(bundle.artifact(name))


def test_a_symlink_to_the_right_bytes_is_read(tmp_path: Path) -> None:
    # Model hubs keep files so; the digest says whether it is the right one.
    bundle = make_bundle(tmp_path / "bundle")
    shutil.move(tmp_path / "bundle/onnx-float32.onnx", tmp_path / "blob")
    (tmp_path / "bundle/onnx-float32.onnx").symlink_to(tmp_path / "blob")
    assert bundle.read(bundle.artifact(ONNX)) == b"onnx bytes"


def test_damaged_weights_are_mended_by_training(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    for known in (bundle.artifact(CHECKPOINT), bundle.manifest.reference):
        (tmp_path / known.file).write_bytes(b"")
        with pytest.raises(DigestMismatch) as caught:
            bundle.read(known)
        assert caught.value.fix == f"mnist-edge train --bundle {tmp_path}"


def test_what_cannot_be_made_from_what_is_here_is_to_be_copied(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    weights = bundle.artifact(CHECKPOINT)
    for known in (weights, bundle.manifest.reference, bundle.artifact(ONNX)):
        (tmp_path / known.file).unlink()
        with pytest.raises(LeftBehind) as caught:
            bundle.read(known)
        assert caught.value.fix == "copy it from where the bundle was made"


def test_no_flipped_bit_in_any_file_is_accepted(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    rng = random.Random(0)
    for known in bundle.manifest.records:
        path = tmp_path / known.file
        good = path.read_bytes()
        for _ in range(50):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            path.write_bytes(bad)
            with pytest.raises(DigestMismatch):
                bundle.read(known)
        path.write_bytes(good)
    read_all(tmp_path)


def test_a_mutated_manifest_is_refused_or_still_a_manifest(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    good = (tmp_path / MANIFEST).read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(bad))
            bad[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        (tmp_path / MANIFEST).write_bytes(bad)
        try:
            opened = read_all(tmp_path)
        except BundleError:
            refused += 1
            continue
        # A changed accuracy is not found out; other bytes than those of the files are.
        digests = {known.sha256 for known in opened.manifest.records}
        assert digests == {known.sha256 for known in bundle.manifest.records}
    assert refused > 200


REFERENCE = asdict(make_reference(4))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "it lacks images and labels and logits"),
        ({"images": REFERENCE["images"], "labels": REFERENCE["labels"]}, "it lacks logits"),
        ({**REFERENCE, "images": REFERENCE["images"].astype(np.float32)}, "wrong shape or type"),
        ({**REFERENCE, "images": REFERENCE["images"][:, :27]}, "wrong shape or type"),
        ({**REFERENCE, "images": REFERENCE["images"][:3]}, "wrong shape or type"),
        ({**REFERENCE, "images": np.array(1, np.uint8)}, "wrong shape or type"),
        ({**REFERENCE, "labels": REFERENCE["labels"].astype(np.int32)}, "wrong shape or type"),
        ({**REFERENCE, "labels": REFERENCE["labels"].astype(">i8")}, "wrong shape or type"),
        ({**REFERENCE, "labels": np.array(1)}, "wrong shape or type"),
        ({**REFERENCE, "logits": REFERENCE["logits"].astype(np.float32)}, "wrong shape or type"),
        ({**REFERENCE, "logits": REFERENCE["logits"][:, :9]}, "wrong shape or type"),
        ({name: array[:0] for name, array in REFERENCE.items()}, "no pictures"),
        ({**REFERENCE, "labels": np.array([0, 1, 2, 10])}, "labels other than 0 to 9"),
        ({**REFERENCE, "labels": np.array([0, 1, 2, -1])}, "labels other than 0 to 9"),
        ({**REFERENCE, "logits": REFERENCE["logits"] * np.nan}, "logits that are NaN"),
        ({**REFERENCE, "logits": REFERENCE["logits"] * np.inf}, "logits that are NaN or infinite"),
    ],
)
def test_a_reference_that_is_none_is_refused(
    tmp_path: Path, arrays: Mapping[str, Any], message: str
) -> None:
    bundle = bundle_with_reference(tmp_path, pack_arrays(dict(arrays)))
    with pytest.raises(BundleError, match=message) as caught:
        bundle.reference()
    assert caught.value.fix == f"mnist-edge train --bundle {tmp_path}"


@pytest.mark.parametrize("data", [b"", b"no zip", pack_arrays(REFERENCE)[:-9]])
def test_a_reference_that_is_no_array_file_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BundleError, match=r"the reference of .* is damaged: not an array file"):
        bundle_with_reference(tmp_path, data).reference()


def bundle_with_reference(folder: Path, data: bytes) -> Bundle:
    """A bundle whose manifest vouches for these bytes: the attack that no digest finds."""
    bundle = make_bundle(folder)
    (folder / "reference.npz").write_bytes(data)
    return replace(
        bundle, manifest=replace(bundle.manifest, reference=record("reference.npz", data))
    )


def test_an_extra_file_is_found_by_its_role_and_in_bundles_of_before_by_its_name(
    tmp_path: Path,
) -> None:
    of_before = make_bundle(tmp_path, extras={"history-2.json": b"[]", "calibration.npz": b"x"})
    assert cast("FileRecord", of_before.find_extra("history")).file == "history-2.json"
    assert of_before.find_extra("quantization") is None
    named = of_before.with_extras(record("notes.json", b"[]", "quantization"))
    assert cast("FileRecord", named.find_extra("quantization")).file == "notes.json"
    assert codec.loads(Manifest, codec.dumps(named.manifest)) == named.manifest


def test_a_manifest_without_roles_and_companions_has_the_bytes_of_before(tmp_path: Path) -> None:
    text = codec.dumps(make_bundle(tmp_path).manifest)
    assert '"role"' not in text
    assert '"companions"' not in text


def test_a_header_is_a_companion_wherever_the_manifest_lists_it(tmp_path: Path) -> None:
    of_before = make_bundle(tmp_path, {"c-float32": b"int x;"}, extras={"c-float32.h": b"// h"})
    known = of_before.artifact("c-float32")
    assert of_before.read_companions(known) == {".h": b"// h"}
    listed = replace(known, companions=(record("c-float32.h", b"// h"),))
    now = of_before.with_artifacts((listed,))
    assert now.manifest.extras == ()
    save_bundle(now, {})
    assert open_bundle(tmp_path).read_companions(listed) == {".h": b"// h"}
