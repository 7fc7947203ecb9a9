"""Signed bundles through every verb: the maker's are taken, anything else is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from factory import make_bundle, make_reference
from PIL import Image
from signers import Signer, needs_ssh_keygen, new_key, public_line, ssh_signature
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge import cli
from mnist_edge.bundle import folder as folders
from mnist_edge.bundle.folder import Reference, Signature, open_bundle, save_bundle
from mnist_edge.bundle.manifest import MANIFEST, SIGNATURE
from mnist_edge.bundle.signing import KEY_VARIABLE, Trust, open_trusted, sign_bundle
from mnist_edge.bundle.storage import LOCK
from mnist_edge.contract import to_images
from mnist_edge.errors import BadInput, BundleError, MissingDependency, Untrusted, UsageError
from mnist_edge.predict import Predictor

pytestmark = pytest.mark.edge

lacks_onnx = find_spec("onnx") is None
lacks_matplotlib = find_spec("matplotlib") is None
MAKER, STRANGER = Signer(b"maker".ljust(32)), Signer(b"stranger".ljust(32))


@dataclass(frozen=True)
class Said:
    """What one command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in this process."""

    def run(*words: str) -> Said:
        code = cli.main(words)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of schema 2: a net of others, and the graph that is made of it."""
    import strangers

    from mnist_edge.foreign.onnx import read_onnx
    from mnist_edge.foreign.take_in import take_in

    path = tmp_path_factory.mktemp("imported") / "bundle"
    net = read_onnx(strangers.mlp(), path.parent)
    take_in(net, path.with_name("net.onnx"), "0" * 64, strangers.drawn(), path)
    assert cli.main(["export", "--bundle", str(path), "--format", "onnx", "--no-verdict"]) == 0
    return path


@pytest.fixture
def bundle(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle signed by MAKER as number 5, beside a picture and the keys.

    Of a net that was trained, with one artifact; or, where a test asks for it, of an imported one.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    Image.fromarray(pixels).save("one.png")
    for name, signer in (("maker", MAKER), ("stranger", STRANGER)):
        (tmp_path / f"{name}.pub").write_text(public_line(signer))
    noise = make_reference()
    logits = to_images(noise.images).reshape(10, -1).astype(np.float64) @ weight_matrix()
    reference = Reference(images=noise.images, labels=logits.argmax(axis=1), logits=logits)
    path = tmp_path / "bundle"
    if getattr(request, "param", "trained") == "imported":
        shutil.copytree(request.getfixturevalue("imported"), path)
    else:
        make_bundle(path, {"onnx-float32": tiny_onnx()}, reference=reference)
    sign(path)
    return path


def sign(path: Path, signer: Signer = MAKER, *, namespace: str = "mnist-edge/5") -> None:
    text = ssh_signature(signer, (path / MANIFEST).read_bytes(), namespace=namespace)
    (path / SIGNATURE).write_text(text)


VERBS = {
    "predict": ["predict", "one.png", "--bundle", "bundle"],
    "predict FILE": ["predict", "one.png", "--model", "bundle/onnx-float32.onnx"],
    "verify": ["verify", "--bundle", "bundle", "--out", "out.json", "--artifact", "onnx-float32"],
    "bench": ["bench", "--quick", "--bundle", "bundle", "--out", "out.json"],
    "doctor": ["doctor", "--bundle", "bundle"],
    "doctor FILE": ["doctor", "bundle/onnx-float32.onnx"],
    "report": ["report", "--bundle", "bundle", "--out", "out.html"],
}


every_verb = pytest.mark.parametrize(
    "verb",
    [
        pytest.param(verb, marks=pytest.mark.skipif(lacks_matplotlib, reason="needs matplotlib"))
        if verb == "report"
        else verb
        for verb in VERBS
    ],
)


of_both_schemas = pytest.mark.parametrize(
    "bundle",
    [
        "trained",
        pytest.param("imported", marks=pytest.mark.skipif(lacks_onnx, reason="needs onnx")),
    ],
    indirect=True,
)


def refused(said: Said) -> str:
    assert (said.code, said.out) == (2, ""), said.err
    assert said.err.splitlines()[-1].startswith("mnist-edge: error: ")
    assert sorted(path.name for path in Path().iterdir()) == [
        "bundle",
        "maker.pub",
        "one.png",
        "stranger.pub",
    ]
    return said.err


@of_both_schemas
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("bench", "report")])
def test_the_makers_bundle_is_taken(
    bundle: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    # Its checkpoint is none, which doctor finds where torch is; but it was not refused.
    taken = {0, 1} if verb == "doctor" else {0}
    assert call(*VERBS[verb], "--key", "maker.pub", "--not-before", "5").code in taken
    monkeypatch.setenv(KEY_VARIABLE, public_line(MAKER))
    assert call(*VERBS[verb]).code in taken


@of_both_schemas
@every_verb
def test_every_verb_refuses_what_the_maker_did_not_sign(
    bundle: Path, call: Callable[..., Said], verb: str
) -> None:
    words = [*VERBS[verb], "--key", "maker.pub"]
    assert "asks for" in refused(call(*VERBS[verb], "--key", "stranger.pub"))
    assert "older than 6" in refused(call(*words, "--not-before", "6"))
    sign(bundle, namespace="file")
    assert "not as a bundle" in refused(call(*words))
    (bundle / SIGNATURE).unlink()
    assert "is not signed" in refused(call(*words))


@of_both_schemas
@every_verb
def test_every_verb_refuses_one_changed_byte_anywhere(
    bundle: Path, call: Callable[..., Said], verb: str
) -> None:
    rng = np.random.default_rng(0)
    kept = {
        "predict FILE": {MANIFEST, SIGNATURE, "onnx-float32.onnx"},
        "doctor FILE": {MANIFEST, SIGNATURE, "onnx-float32.onnx"},
    }.get(verb, {path.name for path in bundle.iterdir()} - {LOCK})
    for name in sorted(kept):
        good = (bundle / name).read_bytes()
        for place in (0, len(good) // 2, int(rng.integers(len(good)))):
            bad = bytearray(good)
            bad[place] ^= 1 << int(rng.integers(8))
            (bundle / name).write_bytes(bad)
            refused(call(*VERBS[verb], "--key", "maker.pub"))
        (bundle / name).write_bytes(good)


@of_both_schemas
@every_verb
def test_with_the_variable_set_every_verb_asks_for_its_key(
    bundle: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "stranger.pub")
    assert KEY_VARIABLE in refused(call(*VERBS[verb]))
    # Another key on the command line does not lift what the machine asks for.
    assert KEY_VARIABLE in refused(call(*VERBS[verb], "--key", "maker.pub"))
    monkeypatch.setenv(KEY_VARIABLE, "")
    assert "it is empty" in refused(call(*VERBS[verb]))
    monkeypatch.setenv(KEY_VARIABLE, "absent.pub")
    assert "cannot read" in refused(call(*VERBS[verb]))


def test_of_several_keys_in_a_file_any_may_have_signed(bundle: Path) -> None:
    lines = f"# the makers\n{public_line(STRANGER)}\n\n{public_line(MAKER)}\n"
    Path("makers.pub").write_text(lines)
    assert open_trusted(bundle, Trust(key="makers.pub")).signature
    Path("makers.pub").write_text(public_line(STRANGER))
    with pytest.raises(Untrusted):
        open_trusted(bundle, Trust(key="makers.pub"))


def test_the_bundle_in_the_package_is_taken_whatever_the_variable_says(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle / SIGNATURE).unlink()
    monkeypatch.setattr(folders, "SHIPPED_BUNDLES", (bundle.resolve(),))
    monkeypatch.setenv(KEY_VARIABLE, "stranger.pub")
    assert open_trusted(bundle).signature is None
    # Who names a key asks for it of any bundle.
    with pytest.raises(Untrusted):
        open_trusted(bundle, Trust(key="maker.pub"))


@of_both_schemas
def test_a_predictor_asks_for_the_key_too(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = bundle / "onnx-float32.onnx"
    for place in (bundle, file):
        Predictor.load(place, key="maker.pub", not_before=5).close()
        Predictor.load(place, key=public_line(MAKER)).close()
        with pytest.raises(Untrusted, match="asks for"):
            Predictor.load(place, key=Path("stranger.pub"))
        with pytest.raises(Untrusted, match="older than 6"):
            Predictor.load(place, key="maker.pub", not_before=6)
    monkeypatch.setenv(KEY_VARIABLE, "stranger.pub")
    with pytest.raises(Untrusted):
        Predictor.load(bundle)
    with pytest.raises(Untrusted):
        Predictor.load(file)


def test_a_file_that_left_its_bundle_is_signed_by_nobody(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone" / "model.onnx"
    alone.parent.mkdir()
    shutil.copy(bundle / "onnx-float32.onnx", alone)
    Predictor.load(alone).close()
    with pytest.raises(Untrusted, match="no signed manifest"):
        Predictor.load(alone, key="maker.pub")
    monkeypatch.setenv(KEY_VARIABLE, "maker.pub")
    with pytest.raises(Untrusted, match="no signed manifest"):
        Predictor.load(alone)
    # Beside a signed manifest, which does not name it, it is a stranger all the same.
    other = bundle / "other.onnx"
    other.write_bytes(tiny_onnx(weight_matrix()[:, ::-1].copy()))
    with pytest.raises(Untrusted, match="no signed manifest"):
        Predictor.load(other)


def test_a_serial_number_needs_a_key(bundle: Path) -> None:
    with pytest.raises(UsageError, match="nobody signed"):
        open_trusted(bundle, Trust(not_before=1))


@pytest.mark.parametrize(
    "namespace",
    [
        "mnist-edge",
        "mnist-edge/",
        "mnist-edge/-1",
        "mnist-edge/05",
        "mnist-edge/٣",
        "mnist-edge/1 ",
    ],
)
def test_a_serial_number_is_written_in_one_way(bundle: Path, namespace: str) -> None:
    sign(bundle, namespace=namespace)
    with pytest.raises(Untrusted, match="not as a bundle"):
        open_trusted(bundle, Trust(key="maker.pub"))


@pytest.mark.parametrize("text", ["", "ssh-ed25519 AAAA", "ssh-rsa AAAA", "# a comment", "\x80"])
def test_what_is_no_public_key_is_an_error_of_usage(bundle: Path, text: str) -> None:
    Path("bad.pub").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="--key names no public key"):
        open_trusted(bundle, Trust(key="bad.pub"))


# --- signing ----------------------------------------------------------------------------------


@needs_ssh_keygen
def test_sign_writes_what_ssh_keygen_and_every_verb_take(
    bundle: Path, call: Callable[..., Said]
) -> None:
    key = new_key(Path())
    said = call("sign", "--bundle", "bundle", "--key", str(key), "--serial", "3")
    assert (said.code, said.out) == (0, f"bundle/{SIGNATURE}\n")
    assert f"verify --bundle bundle --key {key}.pub" in said.err
    Path("allowed").write_text(f"maker {key.with_suffix('.pub').read_text()}")
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "maker"]
    command += ["-n", "mnist-edge/3", "-s", str(bundle / SIGNATURE)]
    judged = subprocess.run(command, input=(bundle / MANIFEST).read_bytes(), capture_output=True)
    assert judged.returncode == 0, judged.stderr
    words = ["verify", "--bundle", "bundle", "--artifact", "onnx-float32", "--out", "out.json"]
    said = call(*words, "--key", f"{key}.pub", "--not-before", "3")
    assert said.code == 0
    assert "serial 3" in said.err
    assert call(*words, "--key", f"{key}.pub", "--not-before", "4").code == 2


@needs_ssh_keygen
def test_an_agent_signs_for_the_public_half(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(Path())
    agent = subprocess.run(["ssh-agent", "-c"], capture_output=True, check=True, text=True)
    words = agent.stdout.replace(";", " ").split()
    environment = {words[i + 1]: words[i + 2] for i in range(len(words)) if words[i] == "setenv"}
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", environment["SSH_AUTH_SOCK"])
        subprocess.run(["ssh-add", "-q", key], check=True)
        key.unlink()
        public = Path(f"{key}.pub")
        made = sign_bundle(open_bundle(bundle), public, serial=2)
        assert open_trusted(bundle, Trust(key=public)).signature == made
    finally:
        subprocess.run(["kill", environment["SSH_AGENT_PID"]], check=True)


@needs_ssh_keygen
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_of_another_kind_is_refused_and_the_old_signature_stays(
    bundle: Path, kind: str
) -> None:
    before = (bundle / SIGNATURE).read_bytes()
    with pytest.raises(BadInput, match="not ssh-ed25519; make an Ed25519 key"):
        sign_bundle(open_bundle(bundle), new_key(Path(), kind=kind))
    with pytest.raises(BadInput, match="ssh-keygen cannot sign"):
        sign_bundle(open_bundle(bundle), Path("absent"))
    assert (bundle / SIGNATURE).read_bytes() == before


def test_without_ssh_keygen_it_says_what_to_install(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependency, match="install OpenSSH"):
        sign_bundle(open_bundle(bundle), Path("key"))


def test_a_damaged_bundle_is_not_signed(bundle: Path, call: Callable[..., Said]) -> None:
    (bundle / "onnx-float32.onnx").write_bytes(b"other")
    assert "onnx-float32.onnx has 5 bytes" in refused(
        call("sign", "--bundle", "bundle", "--key", "maker.pub")
    )


def test_the_bundle_of_the_package_is_not_signed_by_its_users(
    call: Callable[..., Said], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "SHIPPED_BUNDLES", (bundle.resolve(),))
    said = call("sign", "--bundle", "bundle", "--key", "maker.pub")
    assert "stays as it is" in refused(said)


@needs_ssh_keygen
def test_as_json_it_names_file_key_and_number(bundle: Path, call: Callable[..., Said]) -> None:
    key = new_key(Path())
    document = json.loads(
        call("sign", "--bundle", "bundle", "--key", str(key), "--json", "--serial", "7").out
    )
    assert document["file"] == f"bundle/{SIGNATURE}"
    signed = open_trusted(bundle, Trust(key=f"{key}.pub")).signature
    assert signed == Signature(**document["signature"])
    assert signed.serial == 7


# --- changes ----------------------------------------------------------------------------------


def test_what_changes_a_manifest_removes_its_signature(bundle: Path) -> None:
    opened = open_bundle(bundle)
    save_bundle(opened, {})
    assert (bundle / SIGNATURE).exists(), "the same manifest is still signed"
    save_bundle(replace(opened, manifest=replace(opened.manifest, versions={"numpy": "1"})), {})
    assert not (bundle / SIGNATURE).exists()


def test_no_file_of_a_bundle_may_be_named_as_its_signature(bundle: Path) -> None:
    document = json.loads((bundle / MANIFEST).read_text())
    del document["sha256"]
    document["extras"][0]["file"] = "Manifest.json.SIG"
    (bundle / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BundleError, match="not a bare file name"):
        open_bundle(bundle)


def test_export_tells_that_the_signature_is_gone(
    bundle: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnist_edge.formats import export

    def exported(opened: folders.Bundle, *_: object, **__: object) -> object:
        changed = replace(opened, manifest=replace(opened.manifest, versions={"numpy": "1"}))
        save_bundle(changed, {})
        return changed, ()

    monkeypatch.setattr(export, "export_verified", exported)
    said = call("export", "--bundle", "bundle", "--quiet")
    assert said.code == 0
    *left_out, last = said.err.splitlines()
    assert last == "warning: bundle has changed, so its signature is gone: sign it again"
    assert not left_out or "torch" in left_out[0]


def test_the_variable_does_not_concern_who_makes_bundles(
    bundle: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnist_edge.formats import export

    monkeypatch.setenv(KEY_VARIABLE, "stranger.pub")
    monkeypatch.setattr(export, "export_verified", lambda opened, *_, **__: (opened, ()))
    assert call("export", "--bundle", "bundle", "--quiet").code == 0
    assert os.environ[KEY_VARIABLE] == "stranger.pub"
