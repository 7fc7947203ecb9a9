from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from factory import make_artifact, make_bundle, make_manifest, make_reference, names, read_all
from faults import FAULT_KINDS, FaultKind, Killed, injected

from mnist_edge.bundle.folder import Bundle, free_name, open_bundle, save_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST, record
from mnist_edge.bundle.storage import pack_arrays
from mnist_edge.errors import BundleError, StorageError

pytestmark = pytest.mark.edge

ONNX = "onnx-float32"
INT8 = "onnx-int8-dynamic"

# The parsed manifest, to be damaged in place.
Document: TypeAlias = dict[str, Any]


def exported(bundle: Bundle, artifacts: Mapping[str, bytes]) -> Bundle:
    """Add artifacts as `export` does, or put them in place of those of the same name."""
    sha256 = bundle.artifact(CHECKPOINT).sha256
    made = {name: make_artifact(name, data, sha256) for name, data in artifacts.items()}
    bundle = bundle.with_artifacts(tuple(made.values()))
    save_bundle(bundle, {made[name].file: data for name, data in artifacts.items()})
    return bundle


def trained_again(folder: Path) -> Bundle:
    """Put another model in place of that in `folder`, as `train` does."""
    weights, packed = b"other weights", pack_arrays(asdict(make_reference(1, seed=1)))
    contents = {
        free_name(folder, "checkpoint.safetensors"): weights,
        free_name(folder, "reference.npz"): packed,
    }
    weights_file, reference_file = contents
    sha256 = record(weights_file, weights).sha256
    bundle = Bundle(
        folder,
        make_manifest(
            reference=record(reference_file, packed),
            artifacts=(make_artifact(CHECKPOINT, weights, sha256, file=weights_file),),
        ),
    )
    save_bundle(bundle, contents)
    return bundle


def test_an_export_adds_to_the_bundle(tmp_path: Path) -> None:
    exported(make_bundle(tmp_path), {INT8: b"int8"})
    assert [a.name for a in read_all(tmp_path).manifest.artifacts] == [
        CHECKPOINT,
        ONNX,
        "torchscript-float32",
        INT8,
    ]


def test_an_export_replaces_what_has_its_name(tmp_path: Path) -> None:
    exported(make_bundle(tmp_path), {ONNX: b"new onnx bytes"})
    bundle = read_all(tmp_path)
    assert bundle.read(bundle.artifact(ONNX)) == b"new onnx bytes"
    assert names(tmp_path) == {known.file for known in bundle.manifest.records} | {MANIFEST}


def test_an_artifact_of_other_weights_does_not_enter(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    with pytest.raises(ValueError, match="was made from other weights"):
        bundle.with_artifacts((make_artifact(INT8, b"int8", "1" * 64),))


def test_a_new_training_drops_the_files_of_the_old_one(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    (tmp_path / "notes.txt").write_text("not ours")
    again = trained_again(tmp_path)
    assert read_all(tmp_path) == again
    assert names(tmp_path) == {
        MANIFEST,
        "checkpoint-2.safetensors",
        "reference-2.npz",
        "notes.txt",
    }
    trained_again(tmp_path)
    assert names(tmp_path) == {MANIFEST, "checkpoint.safetensors", "reference.npz", "notes.txt"}


def test_a_free_name_is_found_however_many_are_taken(tmp_path: Path) -> None:
    taken = ["model.onnx", *(f"model-{number}.onnx" for number in range(2, 12))]
    assert free_name(tmp_path, "model.onnx") == "model.onnx"
    make_bundle(tmp_path, {}, extras=dict.fromkeys(taken, b"x"))
    assert free_name(tmp_path, "model.onnx") == "model-12.onnx"
    assert free_name(tmp_path, "Model.ONNX") == "Model-12.ONNX"
    assert free_name(tmp_path, "other.onnx") == "other.onnx"


@pytest.mark.parametrize("file", ["checkpoint.safetensors", "reference.npz"])
def test_what_every_manifest_names_is_not_written_over(tmp_path: Path, file: str) -> None:
    bundle = make_bundle(tmp_path)
    with pytest.raises(ValueError, match=f"{file} is in use"):
        save_bundle(bundle, {file: b"other bytes"})
    assert read_all(tmp_path) == bundle


def test_a_damaged_bundle_is_written_over(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    make_bundle(tmp_path)
    read_all(tmp_path)


def test_a_link_in_the_bundle_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    target = tmp_path / "precious"
    target.write_bytes(b"onnx bytes")
    (bundle.path / "onnx-float32.onnx").unlink()
    (bundle.path / "onnx-float32.onnx").symlink_to(target)
    exported(bundle, {ONNX: b"new"})
    read_all(bundle.path)
    assert target.read_bytes() == b"onnx bytes"


def test_a_directory_in_the_way_leaves_the_bundle_as_it_was(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    (tmp_path / "onnx-int8-dynamic.onnx").mkdir()
    before = names(tmp_path)
    with pytest.raises(StorageError, match="no regular file is in the way"):
        exported(bundle, {ONNX: b"new", INT8: b"int8"})
    assert read_all(tmp_path) == bundle
    assert names(tmp_path) == before


WRITERS: dict[str, Callable[[Path], object]] = {
    "add": lambda folder: exported(open_bundle(folder), {INT8: b"int8", "c-float32": b"c"}),
    "replace": lambda folder: exported(
        open_bundle(folder), {ONNX: b"new onnx", "torchscript-float32": b"new", INT8: b"int8"}
    ),
    "repeat": lambda folder: exported(open_bundle(folder), {ONNX: b"onnx bytes"}),
    "retrain": trained_again,
}


@pytest.mark.parametrize("kind", FAULT_KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_fault_at_any_step_leaves_a_whole_bundle(
    tmp_path: Path, writer: str, kind: FaultKind
) -> None:
    """The disk fills up, or the process is interrupted or killed, at each file operation."""
    make_bundle(tmp_path / "old", reference=make_reference(1))
    for at in range(200):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "old", folder)
        old = open_bundle(folder)
        gone_wrong = suppress(StorageError, BundleError, KeyboardInterrupt, Killed)
        with injected(kind, at) as faults, gone_wrong:
            WRITERS[writer](folder)
        bundle = read_all(folder)
        if "replace" not in faults.log[:at]:
            assert bundle == old
        if writer in ("add", "repeat"):  # nothing that was there is lost
            assert set(old.manifest.artifacts) <= set(bundle.manifest.artifacts)
        if kind != "kill":
            assert not [name for name in names(folder) if name.startswith(".")]
        WRITERS[writer](folder)  # what is left over does not disturb the next attempt
        read_all(folder)
        if not faults.fired:
            assert at > 8
            return
    pytest.fail("the faults never ended")


def test_a_bundle_that_could_not_be_begun_leaves_nothing(tmp_path: Path) -> None:
    for at in range(16):
        folder = tmp_path / str(at)
        folder.mkdir()
        with injected("disk full", at), pytest.raises(StorageError, match="No space left"):
            make_bundle(folder, {})
        assert names(folder) == set()
        with pytest.raises(BundleError, match="no bundle at"):
            open_bundle(folder)


def test_processes_that_export_at_once_lose_nothing(tmp_path: Path) -> None:
    make_bundle(tmp_path, {})
    script = """
import pathlib, sys
from test_bundle_saving import exported
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.storage import lock
folder = pathlib.Path(sys.argv[1])
for name in sys.argv[2:]:
    with lock(folder, timeout_s=60):
        exported(open_bundle(folder), {name: name.encode()})
"""
    shares = [[ONNX, INT8], ["torchscript-float32", "pt2-float32"], ["c-float32", "ort-int8"]]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), *share],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for share in shares
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    there = {artifact.name for artifact in read_all(tmp_path).manifest.artifacts}
    assert there == {CHECKPOINT, *(name for share in shares for name in share)}
