"""What works on this machine, and whether a bundle still gives its answers here.

No data is needed: the bundle carries digits and the answers to expect. For a single file that left
its bundle see `doctor.single`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from mnist_edge.bundle.folder import Bundle, Reference
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.data.mnist import find_mnist
from mnist_edge.doctor.checks import Check, run_golden
from mnist_edge.errors import (
    BadInput,
    DataUnavailable,
    LeftBehind,
    MissingDependency,
    MnistEdgeError,
    Untrusted,
    install_advice,
)
from mnist_edge.formats import Loading, find_artifact, open_backend
from mnist_edge.formats.running import gate_of
from mnist_edge.machine import Machine, describe_machine, library_versions, process_as_it_was
from mnist_edge.progress import Progress, silent

_GRAPH = ("numpy", "onnx", "onnxruntime")
_TRAIN = ("numpy", "torch", "safetensors", "matplotlib", "onnx", "onnxscript")
NEEDS: dict[str, tuple[str, ...]] = {
    "predict": ("numpy", "pillow", "onnxruntime"),
    "verify, bench, doctor: ONNX": ("numpy", "onnxruntime"),
    "verify, bench, doctor: torch": ("numpy", "torch", "safetensors"),
    "train, run": _TRAIN,
    "import, export: ONNX": _GRAPH,
    "import: Keras": (*_GRAPH, "h5py"),
    "import, export: torch": ("numpy", "torch", "safetensors", "onnx", "onnxscript"),
    "report": ("numpy", "onnxruntime", "matplotlib"),
}
"""What each command imports, beside the standard library and typer."""

_EXTRAS = {"import: Keras": "keras"}
_IMPORT_NAMES = {"pillow": "PIL"}


@dataclass(frozen=True, kw_only=True)
class Need:
    """Whether a command finds what it needs.

    Attributes:
        command: or several of them.
        missing: packages that are not installed.
        fix: what to do about it; empty where nothing is missing.
    """

    command: str
    missing: tuple[str, ...]
    fix: str


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """What `examine` found.

    Attributes:
        providers: of the installed onnxruntime; empty without one.
        mnist: whether MNIST lies where `train` and `verify` look for it.
        needs: by command.
        bundle: the name of its folder; empty without one.
        checks: by artifact.
    """

    schema: Literal[1]
    machine: Machine
    versions: dict[str, str]
    providers: tuple[str, ...]
    mnist: bool
    needs: tuple[Need, ...]
    bundle: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no artifact gives other answers than it should."""
        return all(check.status != "failed" for check in self.checks)


@process_as_it_was()
def examine(
    bundle: Bundle | None,
    *,
    artifacts: tuple[str, ...] = (),
    threads: int = 1,
    progress: Progress = silent,
) -> DoctorReport:
    """Look at the machine, and run the reference of a bundle through each of its artifacts.

    Args:
        bundle: None where there is none.
        artifacts: their names; by default all of the bundle.
        threads: of each runtime.
        progress: in artifacts.

    Raises:
        DigestMismatch, BundleError: a file of the bundle is damaged, or one that was asked for is
            missing.
        UsageError: there is no artifact of that name.
    """
    return DoctorReport(
        schema=1,
        machine=describe_machine(),
        versions=library_versions(),
        providers=_providers(),
        mnist=_has_mnist(),
        needs=tuple(_need(command, packages) for command, packages in NEEDS.items()),
        bundle=bundle.path.resolve().name if bundle else "",
        checks=_check_bundle(bundle, artifacts, threads, progress) if bundle else (),
    )


def _need(command: str, packages: tuple[str, ...]) -> Need:
    missing = tuple(
        package for package in packages if not find_spec(_IMPORT_NAMES.get(package, package))
    )
    extra = _EXTRAS.get(command, "train")
    fix = install_advice(missing, extra=extra) if missing else ""
    return Need(command=command, missing=missing, fix=fix)


def _providers() -> tuple[str, ...]:
    try:
        from mnist_edge.formats.onnx.run import available_providers
    except ImportError:  # also one that is installed, but was built for another system
        return ()
    return available_providers()


def _has_mnist() -> bool:
    try:
        return find_mnist(None) is not None
    except DataUnavailable:  # a folder was named, and holds none
        return False


def _check_bundle(
    bundle: Bundle, artifacts: tuple[str, ...], threads: int, progress: Progress
) -> tuple[Check, ...]:
    bundle.check()  # refuse a damaged file before any is run
    chosen = [find_artifact(bundle, name) for name in artifacts] or bundle.manifest.artifacts
    for artifact in chosen if artifacts else ():
        bundle.read(artifact)  # asked for by name, it must be there
    reference = bundle.reference()
    checks = []
    refused: Untrusted | None = None
    for number, artifact in enumerate(chosen):
        progress(number, len(chosen), artifact.name)
        try:
            checks.append(_check(bundle, artifact, reference, threads))
        except Untrusted as error:
            if artifacts:
                raise
            refused = error
            checks.append(_not_checked(artifact, error))
    if refused and all(check.status == "not checked" for check in checks):
        raise refused
    progress(len(checks), len(checks))
    return tuple(checks)


def _check(bundle: Bundle, artifact: Artifact, reference: Reference, threads: int) -> Check:
    try:
        with open_backend(bundle, artifact, Loading(threads=threads)) as backend:
            return run_golden(
                artifact.name,
                backend,
                reference.images,
                reference.logits,
                gate_of(bundle.manifest, artifact),
                batch_invariant=artifact.batch_invariant,
            )
    except (MissingDependency, LeftBehind) as error:
        return _not_checked(artifact, error)
    except BadInput as error:  # the very bytes that were exported, and yet no classifier here
        return Check(artifact=artifact.name, backend="", status="failed", reason=str(error))


def _not_checked(artifact: Artifact, error: MnistEdgeError) -> Check:
    return Check(artifact=artifact.name, backend="", status="not checked", reason=str(error))
