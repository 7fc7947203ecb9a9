"""Bundles that are damaged, forged, or not signed by whom they should be."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from signers import public_line, ssh_signature

from attack.cases import STRUCK, Case
from attack.damage import damaged, forged, sealed
from attack.ground import BUNDLE, DATA, GOOD, KEY, MAKER, PICTURES, SERIAL, SIGNED, STRANGER, Ground
from mnist_edge.bundle.manifest import MANIFEST, SIGNATURE
from mnist_edge.bundle.storage import pack_arrays, unpack_arrays

_READING = ("predict", "doctor", "verify", "pack", "report")
_READ_FOR_ONE = (MANIFEST, "reference.npz", "onnx-float32.onnx")
_PROGRAMS = ("c-", "torchscript-", "pt2-")


def damaged_bundles(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """One file after the other is damaged, and the manifest knows nothing of it."""
    contents = ground.bundle
    for number in range(count):
        name = list(contents)[number % len(contents)]
        others = [content for other, content in contents.items() if other != name]
        data = damaged(contents[name], others, rng)
        verb = _READING[number // len(contents) % len(_READING)]
        if verb in ("verify", "pack") and name not in _READ_FOR_ONE:
            verb = "report"
        yield Case(
            kind="damaged bundles",
            name=f"{name}, number {number}, {verb}",
            words=GOOD[verb],
            files={f"{BUNDLE}/{name}": data},
        )


# --- every digest is right -----------------------------------------------------------------------


def forged_files(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """A file is damaged, and the manifest vouches for it."""
    contents = ground.bundle
    files = {
        name: file for name, file in ground.artifacts.items() if not name.startswith(_PROGRAMS)
    }
    names = [*files]
    for number in range(count):
        artifact = names[number % len(names)]
        companions = [n for n in contents if n.startswith(f"{artifact}.")]
        name = rng.choice(companions or [files[artifact]])
        others = [content for other, content in contents.items() if other != name]
        data = damaged(contents[name], others, rng, near_ends=bool(number % 3))
        words: tuple[str, ...]
        if artifact.startswith("checkpoint"):
            words = GOOD["verify"]
        elif number // len(names) % 2:
            words = ("verify", "--bundle", BUNDLE, "--artifact", artifact, "--out", "o.json")
        else:
            words = ("doctor", "--bundle", BUNDLE, "--artifact", artifact)
        answers = artifact if files[artifact] == name or companions else "onnx-float32"
        yield Case(
            kind="forged bundles",
            name=f"{name}, number {number}, {words[0]}",
            words=words,
            files={f"{BUNDLE}/{n}": d for n, d in forged(contents, {name: data}).items()},
            answers=(
                *("predict", PICTURES, "--bundle", BUNDLE, "--json"),
                *("--artifact", "onnx-float32" if answers.startswith("checkpoint") else answers),
            ),
        )


_NO_FILE = "0" * 64
_ODD: tuple[object, ...] = (
    *(None, True, -1, 0, 1, 4096, 2**31, 2**63, 10**400, 1e308, -0.5, float("nan"), float("inf")),
    *("", " ", "../x", "/etc/passwd", "a/b", "a\0b", "\x1b[31m", "\u202egnp", "x" * 100_000),
    *([], {}, [[]], [0] * 100_000, {"a": {"a": {"a": 1}}}, "checkpoint.safetensors", _NO_FILE),
)
_BINDING = ("sha256", "size_bytes", "file", "name", "format", "precision", "schema")


def forged_manifests(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """An entry of the manifest is another one, or stands elsewhere, and the seal is right."""
    document = json.loads(ground.bundle[MANIFEST])
    document.pop("sha256", None)
    places = [*_places(document)]
    for number in range(count):
        place = places[number % len(places)] if number % 3 else rng.choice(places)
        changed = copy.deepcopy(document)
        parent: Any = changed
        for step in place[:-1]:
            parent = parent[step]
        value = rng.choice(_ODD)
        if rng.randrange(5) == 0 and isinstance(parent, dict):
            del parent[place[-1]]
        elif rng.randrange(6) == 0 and isinstance(parent, dict):
            parent[f"{place[-1]}"] = parent.get(rng.choice([*parent]))
        else:
            parent[place[-1]] = value
        if changed == document:
            continue
        verb = rng.choice(_READING)
        binding = place[-1] in _BINDING and place[0] in ("artifacts", "schema")
        # What is said of an artifact that is not used is not asked; and a name of no file is that
        # of one left behind, which need not be there.
        named = parent if place[0] == "artifacts" and isinstance(parent, dict) else {}
        unused = named.get("name", "onnx-float32") != "onnx-float32"
        left_behind = place[-1] == "file" and str(named.get("file")) not in ground.bundle
        yield Case(
            kind="forged bundles",
            name=f"{'.'.join(map(str, place))} is {value!r:.40}, {verb}",
            words=GOOD[verb],
            files={f"{BUNDLE}/{MANIFEST}": sealed(changed)},
            may_pass=not binding or (unused and (left_behind or verb != "report")),
        )


def _places(item: object, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path to everything in a document."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(item, dict):
        inner = [*item.items()]
    elif isinstance(item, list):
        inner = [*enumerate(item)]
    for step, value in inner:
        yield (*before, step)
        yield from _places(value, (*before, step))


def odd_manifests(ground: Ground) -> Iterator[Case]:
    """Texts that are no manifest, and JSON that is no document of ours."""
    good = json.loads(ground.bundle[MANIFEST])
    good.pop("sha256", None)
    twice = ground.bundle[MANIFEST].replace(b'"schema": 1', b'"schema": 1, "schema": 1')
    deep = json.dumps(good).replace('"claim": null', '"claim": ' + "[" * 50_000 + "]" * 50_000)
    texts = {
        "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
        "nested 50,000 deep in an entry": deep.encode(),
        "objects 50,000 deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "an entry given twice": twice,
        "a number of a million digits": b'{"schema": ' + b"9" * 1_000_000 + b"}",
        "UTF-16": json.dumps(good).encode("utf-16"),
        "a lone surrogate": b'{"schema": "\\ud800"}',
        "40 MB of blanks": b" " * 40_000_000 + b"{}",
        "40 MB of a text": json.dumps({"a": "x" * 40_000_000}).encode(),
        "a million entries": json.dumps({str(i): 0 for i in range(1_000_000)}).encode(),
        "a million artifacts": sealed({**good, "artifacts": good["artifacts"] * 100_000}),
        "NaN": b"NaN",
        "widths of 4,096": sealed(_with_widths(good, 4096)),
        "widths of a billion": sealed(_with_widths(good, 10**9)),
        "two thousand widths": sealed(_with_widths(good, 8, 2000)),
    }
    for name, text in texts.items():
        for verb in ("predict", "doctor", "verify"):
            yield Case(
                kind="forged bundles",
                name=f"a manifest of {name}, {verb}",
                words=GOOD[verb],
                files={f"{BUNDLE}/{MANIFEST}": text},
                may_pass="widths" in name,  # of what is not run
            )


def _with_widths(document: dict[str, Any], width: int, count: int = 4) -> dict[str, Any]:
    return {**document, "recipe": {**document["recipe"], "widths": [width] * count}}


def odd_references(ground: Ground) -> Iterator[Case]:
    """Array files that lie about what is in them, vouched for by the manifest."""
    good = ground.bundle["reference.npz"]
    for name, data in _arrays(unpack_arrays(good)).items():
        for verb in ("doctor", "verify", "report"):
            yield Case(
                kind="forged bundles",
                name=f"a reference with {name}, {verb}",
                words=(*GOOD[verb], *(DATA[2:] if verb == "verify" else ())),
                files={
                    f"{BUNDLE}/{n}": d
                    for n, d in forged(ground.bundle, {"reference.npz": data}).items()
                },
                may_pass=(name, verb) in _UNSEEN,
            )


# Labels are for `verify` to judge, and a page shows what is in a bundle, right or wrong.
_UNSEEN = {
    *(("labels exchanged", verb) for verb in ("doctor", "report")),
    *(("another array", verb) for verb in ("doctor", "verify", "report")),
    ("other logits", "report"),
}


def _arrays(good: dict[str, Any]) -> dict[str, bytes]:
    images, labels, logits = good["images"], good["labels"], good["logits"]
    first = _entry("images", images)

    def with_images(entry: bytes) -> bytes:
        return _zip({"images.npy": entry, **{n: _entry(n, good[n]) for n in good if n != "images"}})

    return {
        "labels exchanged": pack_arrays({**good, "labels": np.roll(labels, 1)}),
        "other logits": pack_arrays({**good, "logits": -logits}),
        "NaN": pack_arrays({**good, "logits": logits * np.nan}),
        "infinite logits": pack_arrays({**good, "logits": logits + np.inf}),
        "no digits": pack_arrays({n: a[:0] for n, a in good.items()}),
        "fewer labels": pack_arrays({**good, "labels": labels[1:]}),
        "labels of 10": pack_arrays({**good, "labels": labels * 0 + 10}),
        "labels below 0": pack_arrays({**good, "labels": labels * 0 - 1}),
        "wide pictures": pack_arrays({**good, "images": np.zeros((len(images), 28, 29), np.uint8)}),
        "floats for pictures": pack_arrays({**good, "images": images.astype(np.float64)}),
        "complex logits": pack_arrays({**good, "logits": logits.astype(np.complex128)}),
        "another array": pack_arrays({**good, "more": labels}),
        "an array less": pack_arrays({"images": images, "labels": labels}),
        "a shape of 4 GB": with_images(_with_shape(first, (1 << 32,))),
        "a shape of 2^70": with_images(_with_shape(first, (1 << 35, 1 << 35))),
        "a negative shape": with_images(_with_shape(first, (-1, 28, 28))),
        "a thousand dimensions": with_images(_with_shape(first, (1,) * 1000)),
        "objects": with_images(first.replace(b"|u1", b"|O ")),
        "a header of code": with_images(first.replace(b"(", b"__import__('os').system('x')(", 1)),
        "an entry of 2 GB of zeros": _zip({"images.npy": bytes(1 << 26)}, claim=1 << 31),
        "60,000 entries": _zip({f"{i}.npy": b"" for i in range(60_000)}),
        "60 MB of zeros": _zip({"images.npy": bytes(60_000_000)}),
        "a path": _zip({"../../struck": b"x", "/struck": b"y"}),
        "an entry given twice": _zip({"images.npy": first}) + _zip({"images.npy": first}),
        "an encrypted entry": _zip({"images.npy": first}).replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
        ),
        "no archive": b"PK",
    }


def _entry(name: str, array: Any) -> bytes:
    del name
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _with_shape(entry: bytes, shape: tuple[int, ...]) -> bytes:
    """An array file whose header claims another shape."""
    dtype = "|u1"
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    return entry[:8] + struct.pack("<H", len(text)) + text + entry[128:1128]


def _zip(entries: dict[str, bytes], claim: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    data = buffer.getvalue()
    if claim:
        (size,) = map(len, entries.values())
        data = data.replace(struct.pack("<I", size), struct.pack("<I", claim))
    return data


# --- programs that nobody vouches for ------------------------------------------------------------

_CONSTRUCTOR = f"""
#include <stdio.h>
__attribute__((constructor)) static void strike(void)
{{
    FILE *file = fopen("{STRUCK}", "w");
    if (file) fclose(file);
}}
""".encode()


def hostile_programs(ground: Ground) -> Iterator[Case]:
    """Files that run code, which nobody allowed; the manifest vouches for them."""
    for artifact, file in ground.artifacts.items():
        if not artifact.startswith(_PROGRAMS):
            continue
        data = ground.bundle[file]
        data = data + _CONSTRUCTOR if file.endswith(".c") else _striking(data)
        files = {f"{BUNDLE}/{n}": d for n, d in forged(ground.bundle, {file: data}).items()}
        commands = [
            ("doctor", "--bundle", BUNDLE),
            ("doctor", "--bundle", BUNDLE, "--artifact", artifact),
            ("doctor", f"{BUNDLE}/{file}"),
            ("verify", "--bundle", BUNDLE, "--out", "o.json"),
            ("verify", "--bundle", BUNDLE, "--artifact", artifact, "--thorough"),
            ("predict", "one.png", "--bundle", BUNDLE, "--artifact", artifact),
            ("predict", "one.png", "--model", f"{BUNDLE}/{file}"),
            ("bench", "--quick", "--bundle", BUNDLE, "--artifact", artifact),
            ("report", "--bundle", BUNDLE, "--out", "out.html"),
            ("pack", "--bundle", BUNDLE, "--artifact", artifact, "--out", "packed"),
        ]
        for words in commands:
            yield Case(
                kind="forged bundles",
                name=f"{file} with code in it, {' '.join(words[:1])}",
                words=words,
                files=files,
                may_pass=words[0] in ("doctor", "verify", "report", "pack"),
            )


class _Strike:
    """Pickled, it writes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (STRUCK, "w")


def _striking(archive: bytes) -> bytes:
    """An archive of torch every pickle of which writes a file."""
    import pickle

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as given, zipfile.ZipFile(buffer, "w") as taken:
        for entry in given.infolist():
            hostile = entry.filename.endswith((".pkl", ".pt"))
            content = pickle.dumps(_Strike(), 2) if hostile else given.read(entry)
            taken.writestr(entry.filename, content)
    return buffer.getvalue()


# --- a bundle that must be signed -----------------------------------------------------------------

_SIGNED_VERBS = ("predict", "doctor", "verify", "bench", "report")


def signed_bundles(ground: Ground, count: int, rng: random.Random) -> Iterator[Case]:
    """One byte or more of a signed bundle is another; half of the time the manifest vouches."""
    contents = ground.bundle
    signature = (ground.folder / SIGNED / SIGNATURE).read_bytes()
    for number in range(count):
        verb = _SIGNED_VERBS[number % len(_SIGNED_VERBS)]
        environment = {"MNIST_EDGE_KEY": "maker.pub"} if number % 4 == 0 else {}
        words = [*_of_signed(verb), *(() if environment else KEY)]
        name = [*contents, SIGNATURE][number // len(_SIGNED_VERBS) % (len(contents) + 1)]
        good = contents.get(name, signature)
        data = damaged(good, [b"", b"{}", contents[MANIFEST]], rng)
        changed = {name: data}
        if name == SIGNATURE and _holds(data, signature):
            continue
        if number % 2 and name in contents:
            changed = forged(contents, changed) if name != MANIFEST else _reworded(contents, rng)
        yield Case(
            kind="signed bundles",
            name=f"{name}{', vouched for,' if len(changed) > 1 else ''} number {number}, {verb}",
            words=tuple(words),
            files={f"{SIGNED}/{n}": d for n, d in changed.items()},
            environment=environment,
        )
    yield from _wrong_signatures(ground)


def _of_signed(verb: str) -> tuple[str, ...]:
    return tuple(SIGNED if word == BUNDLE else word for word in GOOD[verb])


def _holds(data: bytes, signature: bytes) -> bool:
    """Whether only blanks of the armour differ."""
    return data.split() == signature.split()


def _reworded(contents: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    document = json.loads(contents[MANIFEST])
    document.pop("sha256", None)
    document["training"]["test_accuracy"] = rng.random()
    return {MANIFEST: sealed(document)}


def _wrong_signatures(ground: Ground) -> Iterator[Case]:
    text = ground.bundle[MANIFEST]
    space = f"mnist-edge/{SERIAL}"
    older = f"mnist-edge/{SERIAL - 1}"
    signatures = {
        "of a stranger": ssh_signature(STRANGER, text, namespace=space),
        "of an older serial": ssh_signature(MAKER, text, namespace=older),
        "of another text": ssh_signature(MAKER, text + b" ", namespace=space),
        "of a file": ssh_signature(MAKER, text, namespace="file"),
        "of a serial with zeros": ssh_signature(MAKER, text, namespace="mnist-edge/0007"),
        "of a serial beyond all": ssh_signature(MAKER, text, namespace="mnist-edge/" + "9" * 30),
        "of a signed serial": ssh_signature(MAKER, text, namespace="mnist-edge/+7"),
        "with something reserved": ssh_signature(MAKER, text, namespace=space, reserved=b"x"),
        "of MD5": ssh_signature(MAKER, text, namespace=space, hash_name="md5"),
        "of a security key": ssh_signature(MAKER, text, namespace=space, security_key=True),
        "of another kind": ssh_signature(MAKER, text, namespace=space, kind="ssh-rsa"),
        "that is a key": public_line(MAKER),
        "that is empty": "",
        "of 10 MB": "-" * 10_000_000,
    }
    for name, signature in signatures.items():
        for verb in _SIGNED_VERBS:
            yield Case(
                kind="signed bundles",
                name=f"a signature {name}, {verb}",
                words=(*_of_signed(verb), *KEY),
                files={f"{SIGNED}/{SIGNATURE}": signature.encode()},
            )
    for verb in _SIGNED_VERBS:
        words = _of_signed(verb)
        yield Case(kind="signed bundles", name=f"no signature, {verb}", words=(*GOOD[verb], *KEY))
        yield Case(
            kind="signed bundles",
            name=f"another key, {verb}",
            words=(*words, "--key", "stranger.pub"),
        )
        yield Case(
            kind="signed bundles",
            name=f"an older serial, {verb}",
            words=(*words, "--key", "maker.pub", "--not-before", str(SERIAL + 1)),
        )
