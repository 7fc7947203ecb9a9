from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from factory import names
from faults import FAULT_KINDS, FaultKind, Killed, injected

import mnist_edge
from mnist_edge.bundle.storage import LOCK, atomic_write, atomic_write_all, lock, scratch_folder
from mnist_edge.errors import BundleError, StorageError

pytestmark = pytest.mark.edge


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == {"file.bin"}


def test_an_empty_file_is_written_and_an_old_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    atomic_write(path, b"a long old content")
    atomic_write(path, b"")
    assert path.read_bytes() == b""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_new_file_has_the_permissions_that_open_would_give(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    atomic_write(tmp_path / "atomic", b"x")
    assert stat.S_IMODE((tmp_path / "atomic").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_of_a_path_that_stands_twice_the_last_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    atomic_write_all([(path, b"first"), (tmp_path / "other", b"x"), (path, b"last")])
    assert path.read_bytes() == b"last"
    assert names(tmp_path) == {"file.bin", "other"}


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_fault_anywhere_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, kind: FaultKind
) -> None:
    for at in range(100):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "file.bin"
        path.write_bytes(b"old content")
        failed = False
        with injected(kind, at) as faults:
            try:
                atomic_write(path, b"new content")
            except (StorageError, KeyboardInterrupt, Killed):
                failed = True
        moved = "replace" in faults.log[:at]
        assert path.read_bytes() == (b"new content" if moved else b"old content")
        assert failed or moved
        if kind != "kill":
            assert names(folder) == {"file.bin"}
        if not faults.fired:
            assert at > 4
            return
    pytest.fail("the faults never ended")


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_nothing_is_moved_before_everything_is_written(tmp_path: Path, kind: FaultKind) -> None:
    files = [tmp_path / name for name in "abc"]
    for path in files:
        path.write_bytes(b"old")
    for at in range(100):
        gone_wrong = suppress(StorageError, KeyboardInterrupt, Killed)
        with injected(kind, at) as faults, gone_wrong:
            atomic_write_all([(path, b"new") for path in files])
        if "replace" in faults.log[:at]:
            break
        assert [path.read_bytes() for path in files] == [b"old"] * 3
    assert at == 12 + 1  # open, write, fsync and chmod of each file; the next fault is a replace


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with injected("disk full", 1), pytest.raises(StorageError) as caught:
        atomic_write(path, b"x")
    assert caught.value.what == f"cannot write {path}: No space left on device"


def test_a_directory_in_the_way_stops_all_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(StorageError, match="b: something that is no regular file is in the way"):
        atomic_write_all([(tmp_path / "a", b"x"), (tmp_path / "b", b"x")])
    assert names(tmp_path) == {"b"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    for path in (pipe, link):
        with pytest.raises(StorageError, match="no regular file is in the way"):
            atomic_write(path, b"x")
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(StorageError, match="cannot write"):
        atomic_write(tmp_path / "file" / "inner", b"x")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        atomic_write(tmp_path / ("n" * 300), b"x")
    assert names(tmp_path) == set()


def test_a_symlink_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    atomic_write(link, b"new")
    assert target.read_bytes() == b"precious"
    assert link.read_bytes() == b"new"
    assert not link.is_symlink()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied"):
            atomic_write(tmp_path / "file", b"x")
        with pytest.raises(StorageError, match="Permission denied"), lock(tmp_path):
            pass
    finally:
        tmp_path.chmod(0o700)


@contextmanager
def process_with_the_lock(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `folder` until its input ends."""
    script = (
        "import pathlib, sys\n"
        "from mnist_edge.bundle.storage import lock\n"
        "with lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    root = Path(mnist_edge.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_lock_keeps_another_process_out(tmp_path: Path) -> None:
    with process_with_the_lock(tmp_path):
        busy = pytest.raises(BundleError, match="another process is writing")
        with busy as caught, lock(tmp_path, timeout_s=0.1):
            pytest.fail("two processes hold the lock")
        assert "--bundle" in caught.value.fix


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with process_with_the_lock(tmp_path) as process:
        process.kill()
        process.wait()
        with lock(tmp_path, timeout_s=10.0):
            pass


def test_the_lock_is_waited_for(tmp_path: Path) -> None:
    with process_with_the_lock(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()  # ends it, some time while we wait
        with lock(tmp_path, timeout_s=60.0):
            assert process.wait(timeout=60) == 0


def test_the_lock_is_free_again_after_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lock(tmp_path):
        raise KeyboardInterrupt
    with lock(tmp_path, timeout_s=0.1), lock(tmp_path / "new" / "folder"):
        assert (tmp_path / "new" / "folder").is_dir()


def test_an_error_inside_the_lock_is_not_taken_for_one_of_the_lock(tmp_path: Path) -> None:
    for error in (PermissionError(13, "elsewhere"), TimeoutError("elsewhere")):
        with pytest.raises(type(error), match="elsewhere") as caught, lock(tmp_path):
            raise error
        assert caught.value is error


def test_no_lock_is_made_where_a_link_in_its_place_points(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="cannot write to"), lock(tmp_path):
        pytest.fail("a lock elsewhere")
    assert names(tmp_path) == {LOCK}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inner", tmp_path / ("n" * 300)):
        with pytest.raises(StorageError, match="cannot write to"), lock(folder):
            pytest.fail("a lock in no folder")


def test_a_full_disk_under_the_lock_is_told(tmp_path: Path) -> None:
    def no_room(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = pytest.raises(StorageError, match="No space left")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", no_room)
        with full, lock(tmp_path):
            pytest.fail("a lock that was not made")
    assert LOCK not in names(tmp_path)


def test_each_file_is_in_its_place_on_the_disk_before_the_next_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace, sync, sync_folder = Path.replace, os.fsync, os.fdatasync

    def moved(self: Path, target: Path) -> Path:
        steps.append(f"move {target.name}")
        return replace(self, target)

    def synced(handle: int) -> None:
        steps.append("sync a file")
        sync(handle)

    def folder_synced(handle: int) -> None:
        assert os.fstat(handle).st_ino == tmp_path.stat().st_ino
        steps.append("sync the folder")
        sync_folder(handle)

    monkeypatch.setattr(Path, "replace", moved)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "fdatasync", folder_synced)
    atomic_write_all([(tmp_path / name, b"x") for name in ("model.onnx", "manifest.json")])
    assert steps == [
        *("sync a file", "sync a file"),
        *("move model.onnx", "sync the folder"),
        *("move manifest.json", "sync the folder"),
    ]


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder() as folder:
        (folder / "file").write_bytes(b"x")
    assert not folder.exists()


def test_whatever_a_library_makes_of_a_full_disk_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RuntimeError, match="its own"), scratch_folder():
        raise RuntimeError("its own")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(StorageError, match="no room for temporary files"), scratch_folder():
        raise RuntimeError("cannot serialize the model")


def test_without_a_folder_for_temporary_files_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", none)
    with pytest.raises(StorageError, match="set TMPDIR"), scratch_folder():
        pass
