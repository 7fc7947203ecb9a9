"""Programs in a bundle of a stranger do not run; one's own, and those vouched for, do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factory import make_artifact, make_bundle, make_reference
from PIL import Image
from signers import Signer, public_line, ssh_signature
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge import cli
from mnist_edge.bundle import own
from mnist_edge.bundle.folder import Bundle, Reference, open_bundle, save_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST, SIGNATURE
from mnist_edge.bundle.own import LIST, remember, was_made_here
from mnist_edge.bundle.signing import KEY_VARIABLE
from mnist_edge.contract import to_images
from mnist_edge.errors import Untrusted
from mnist_edge.formats import FORMATS, load_artifact
from mnist_edge.formats.consent import may_run
from mnist_edge.predict import Predictor

pytestmark = [
    pytest.mark.edge,
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]

# A file of ours but for a function that runs as soon as the library is loaded.
HOSTILE = b"""
#include <stdio.h>
#define TINY_PICTURE 784
#define TINY_CLASSES 10
#define TINY_WORKSPACE 16

__attribute__((constructor)) static void strike(void)
{
    FILE *file = fopen("struck", "w");
    if (file) fclose(file);
}

void tiny_logits(const float *pictures, int count, float *logits, float *workspace);

void tiny_logits(const float *pictures, int count, float *logits, float *workspace)
{
    (void)workspace;
    for (int i = 0; i < 10 * count; i++)
        logits[i] = pictures[i / 10 * 784 + i % 10];
}
"""
C, ONNX = "c-float32", "onnx-float32"
MAKER = Signer(b"maker".ljust(32))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with a picture, and folders of this user that hold nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setattr(own, "_made_now", set())
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    Image.fromarray(pixels).save("one.png")
    return tmp_path


def strangers(**artifacts: bytes) -> Bundle:
    """A bundle that somebody else made, every digest of which is right."""
    noise = make_reference()
    logits = to_images(noise.images).reshape(10, -1).astype(np.float64) @ weight_matrix()
    reference = Reference(images=noise.images, labels=logits.argmax(axis=1), logits=logits)
    files = {name.replace("_", "-"): data for name, data in artifacts.items()}
    return make_bundle(Path("bundle"), files, reference=reference, own=False)


def mixed() -> Bundle:
    return strangers(c_float32=HOSTILE, onnx_float32=tiny_onnx())


def run(*words: str) -> int:
    return cli.main([*words, "--quiet"])


def struck() -> bool:
    return Path("struck").exists()


OVER_A_BUNDLE = {
    "verify": ["verify", "--bundle", "bundle", "--out", "out.json"],
    "bench": ["bench", "--quick", "--bundle", "bundle", "--out", "out.json"],
    "doctor": ["doctor", "--bundle", "bundle"],
}
NAMED = {verb: [*words, "--artifact", C] for verb, words in OVER_A_BUNDLE.items()} | {
    "predict": ["predict", "one.png", "--bundle", "bundle", "--artifact", C]
}


@pytest.mark.parametrize("verb", ["verify", "doctor"])
def test_a_run_over_a_strangers_bundle_leaves_its_programs_out(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed()
    run(*OVER_A_BUNDLE[verb])
    out = capsys.readouterr().out
    assert not struck()
    (line, *_) = [line for line in out.splitlines() if line.startswith(C)]
    assert "not checked" in line
    assert "runs code" in out
    assert f"{ONNX} " in out


@pytest.mark.parametrize("verb", NAMED)
def test_a_program_that_is_named_is_refused_with_the_ways_to_trust_it(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed()
    assert run(*NAMED[verb]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--trust" in err
    assert "mnist-edge sign" in err
    assert err.count("\n") == 1
    assert not struck()


@pytest.mark.parametrize("verb", ["verify", "bench", "doctor"])
def test_where_nothing_else_was_checked_it_is_an_error(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = mixed()
    for name in (ONNX, CHECKPOINT):  # left behind, as on a device
        (bundle.path / bundle.artifact(name).file).unlink()
    words = [*OVER_A_BUNDLE[verb], *(["--artifact", C] if verb == "bench" else [])]
    assert run(*words) == 2
    assert not struck()
    out, err = capsys.readouterr()
    assert out == ""
    assert "runs code" in err


@pytest.mark.parametrize("verb", ["predict", "doctor"])
def test_trust_runs_it(verb: str) -> None:
    mixed()
    run(*NAMED[verb], "--trust")
    assert struck()


def test_a_signature_by_a_named_key_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = mixed()
    Path("maker.pub").write_text(public_line(MAKER))
    text = ssh_signature(MAKER, (bundle.path / MANIFEST).read_bytes())
    (bundle.path / SIGNATURE).write_text(text)
    assert run(*NAMED["predict"]) == 2, "a signature that nobody asked for vouches for nothing"
    assert not struck()
    assert run(*NAMED["predict"], "--key", "maker.pub") == 0
    assert struck()
    monkeypatch.setenv(KEY_VARIABLE, "maker.pub")
    assert run(*NAMED["predict"]) == 0


def test_a_predictor_and_the_seam_ask_as_well() -> None:
    bundle = mixed()
    artifact = bundle.artifact(C)
    with pytest.raises(Untrusted, match="runs code"):
        load_artifact(bundle, artifact)
    with pytest.raises(Untrusted, match="runs code"):
        Predictor.load(bundle.path, artifact=C)
    assert not struck()
    load_artifact(replace(bundle, trusted=True), artifact).close()
    Predictor.load(bundle.path, artifact=C, trust=True).close()
    assert struck()


def test_what_one_made_oneself_needs_no_consent(place: Path) -> None:
    bundle = mixed()
    remember([bundle.artifact(C).sha256])
    assert run(*NAMED["predict"]) == 0
    kept = place / "data" / "mnist-edge" / LIST
    assert kept.read_text() == f"{bundle.artifact(C).sha256}\n"
    assert kept.stat().st_mode & 0o077 == 0
    remember([bundle.artifact(C).sha256])
    assert len(kept.read_text().splitlines()) == 1


def test_another_process_reads_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(["a" * 64])
    monkeypatch.setattr(own, "_made_now", set())
    assert was_made_here("a" * 64)
    assert not was_made_here("b" * 64)
    assert not was_made_here("a" * 63)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_list_that_others_may_write_says_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(["a" * 64])
    monkeypatch.setattr(own, "_made_now", set())
    (place / "data" / "mnist-edge" / LIST).chmod(0o666)
    assert not was_made_here("a" * 64)


def test_without_a_folder_of_ones_own_the_process_still_knows_what_it_made(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "file"))
    remember(["a" * 64])
    assert was_made_here("a" * 64)
    monkeypatch.setattr(own, "_made_now", set())
    assert not was_made_here("a" * 64)


def test_formats_that_are_no_programs_need_no_consent() -> None:
    bundle = mixed()
    assert may_run(bundle, bundle.artifact(ONNX), FORMATS["onnx"])
    assert may_run(bundle, bundle.artifact(CHECKPOINT), FORMATS["checkpoint"])
    assert {name for name, known in FORMATS.items() if known.runs_code} == {
        "c",
        "pt2",
        "torchscript",
    }


# --- C that our own writer makes again ----------------------------------------------------------


def rewritten(change: Callable[[bytes], bytes] = bytes) -> Bundle:
    """A stranger's bundle whose C file is what our writer makes of its ONNX file, or nearly so."""
    from mnist_edge.formats.format import Written
    from mnist_edge.formats.source import onnx_source

    bundle = strangers(onnx_float32=tiny_onnx())
    written = FORMATS["c"].write(onnx_source(bundle, 18), "float32")
    assert isinstance(written, Written)
    data = change(written.data)
    artifact = make_artifact(C, data, bundle.artifact(CHECKPOINT).sha256, file="c-float32.c")
    bundle = bundle.with_artifacts((replace(artifact, opset=18),))
    header = {"c-float32.h": written.companions[".h"]}
    from mnist_edge.bundle.manifest import record

    named = tuple(record(file, content) for file, content in header.items())
    (artifact,) = (a for a in bundle.manifest.artifacts if a.name == C)
    bundle = bundle.with_artifacts((replace(artifact, companions=named),))
    save_bundle(bundle, {"c-float32.c": data} | header)
    return open_bundle(bundle.path)


def test_c_that_is_made_again_from_the_onnx_file_needs_no_consent() -> None:
    bundle = rewritten()
    assert may_run(bundle, bundle.artifact(C), FORMATS["c"])
    assert run(*NAMED["predict"]) == 0


def test_c_that_differs_by_one_space_from_what_is_made_again_needs_it() -> None:
    bundle = rewritten(lambda data: data + b" ")
    assert not may_run(bundle, bundle.artifact(C), FORMATS["c"])
    assert run(*NAMED["predict"]) == 2
