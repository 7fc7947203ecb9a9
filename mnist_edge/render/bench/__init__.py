"""A benchmark for readers: tables, sentences, figures, and the page that holds them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mnist_edge.bench.report import BenchReport
from mnist_edge.render.bench import tables
from mnist_edge.render.bench.sentences import claim, doubts, method, sentences, weights
from mnist_edge.render.table import Table, markdown

ABOVE_THE_ROOF = (
    "The multiply-adds are those of the network's definition. Winograd's convolutions do with "
    "fewer, and the peak is that of float32: more than 100% is no error."
)


def bench_table(report: BenchReport) -> Table:
    """The ranking, with a sentence per row below it."""
    machine = report.machine
    place = f"{machine.processor}, {machine.usable_threads} usable threads, {machine.system}"
    told = [f"energy of the {device}: {what}" for device, what in report.energy.items()]
    notes = (
        *sentences(report),
        *doubts(report),
        method(report),
        f"{place}; {report.data}",
        *told,
        *weights(report),
    )
    return replace(tables.ranking(report), notes=notes)


def bench_markdown(report: BenchReport, figures: Sequence[tuple[str, str]] = ()) -> str:
    """The whole report as a page.

    Args:
        report: what was measured.
        figures: title and file name of each picture that lies beside the page.
    """
    parts = [
        f"# Benchmark of {report.bundle}\n\n{claim(report)}.\n\n{context(report)}",
        markdown(replace(tables.ranking(report), notes=())),
        listed([*sentences(report), *doubts(report), *weights(report)]),
    ]
    for title, table in _sections(report):
        if table.rows:
            parts.append(f"## {title}\n\n{markdown(table)}")
    parts += [f"## {title}\n\n![{title}]({name})\n" for title, name in figures]
    return "\n".join(parts)


def _sections(report: BenchReport) -> list[tuple[str, Table]]:
    return [
        (f"Cold start, milliseconds{_starts(report)}", tables.cold_start(report)),
        ("Throughput, images per second", tables.throughput(report)),
        ("Open-loop latency, from the intended start", tables.fixed_rate(report)),
        (f"Roofline: {_roof(report)}", replace(tables.roofline(report), notes=(ABOVE_THE_ROOF,))),
        ("On the device", tables.resident(report)),
        (f"Energy of {'; '.join(report.energy.values())}", tables.energy(report)),
    ]


def _starts(report: BenchReport) -> str:
    count = report.starts_at_once
    return f", {count} processes starting at a time" if count > 1 else ""


def _roof(report: BenchReport) -> str:
    cost, ceiling = report.cost, report.ceiling
    peak = f"peak {ceiling.multiply_adds_per_s / 1e9:.0f} G multiply-adds/s"
    if not ceiling.multiply_adds_per_s:
        peak = f"peak unknown ({ceiling.reason})"
    return (
        f"{cost.multiply_adds:,} multiply-adds and {cost.moved_bytes:,} bytes a picture, {peak}, "
        f"copies {ceiling.copy_bytes_per_s / 1e9:.1f} GB/s"
    )


def context(report: BenchReport) -> str:
    """Machine, versions, data and n, as a list."""
    machine, recipe = report.machine, report.recipe
    names = ("torch", "onnxruntime", "onnxruntime-gpu", "numpy")
    versions = [f"{name} {report.versions[name]}" for name in names if name in report.versions]
    loads = [f"{load[0]:.1f}" if load else "?" for load in (report.load_before, report.load_after)]
    samples = sum(run.single.runs for row in report.rows for run in row.runs)
    facts = {
        "Machine": f"{machine.processor} ({machine.architecture}), {machine.usable_threads} usable "
        f"threads, governor {machine.governor}, load {loads[0]} before and {loads[1]} after",
        "GPU": "; ".join((*machine.gpu, *report.gpu_before, *report.gpu_after)),
        "Instruction sets": " ".join(machine.cpu_flags),
        "System": f"{machine.system}, {machine.python}",
        "Versions": ", ".join(versions),
        "Data": report.data,
        "Energy": "; ".join(report.energy.values()),
        "n": f"{samples:,} single runs, {method(report)}; seed {recipe.seed}",
    }
    return listed([f"{name}: {fact}" for name, fact in facts.items() if fact])


def listed(lines: Sequence[str]) -> str:
    """Lines as a list in Markdown."""
    return "".join(f"* {line}\n" for line in lines)
