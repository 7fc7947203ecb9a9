"""What a message advises can be done where it is read: as installed, and with what is there."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from factory import make_bundle

import mnist_edge
from mnist_edge import cli, errors
from mnist_edge.bundle.folder import open_bundle, refuse_shipped
from mnist_edge.bundle.manifest import MANIFEST
from mnist_edge.errors import BundleError, UsageError, install_advice, missing_package
from mnist_edge.formats import find_artifact

pytestmark = pytest.mark.edge

PACKAGE = Path(mnist_edge.__file__).parent
COMMIT = "0" * 40


class Installed:
    """What `importlib.metadata` says of the package."""

    def __init__(self, origin: object) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        if self._origin is None or isinstance(self._origin, str):
            return self._origin
        return json.dumps(self._origin)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Pretend that the package lies in site-packages, and came from there."""
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages/mnist_edge/errors.py"))

    def say(origin: object) -> None:
        monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Installed(origin))

    return say


def torch_advice() -> str:
    return missing_package(ModuleNotFoundError(name="torch._C"), "train").fix


def test_in_a_checkout_it_is_installed_again_from_there() -> None:
    checkout = PACKAGE.parent
    assert torch_advice() == f"run pip install -e '.[train]' in {checkout}"
    assert install_advice({"onnxruntime", "numpy"}) == f"run pip install -e . in {checkout}"


def test_a_project_that_carries_the_package_is_no_checkout_of_it(
    tmp_path: Path, installed: Callable[[object], None]
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "robot"\n')
    installed(None)
    assert torch_advice() == "run pip install 'mnist-edge[train]'"


def test_a_wheel_is_installed_again_from_its_file(
    tmp_path: Path, installed: Callable[[object], None]
) -> None:
    wheel = tmp_path / "new wheels" / "mnist_edge-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert torch_advice() == f"run pip install '{wheel}[train]'"
    wheel.unlink()
    advice = "install mnist-edge[train] again from the wheel or checkout that it came from"
    assert torch_advice() == advice


def test_a_folder_is_installed_again_from_there(
    tmp_path: Path, installed: Callable[[object], None]
) -> None:
    installed({"url": tmp_path.as_uri(), "dir_info": {}})
    assert torch_advice() == f"run pip install '{tmp_path}[train]'"


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        (None, "mnist-edge[train]"),  # from an index
        (
            {"url": "https://host.example/mnist_edge-0.1.0.whl", "archive_info": {}},
            "mnist-edge[train] @ https://host.example/mnist_edge-0.1.0.whl",
        ),
        (
            {
                "url": "https://host.example/repo.git",
                "vcs_info": {"vcs": "git", "commit_id": COMMIT},
            },
            f"mnist-edge[train] @ git+https://host.example/repo.git@{COMMIT}",
        ),
    ],
)
def test_what_came_from_elsewhere_comes_from_there_again(
    installed: Callable[[object], None], origin: object, source: str
) -> None:
    installed(origin)
    assert torch_advice() == f"run pip install '{source}'"


@pytest.mark.parametrize("origin", ["", "no json", "[]", "{}", '{"url": 1, "vcs_info": 2}'])
def test_a_name_alone_is_never_advised_where_the_origin_is_unknown(
    installed: Callable[[object], None], monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    installed(origin)
    assert "pip install" not in torch_advice()

    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert "pip install" not in torch_advice()


def test_a_shipped_bundle_comes_back_with_its_package(
    tmp_path: Path, installed: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(tmp_path)
    monkeypatch.setattr("mnist_edge.bundle.folder.SHIPPED_BUNDLES", (tmp_path,))
    (tmp_path / MANIFEST).write_text("{}")
    installed(None)
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path)
    assert caught.value.fix == (
        "run pip install --force-reinstall --no-deps mnist-edge, or give another --bundle"
    )


@pytest.mark.usefixtures("with_torch")
def test_nothing_is_to_be_exported_into_a_shipped_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path)
    monkeypatch.setattr("mnist_edge.bundle.folder.SHIPPED_BUNDLES", (tmp_path,))
    with pytest.raises(UsageError) as refused:
        find_artifact(bundle, "ort-float32")
    assert refused.value.fix == "choose one of these"


# --- on a device -----------------------------------------------------------------------------


def damaged_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("{}")
    open_bundle(folder)


def damaged_artifact(folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / "onnx-float32.onnx").write_bytes(b"")
    bundle.read(bundle.artifact("onnx-float32"))


def missing_weights(folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / bundle.artifact("checkpoint-float32").file).unlink()
    bundle.read(bundle.artifact("checkpoint-float32"))


def damaged_reference(folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / bundle.manifest.reference.file).write_bytes(b"")
    bundle.reference()


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize(
    "damage", [damaged_manifest, damaged_artifact, missing_weights, damaged_reference]
)
def test_a_device_takes_a_damaged_file_from_where_it_was_made(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    make_bundle(tmp_path)
    with pytest.raises(BundleError) as caught:
        damage(tmp_path)
    assert caught.value.fix == "copy it from where the bundle was made"


@pytest.mark.usefixtures("without_torch")
def test_nothing_is_to_be_made_on_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path)
    assert caught.value.fix == "give the folder of a bundle that was copied from where it was made"
    with pytest.raises(UsageError) as refused:
        find_artifact(make_bundle(tmp_path), "ort-float32")
    assert refused.value.fix == "choose one of these"
    monkeypatch.setattr("mnist_edge.bundle.folder.SHIPPED_BUNDLES", (tmp_path,))
    with pytest.raises(UsageError) as refused:
        refuse_shipped(tmp_path)
    assert refused.value.fix == "give another --bundle"
    assert cli.main(["recipes"]) == 0
    assert "mnist-edge train" not in capsys.readouterr().err


MAKER = re.compile(r"mnist-edge train|mnist-edge export --(?!help)|pip install ")
ASKED_FIRST = {
    "errors.py": "where the package came from",
    "bundle/folder.py": "has_torch",
    "formats/__init__.py": "has_torch",
    "cli/doctor.py": "has_torch",
    "cli/recipes.py": "has_torch",
    # Read only where torch is.
    "cli/train.py": "its own examples",
    "cli/export.py": "its own examples",
    "formats/litert/tflm.py": "where the sources came from",
    "formats/graph/reader.py": "torch",
    "models.py": "torch",
    "train/session.py": "torch",
    "train/teacher.py": "torch",
    # An ONNX Runtime for a GPU that is there.
    "formats/onnx/run.py": "nvidia-smi",
    "render/doctor.py": "nvidia-smi",
    # What to give, made wherever that is possible.
    "predict.py": "a file made by mnist-edge export",
    "bundle/manifest.py": "a bundle that mnist-edge train made",
}


def test_a_command_that_needs_torch_is_advised_only_where_it_was_asked_for() -> None:
    advising = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and MAKER.search(node.value)
    }
    assert advising <= set(ASKED_FIRST), advising - set(ASKED_FIRST)
