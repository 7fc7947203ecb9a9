"""C files: the compiler, the cache of what it built, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnist_edge.contract import Images
from mnist_edge.errors import BadInput, DeviceUnavailable, MissingDependency, StorageError
from mnist_edge.formats.c import compiler
from mnist_edge.formats.c.compiler import build_library, find_compiler
from mnist_edge.formats.c.run import CBackend
from mnist_edge.formats.format import Loading

pytestmark = [
    pytest.mark.edge,
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]

SOURCE = b"""
#define TINY_PICTURE 784
#define TINY_CLASSES 10
#define TINY_WORKSPACE 16

void tiny_logits(const float *pictures, int count, float *logits, float *workspace);

void tiny_logits(const float *pictures, int count, float *logits, float *workspace)
{
    for (int i = 0; i < 10 * count; i++) {
        workspace[i % 10] = pictures[i / 10 * 784 + i % 10];
        logits[i] = 2.0f * workspace[i % 10];
    }
}
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of built libraries, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "mnist-edge" / "c"


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32)


def test_it_runs_what_the_file_says(images: Images) -> None:
    backend = CBackend(SOURCE)
    np.testing.assert_array_equal(backend.run(images), 2 * images[:, 0, 0, :10])
    assert backend.run(images[:0]).shape == (0, 10)
    assert backend.name in {"gcc", "clang"}
    assert re.match(r"\d+\.\d+", backend.version)


def test_a_read_only_picture_is_fine(images: Images) -> None:
    images.flags.writeable = False
    np.testing.assert_array_equal(CBackend(SOURCE).run(images), 2 * images[:, 0, 0, :10])


def test_closed_it_does_not_run(images: Images) -> None:
    backend = CBackend(SOURCE)
    backend.close()
    backend.close()
    with pytest.raises(ValueError, match="closed"):
        backend.run(images)


def test_a_file_is_built_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    CBackend(SOURCE)
    (library,) = cache.glob("*.so")
    monkeypatch.setattr(compiler, "compile_library", None)
    CBackend(SOURCE)
    assert sorted(cache.iterdir()) == sorted([library, library.with_suffix(".sha256")])


def spoilt(library: Path, how: str) -> None:
    """As a full disk, a bad one, or somebody else leave it."""
    good = library.read_bytes()
    match how:
        case "truncated":
            library.write_bytes(good[: len(good) // 2])
        case "empty":
            library.write_bytes(b"")
        case "one flipped bit":
            library.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        case "another program":
            library.write_bytes(good.replace(b"tiny_logits", b"tidy_logits"))
        case "without its digest":
            library.with_suffix(".sha256").unlink()
        case "writable by others":
            library.chmod(0o666)
        case "gone":
            library.unlink()


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "empty",
        "one flipped bit",
        "another program",
        "without its digest",
        "writable by others",
        "gone",
    ],
)
def test_a_library_that_is_not_as_it_was_built_is_built_again(
    cache: Path, images: Images, how: str
) -> None:
    known = find_compiler()
    library = build_library(SOURCE, known)
    whole = library.read_bytes()
    spoilt(library, how)
    assert build_library(SOURCE, known) == library
    assert library.read_bytes() == whole
    assert library.stat().st_mode & 0o077 == 0
    np.testing.assert_array_equal(CBackend(SOURCE).run(images), 2 * images[:, 0, 0, :10])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_cache_that_others_may_write_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    with pytest.raises(StorageError, match=r"not yours alone.*chmod go-w"):
        CBackend(SOURCE)
    assert list(cache.iterdir()) == []


def test_a_kill_between_library_and_digest_leaves_what_is_built_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compiler, "atomic_write", killed)
        with pytest.raises(KeyboardInterrupt):
            CBackend(SOURCE)
    assert [path.suffix for path in cache.iterdir()] == [".so"]
    CBackend(SOURCE)
    assert len(list(cache.iterdir())) == 2


def test_another_file_compiler_or_processor_gets_another_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = find_compiler()
    paths = {
        build_library(SOURCE, known),
        build_library(SOURCE + b"\n", known),
        build_library(SOURCE, replace(known, macros="#define __AVX1024F__ 1")),
    }
    monkeypatch.setattr(compiler, "FLAGS", ("-O1", "-fPIC", "-shared"))
    paths.add(build_library(SOURCE, known))
    assert len(paths) == 4


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_NAMES", ("no-such-compiler",))
    with pytest.raises(MissingDependency, match="no C compiler is installed; install gcc or clang"):
        CBackend(SOURCE)


def test_the_users_compiler_is_taken_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc -DMINE")
    assert find_compiler().command == ("cc", "-DMINE")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(MissingDependency, match="CC is 'no-such-compiler'"):
        find_compiler()
    monkeypatch.setenv("CC", "cc 'open")
    with pytest.raises(MissingDependency, match="No closing quotation"):
        find_compiler()
    monkeypatch.setenv("CC", "false")
    with pytest.raises(MissingDependency, match=r"does not answer: exit code 1 \(false -O3"):
        find_compiler()


def test_a_compiler_that_fails_is_quoted_with_its_command_line(cache: Path) -> None:
    with pytest.raises(BadInput, match=r"error: #error broken.*\(cc -O3 .*model\.c\)"):
        CBackend(SOURCE + b"#error broken\n")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="set XDG_CACHE_HOME"):
        CBackend(SOURCE)


def test_there_is_no_gpu_in_a_c_file() -> None:
    with pytest.raises(DeviceUnavailable, match="choose --device cpu"):
        CBackend(SOURCE, Loading(device="cuda"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "not a C file of mnist-edge"),
        (b"\x89PNG\r\n\x1a\n\x00", "not a C file of mnist-edge"),
        (b"int main(void) { return 0; }", "not a C file of mnist-edge"),
        (SOURCE.replace(b"784", b"1024"), "maps 1024 numbers to 10, expected 784 to 10"),
        (SOURCE.replace(b"{\n    for", b";\n#if 0\n{ for") + b"#endif\n", "cannot be loaded"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(source: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        CBackend(source)


def test_answers_that_are_no_numbers_are_refused(images: Images) -> None:
    backend = CBackend(SOURCE.replace(b"2.0f *", b"1e38f * 1e38f *"))
    with pytest.raises(BadInput, match="the C file gives NaN or infinity"):
        backend.run(images)
