from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from factory import make_bundle, make_reference, names, read_all

from mnist_edge.bundle import codec
from mnist_edge.bundle import folder as bundling
from mnist_edge.bundle.folder import LOCAL_BUNDLE, default_bundle_path, open_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST, FileRecord, record
from mnist_edge.bundle.storage import seal, unseal
from mnist_edge.errors import BundleError, DigestMismatch, UsageError

pytestmark = [pytest.mark.edge, pytest.mark.usefixtures("with_torch")]

ONNX = "onnx-float32"
INT8 = "onnx-int8-dynamic"

# The parsed manifest, to be damaged in place.
Document: TypeAlias = dict[str, Any]


def edit_manifest(folder: Path, change: Callable[[Document], object]) -> None:
    document = json.loads(unseal((folder / MANIFEST).read_text(encoding="utf-8")))
    change(document)
    (folder / MANIFEST).write_text(json.dumps(document), encoding="utf-8")


def test_what_is_saved_is_opened_again(tmp_path: Path) -> None:
    saved = make_bundle(tmp_path)
    opened = read_all(tmp_path)
    assert opened == saved
    assert opened.read(opened.artifact(ONNX)) == b"onnx bytes"
    assert names(tmp_path) == {known.file for known in saved.manifest.records} | {MANIFEST}


def test_a_bundle_may_move(tmp_path: Path) -> None:
    make_bundle(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    read_all(tmp_path / "there")


def test_a_bundle_opens_through_a_symlink_to_its_folder(tmp_path: Path) -> None:
    make_bundle(tmp_path / "real")
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    read_all(tmp_path / "link")


def test_the_manifest_says_nothing_of_this_machine(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    text = (tmp_path / MANIFEST).read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert os.uname().nodename not in text


def test_the_reference_comes_back_exactly(tmp_path: Path) -> None:
    reference = make_reference()
    read = make_bundle(tmp_path, reference=reference).reference()
    np.testing.assert_array_equal(read.images, reference.images)
    np.testing.assert_array_equal(read.labels, reference.labels)
    assert read.logits.tobytes() == reference.logits.tobytes()


def test_an_unknown_artifact_is_answered_with_those_there(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    with pytest.raises(UsageError, match=f"no artifact 'onnx', only {CHECKPOINT}, {ONNX}"):
        bundle.artifact("onnx")


def test_a_damaged_shipped_bundle_is_not_to_be_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = make_bundle(tmp_path)
    monkeypatch.setattr(bundling, "SHIPPED_BUNDLES", (tmp_path,))
    for file in ("reference.npz", "onnx-float32.onnx"):
        (tmp_path / file).write_bytes(b"damaged")
    for known in (shipped.manifest.reference, shipped.artifact("onnx-float32")):
        with pytest.raises(DigestMismatch) as caught:
            shipped.read(known)
        assert caught.value.fix.startswith(f"run git restore {tmp_path} in ")


def test_the_local_bundle_is_preferred_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_bundle_path() != LOCAL_BUNDLE or not (LOCAL_BUNDLE / MANIFEST).exists()
    make_bundle(LOCAL_BUNDLE)
    assert default_bundle_path() == LOCAL_BUNDLE
    assert open_bundle().path == LOCAL_BUNDLE


def test_the_record_is_of_the_bytes() -> None:
    assert record("a", b"abc") == FileRecord(
        file="a",
        size_bytes=3,
        sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )


def test_the_manifest_is_canonical(tmp_path: Path) -> None:
    first = make_bundle(tmp_path / "first").path / MANIFEST
    second = make_bundle(tmp_path / "second").path / MANIFEST
    assert first.read_bytes() == second.read_bytes()
    assert first.read_text(encoding="utf-8") == seal(
        codec.dumps(open_bundle(first.parent).manifest)
    )


def first_artifact(**fields: object) -> Callable[[Document], object]:
    return lambda document: document["artifacts"][1].update(fields)


def rename(file: str) -> Callable[[Document], object]:
    return first_artifact(file=file)


def set_field(*path: str, value: object) -> Callable[[Document], object]:
    def change(document: Document) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "file",
    [
        "",
        ".",
        "..",
        "../escape.onnx",
        "../../etc/passwd",
        "/etc/passwd",
        "//host/share",
        "sub/file.onnx",
        "sub/../file.onnx",
        "trailing/",
        "..\\escape.onnx",
        "\\\\host\\share",
        "C:\\model.onnx",
        "C:model.onnx",
        "model.onnx:stream",
        "nul\0byte",
        "line\nbreak",
        "tab\tname",
        "bell\x07",
        "end.onnx\n",
        "model.onnx.",
        "model.onnx ",
        " model.onnx",
        "mod\u00e8le.onnx",
        "\u202egnp.onnx",
        ".lock",
        ".hidden",
        "-rf",
        "what?",
        "n" * 101,
        "n" * 100_000,
        MANIFEST,
        "MANIFEST.JSON",
    ],
)
def test_a_file_name_that_is_not_bare_is_refused(tmp_path: Path, file: str) -> None:
    make_bundle(tmp_path)
    edit_manifest(tmp_path, rename(file))
    with pytest.raises(BundleError, match="is not a bare file name") as caught:
        open_bundle(tmp_path)
    assert len(str(caught.value)) < 200 + 2 * len(str(tmp_path))


@pytest.mark.parametrize("file", ["a", "model.onnx", "onnx-int8-dynamic-2.onnx", "README.md"])
def test_an_ordinary_file_name_is_taken(file: str) -> None:
    assert record(file, b"").file == file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename("torchscript-float32.pt"), "file 'torchscript-float32.pt' stands twice"),
        (rename("TorchScript-float32.PT"), "file 'torchscript-float32.pt' stands twice"),
        (rename("reference.npz"), "file 'reference.npz' stands twice"),
        (rename("History.json"), "file 'history.json' stands twice"),
        (first_artifact(name="torchscript-float32"), "artifact 'torchscript-float32' stands twice"),
        (first_artifact(name="n" * 10**5), "is not its format and precision"),
        (first_artifact(precision="float16"), "'onnx-float32' is not its format and precision"),
        (first_artifact(format="exe"), r"artifacts\[1\]\.format: 'exe' is none of"),
        (first_artifact(checkpoint_sha256="1" * 64), "onnx-float32 was made from other weights"),
        (first_artifact(size_bytes=-1), "a size of -1 bytes is out of range"),
        (first_artifact(size_bytes=10**12), "a size of 1000000000000 bytes is out of range"),
        (first_artifact(size_bytes=10**4000), "bytes is out of range"),
        (first_artifact(size_bytes=1.5), r"size_bytes: expected int, found float"),
        (first_artifact(sha256="0" * 63), "the digest is not a SHA-256"),
        (first_artifact(sha256="A" * 64), "the digest is not a SHA-256"),
        (first_artifact(sha256=" " * 64), "the digest is not a SHA-256"),
        (first_artifact(parity=None), r"parity: expected dict, found NoneType"),
        (first_artifact(surprise=1), "unknown field 'surprise'"),
        (lambda d: d["artifacts"][1].pop("sha256"), "field 'sha256' is missing"),
        (lambda d: d["artifacts"].pop(0), "the artifact checkpoint-float32 is missing"),
        (lambda d: d["artifacts"].clear(), "the artifact checkpoint-float32 is missing"),
        (lambda d: d["artifacts"][0].update(sha256="1" * 64), "was made from other weights"),
        (lambda d: d.clear(), "field 'schema' is missing"),
        (set_field("schema", value=3), "schema: 3 is none of 1, 2"),
        (set_field("schema", value=True), "schema: True is none of 1"),
        (set_field("schema", value="1"), "schema: '1' is none of 1"),
        (set_field("artifacts", value={}), "artifacts: expected list, found dict"),
        (set_field("reference", "file", value="../r.npz"), "is not a bare file name"),
        (set_field("data", "name", value="imagenet"), "'imagenet' is none of"),
        (set_field("recipe", "architecture", value="resnet"), "'resnet' is none of"),
        (set_field("recipe", "widths", value=[10**9, 8]), "--widths is 1000000000"),
        (set_field("recipe", "widths", value=[]), "compact has no use for 0 widths"),
        (set_field("recipe", "std", value=0.0), "--std is 0.0"),
        (set_field("recipe", "epochs", value=10**4000), "--epochs is 1000"),
        (set_field("recipe", "augmentation", "scale", value=2), "--scale is 2.0"),
        (set_field("training", "test_loss", value=float("nan")), "NaN is not JSON"),
        (set_field("training", "test_loss", value=float("-inf")), "-Infinity is not JSON"),
        (set_field("versions", value={"torch": 2}), r"versions\.torch: expected str"),
        (set_field("versions", value={"\ud800": "2"}), "surrogate"),
    ],
)
def test_a_bad_manifest_is_refused_with_the_reason(
    tmp_path: Path, change: Callable[[Document], object], message: str
) -> None:
    make_bundle(tmp_path)
    edit_manifest(tmp_path, change)
    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(tmp_path)
    assert "is not a manifest of schema 1" in caught.value.what
    assert caught.value.fix == f"mnist-edge train --bundle {tmp_path}"
    assert len(caught.value.what) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"\xff\xfe{}",
        b'{"schema": 1, "recipe": "\xc3"}',
        b"\xef\xbb\xbf{}",
        b"null",
        b'"manifest"',
        b"<!DOCTYPE html>",
        b"[" * 1_000_000,
        b'{"recipe":' * 100_000,
        b'{"schema": 1, "schema": 1}',
        b'{"schema": ' + b"9" * 100_000 + b"}",
        b"{" * 10 + b"}" * 10,
        b"[" + b"1," * 1_000_000 + b"1]",
    ],
)
def test_what_is_no_manifest_at_all_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(data)
    with pytest.raises(BundleError, match="is not a manifest of schema 1") as caught:
        open_bundle(tmp_path)
    assert len(caught.value.what) < 300 + len(str(tmp_path))


def test_a_manifest_cut_anywhere_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    data = (tmp_path / MANIFEST).read_bytes().rstrip()
    for length in range(0, len(data), 7):
        (tmp_path / MANIFEST).write_bytes(data[:length])
        with pytest.raises(BundleError):
            open_bundle(tmp_path)


def test_a_huge_manifest_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / MANIFEST).open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: to read it would need a terabyte of memory
    with pytest.raises(BundleError, match="is longer than 4,194,304 bytes"):
        open_bundle(tmp_path)


@pytest.mark.timeout(20)  # quadratic work would take minutes
def test_a_manifest_full_of_files_is_read_without_delay(tmp_path: Path) -> None:
    make_bundle(tmp_path, {})
    extras = [asdict(record(f"{number}", b"")) for number in range(33_000)]
    edit_manifest(tmp_path, set_field("extras", value=extras))
    assert 3 << 20 < (tmp_path / MANIFEST).stat().st_size < 4 << 20
    assert len(open_bundle(tmp_path).manifest.extras) == 33_000


def test_no_bundle_is_told_with_the_command_that_makes_one(tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(BundleError, match=f"no bundle at {folder}") as caught:
            open_bundle(folder)
        assert caught.value.fix == f"mnist-edge train --bundle {folder}"


def test_a_file_in_place_of_a_bundle_may_be_a_net_to_take_in(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="is a file, and no bundle") as caught:
        open_bundle(tmp_path / "file")
    assert caught.value.fix.endswith(f"mnist-edge import {tmp_path / 'file'}")


def test_a_directory_in_place_of_the_manifest_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(BundleError, match="no bundle at"):
        open_bundle(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_the_manifest_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST)
    with pytest.raises(BundleError, match="no bundle at"):
        open_bundle(tmp_path)


def test_an_unreadable_manifest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(BundleError, match=r"cannot read .*manifest\.json: Permission denied"):
        open_bundle(tmp_path)
