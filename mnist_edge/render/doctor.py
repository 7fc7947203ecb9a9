"""What `doctor` says, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mnist_edge.formats.devices import DEVICES
from mnist_edge.render.table import NOTHING, Table
from mnist_edge.render.text import kilobytes, reason_notes

if TYPE_CHECKING:
    from mnist_edge.doctor import DoctorReport
    from mnist_edge.doctor.checks import Check
    from mnist_edge.doctor.single import FileReport

_SHOWN_METADATA = 200


def machine_table(report: DoctorReport) -> Table:
    """The machine, the libraries, and whether MNIST is here."""
    machine = report.machine
    quota = "no quota" if machine.quota is None else f"a quota of {machine.quota:g}"
    rows = {
        "processor": machine.processor,
        "instruction sets": " ".join(machine.cpu_flags),
        "threads": f"{machine.usable_threads} usable: {machine.cores} cores, "
        f"{machine.affinity} for this process, {quota}",
        "clock governor": machine.governor,
        "memory": f"{machine.memory_bytes / 2**30:.1f} GiB" if machine.memory_bytes else "",
        "GPU": "; ".join(machine.gpu),
        "system": f"{machine.architecture}, {machine.system}, {machine.python}",
        "libraries": ", ".join(f"{name} {number}" for name, number in report.versions.items()),
        "ONNX Runtime's providers": ", ".join(report.providers),
        "MNIST": "on this machine" if report.mnist else "not on this machine; train fetches it",
    }
    notes = []
    if machine.gpu and report.providers and "CUDAExecutionProvider" not in report.providers:
        notes.append(
            "ONNX Runtime cannot use the GPU: "
            "pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
    return Table(headers=("machine", ""), rows=_pairs(rows), notes=tuple(notes))


def needs_table(report: DoctorReport) -> Table:
    """What is missing for which command."""
    return Table(
        headers=("command", "missing", "fix"),
        rows=tuple(
            (need.command, ", ".join(need.missing) or "nothing", need.fix or NOTHING)
            for need in report.needs
        ),
    )


def devices_table() -> Table:
    """Which file for which device."""
    return Table(
        headers=("for", "take", "options of export", "proven in"),
        rows=tuple((a.device, a.artifact, a.options, a.proof) for a in DEVICES),
    )


def file_table(report: FileReport) -> Table:
    """What one file says of itself."""
    rows = {
        "file": report.file,
        "format": f"{report.format}, {report.precision}",
        "kB": kilobytes(report.size_bytes),
        "SHA-256": report.sha256,
        **({"opset": str(report.opset)} if report.opset else {}),
        **({"IR version": str(report.ir_version)} if report.ir_version else {}),
        **{
            key: text[:_SHOWN_METADATA]
            for key, text in sorted(report.metadata.items())
            if key not in ("format", "precision")
        },
    }
    return Table(headers=("artifact", ""), rows=_pairs(rows))


def checks_table(checks: Iterable[Check]) -> Table:
    """Whether each artifact gives its answers here."""
    checks = tuple(checks)
    return Table(
        headers=("artifact", "backend", "pictures", "largest error", "flips", "verdict"),
        rows=tuple(
            (check.artifact, check.backend or NOTHING, *_figures(check), check.status)
            for check in checks
        ),
        notes=tuple(reason_notes((c.artifact, c.reason) for c in checks if c.reason)),
    )


def _figures(check: Check) -> tuple[str, str, str]:
    if check.parity is None:
        return (NOTHING,) * 3
    parity = check.parity
    return (str(parity.images), f"{parity.max_abs_error:.1e}", str(len(parity.flips)))


def _pairs(rows: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text or NOTHING) for name, text in rows.items())
