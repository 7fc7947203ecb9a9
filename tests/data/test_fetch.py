"""Fetching, from a server of our own with a certificate of our own: no test leaves the machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_edge.bundle.storage import cache_dir
from mnist_edge.data import fetch
from mnist_edge.data import mnist as data
from mnist_edge.data.mnist import DATA_VARIABLE, MNIST_FILES, TRAIN_IMAGES
from mnist_edge.data.named import NAMED, Published, folder_of
from mnist_edge.data.obtain import obtain_data
from mnist_edge.errors import BadInput, DataUnavailable, StorageError
from mnist_edge.recipes.terms import NamedData

pytestmark = pytest.mark.edge

Raw = dict[str, bytes]
NAMES = {f"{name}.gz" for name in MNIST_FILES}


@dataclass
class Server:
    """A server on this machine, whose first path element says how it misbehaves."""

    url: str
    files: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def mirror(self, behaviour: str) -> str:
        return f"{self.url}/{behaviour}/"


class Handler(BaseHTTPRequestHandler):
    server_of: Server

    def __init__(self, *args: object, server_of: Server) -> None:
        self.server_of = server_of
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        server = self.server_of
        _, behaviour, name = self.path.split("/")
        server.asked.append(self.path)
        body = server.files[name]
        if behaviour == "missing":
            return self.send_error(404)
        if behaviour in ("moved", "downgrade"):
            scheme = "http" if behaviour == "downgrade" else "https"
            self.send_response(302)
            self.send_header("Location", f"{server.url}/good/{name}".replace("https", scheme))
            return self.end_headers()
        if behaviour == "silent":
            server.over.wait()
            return None
        sent = {
            "wrong": gzip.compress(bytes(2000)),
            "page": b"<html>log in to this network</html>",
            "truncated": body[: len(body) // 2],
            "cut": body[: len(body) // 2],
            "endless": bytes(1_000_000),
        }.get(behaviour, body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body if behaviour == "cut" else sent)))
        self.end_headers()
        if behaviour == "trickle":
            for byte in body:
                self.wfile.write(bytes([byte]))
                if server.over.wait(0.02):
                    break
        else:
            self.wfile.write(sent)
        return None

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh certificate for localhost and its key in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def server(certificate: Path, tiny_mnist: Raw, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    files = {f"{name}.gz": gzip.compress(raw) for name, raw in tiny_mnist.items()}
    server = Server("", files)
    listener = ThreadingHTTPServer(("localhost", 0), partial(Handler, server_of=server))
    listener.daemon_threads = True
    listener.handle_error = lambda *args: None  # type: ignore[method-assign]
    server.url = f"https://localhost:{listener.server_port}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # The handshake belongs to the handler's thread, or one bad client would stop all others.
    listener.socket = context.wrap_socket(
        listener.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    listener.shutdown()
    thread.join()
    listener.server_close()


def use(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    monkeypatch.setattr(fetch, "MIRRORS", mirrors)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_fetched_files_are_read_as_mnist(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_mnist: Raw
) -> None:
    use(monkeypatch, server.mirror("good"))
    folder = fetch.fetch_mnist(tmp_path / "new" / "mnist", timeout_s=5)
    assert names_in(folder) == NAMES
    digits = data.read_mnist(folder)
    assert digits.train_images.tobytes() == tiny_mnist[TRAIN_IMAGES][16:]


def test_a_redirect_to_https_is_followed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server.mirror("moved"))
    assert names_in(fetch.fetch_mnist(tmp_path, timeout_s=5)) == NAMES


BAD = {
    "missing": "Not Found",
    "downgrade": "redirects to plain HTTP",
    "silent": "timed out",
    "trickle": "not finished after",
    "wrong": "not an IDX file",
    "page": "damaged",
    "truncated": "damaged",
    "cut": "damaged",
    "endless": "far too long",
}


@pytest.mark.parametrize(("behaviour", "reason"), BAD.items())
def test_a_bad_mirror_leaves_nothing_and_says_why(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: str,
    reason: str,
) -> None:
    if behaviour == "trickle":
        monkeypatch.setattr(fetch, "_FILE_LIMIT_S", 0.2)
    use(monkeypatch, server.mirror(behaviour))
    with pytest.raises(DataUnavailable, match=reason) as caught:
        fetch.fetch_mnist(tmp_path, timeout_s=0.5 if behaviour == "silent" else 5)
    assert "--data rendered" in caught.value.fix
    assert str(tmp_path) in caught.value.fix
    assert names_in(tmp_path) == set()
    assert not any(path.startswith("/good/") for path in server.asked)


@pytest.mark.parametrize("behaviour", ["missing", "wrong", "truncated", "silent"])
def test_the_next_mirror_serves_where_the_first_fails(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    use(monkeypatch, server.mirror(behaviour), server.mirror("good"))
    fetch.fetch_mnist(tmp_path, timeout_s=1)
    assert names_in(tmp_path) == NAMES
    data.read_mnist(tmp_path)


def test_without_a_network_rendered_digits_are_offered(
    tiny_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "https://localhost:1/", "https://localhost:2/")
    with pytest.raises(DataUnavailable, match=r"localhost:1/.*localhost:2/") as caught:
        fetch.fetch_mnist(tmp_path, timeout_s=1)
    assert "--data rendered" in caught.value.fix


def test_a_certificate_that_nobody_signed_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    use(monkeypatch, server.mirror("good"))
    with pytest.raises(DataUnavailable, match="certificate"):
        fetch.fetch_mnist(tmp_path, timeout_s=5)
    assert server.asked == []


def test_good_files_are_not_fetched_again_and_damaged_ones_are(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server.mirror("good"))
    fetch.fetch_mnist(tmp_path, timeout_s=5)
    server.asked.clear()
    fetch.fetch_mnist(tmp_path, timeout_s=5)
    assert server.asked == []
    damaged = tmp_path / f"{TRAIN_IMAGES}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    fetch.fetch_mnist(tmp_path, timeout_s=5)
    assert server.asked == [f"/good/{damaged.name}"]
    data.read_mnist(tmp_path)


def test_progress_ends_at_the_total(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    use(monkeypatch, server.mirror("good"))
    fetch.fetch_mnist(
        tmp_path,
        timeout_s=5,
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    total = sum(spec.size_bytes for spec in MNIST_FILES.values())
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


def test_two_fetches_at_once_do_not_harm_each_other(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server.mirror("good"))
    start = threading.Barrier(4)
    failures: list[Exception] = []

    def run() -> None:
        start.wait()
        try:
            fetch.fetch_mnist(tmp_path, timeout_s=5)
            data.read_mnist(tmp_path)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names_in(tmp_path) == NAMES


KILLED = """
import os, sys, time
from pathlib import Path
from typing import Any
from mnist_edge.data import fetch, mnist as data

name, spec, body = sys.argv[1], sys.argv[2], sys.argv[3]
data.MNIST_FILES = fetch.MNIST_FILES = {name: eval(spec, vars(data))}
fetch.MIRRORS = ("https://localhost/",)
fetch._copy = lambda url, to, *rest: to.write(Path(body).read_bytes())

def hang(handle):
    print("written, not yet moved", flush=True)
    time.sleep(60)

os.fsync = hang
fetch.fetch_mnist(Path(sys.argv[4]), timeout_s=5)
"""


def test_a_fetch_killed_in_the_middle_leaves_nothing_that_is_taken_for_good(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, body = tmp_path / "mnist", tmp_path / "body"
    body.write_bytes(server.files[f"{TRAIN_IMAGES}.gz"])
    arguments = [TRAIN_IMAGES, repr(MNIST_FILES[TRAIN_IMAGES]), str(body), str(folder)]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written, not yet moved\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(names_in(folder)) == 1  # the temporary file
    assert names_in(folder) & NAMES == set()
    use(monkeypatch, server.mirror("good"))
    fetch.fetch_mnist(folder, timeout_s=5)
    assert data.find_mnist(tmp_path) == folder
    data.read_mnist(folder)


def test_a_folder_that_cannot_be_made_is_a_storage_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server.mirror("good"))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        fetch.fetch_mnist(tmp_path / "file" / "mnist", timeout_s=5)


def test_the_mirrors_are_those_of_torchvision_that_speak_https() -> None:
    torchvision = pytest.importorskip("torchvision.datasets")
    published = [mirror for mirror in torchvision.MNIST.mirrors if mirror.startswith("https://")]
    assert list(fetch.MIRRORS) == published
    assert {name for name, _ in torchvision.MNIST.resources} == NAMES


def test_mnist_is_fetched_without_torch_or_torchvision(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server.mirror("good"))
    for name in ("torch", "torchvision"):
        monkeypatch.setitem(sys.modules, name, None)
    fetch.fetch_mnist(tmp_path, timeout_s=5)
    assert names_in(tmp_path) == NAMES


# --- Sets that have a name, from a mirror of them -----------------------------------------------


def idx(array: NDArray[np.generic], kind: int = 8) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def published(name: NamedData) -> dict[str, bytes]:
    """The files of a set as they would be published: four pictures to train on, two to test."""
    known = NAMED[name]
    rng = np.random.default_rng(0)
    parts = []
    for count in (4, 2):
        parts.append(gzip.compress(idx(rng.integers(0, 256, (count, 28, 28), np.uint8))))
        labels = np.arange(count) % 2 + known.first
        if name == "qmnist":
            table = np.stack([labels, *[labels + 7] * 7], axis=1).astype(">i4")
            parts.append(gzip.compress(idx(table, 12)))
        else:
            parts.append(gzip.compress(idx(labels.astype(np.uint8))))
    if not known.members:
        return {file.name: part for file, part in zip(known.files, parts, strict=True)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for member, part in zip(known.members, parts, strict=True):
            packed.writestr(member, part)
    return {known.files[0].name: archive.getvalue()}


def mirrored(
    name: NamedData, server: Server, monkeypatch: pytest.MonkeyPatch, behaviour: str = "good"
) -> dict[str, bytes]:
    """Have the set on our server, with the digests of what lies there; MD5 where it is one."""
    files = published(name)
    server.files |= files
    known = NAMED[name]
    moved = []
    for file in known.files:
        kind = hashlib.sha256 if len(file.digest) == 64 else hashlib.md5
        url = f"{server.mirror(behaviour)}{file.name}"
        moved.append(Published(url, kind(files[file.name]).hexdigest(), 10_000))
    monkeypatch.setitem(NAMED, name, replace(known, files=tuple(moved)))
    return files


@pytest.mark.parametrize("name", list(NAMED))
def test_a_named_set_is_fetched_checked_and_read(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: NamedData
) -> None:
    files = mirrored(name, server, monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    found = obtain_data(name, None)
    assert found.name == name
    assert found.classes == NAMED[name].classes
    assert found.preprocessing == NAMED[name].preprocessing
    assert found.train_labels.tolist() == [0, 1, 0, 1]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    upright = pixels.transpose(0, 2, 1) if name.startswith("emnist") else pixels
    np.testing.assert_array_equal(found.train_images, upright)
    server.asked.clear()
    assert obtain_data(name, None).sha256 == found.sha256
    assert server.asked == []
    assert names_in(cache_dir() / folder_of(name)) == set(files)


@pytest.mark.parametrize("behaviour", ["missing", "downgrade", "wrong", "truncated", "endless"])
def test_a_bad_mirror_of_a_named_set_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    mirrored("fashion", server, monkeypatch, behaviour)
    with pytest.raises(DataUnavailable, match="Fashion-MNIST could not be fetched") as caught:
        fetch.fetch_named("fashion", tmp_path, timeout_s=5)
    assert str(tmp_path) in caught.value.fix
    assert names_in(tmp_path) == set()


def test_a_file_of_another_set_is_not_taken_for_a_named_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, raw in (published("kmnist") | published("fashion")).items():
        (tmp_path / name).write_bytes(raw + b" ")
    with pytest.raises(BadInput, match="another data set than Fashion-MNIST"):
        obtain_data("fashion", tmp_path)
    with pytest.raises(DataUnavailable, match="EMNIST Letters is not in"):
        obtain_data("emnist-letters", tmp_path)


def test_the_addresses_and_digests_are_torchvisions() -> None:
    sets = pytest.importorskip("torchvision.datasets")
    assert NAMED["emnist-letters"].files[0].url == sets.EMNIST.url
    assert [(f.url, f.digest) for f in NAMED["qmnist"].files] == [
        *sets.QMNIST.resources["train"],
        *sets.QMNIST.resources["test"],
    ]
    alike: dict[NamedData, Any] = {"fashion": sets.FashionMNIST, "kmnist": sets.KMNIST}
    for name, theirs in alike.items():
        assert [file.name for file in NAMED[name].files] == [file for file, _ in theirs.resources]
    (kmnist,) = sets.KMNIST.mirrors
    assert NAMED["kmnist"].files[0].url.startswith(kmnist.replace("http:", "https:"))
    assert NAMED["emnist-balanced"].classes == tuple(sets.EMNIST.classes_split_dict["balanced"])
    assert all(file.url.startswith("https://") for known in NAMED.values() for file in known.files)
