"""The nets of web pages against onnxruntime-web, which needs 14 MB beside the net, in Node.

    python benchmarks/web.py FOLDER BUNDLE [BUNDLE ...]

FOLDER is one in which `npm install onnxruntime-web` was run; each BUNDLE holds `web` and `onnx`
artifacts in float32 and int8. All take turns in one process, in random order, over real digits,
whose answers are compared as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from runs import RESULTS

from mnist_edge.bundle.folder import Bundle, open_bundle
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.cli.reports import report_path
from mnist_edge.contract import to_images
from mnist_edge.formats.web.page import take_apart
from mnist_edge.machine import describe_machine, load_average
from mnist_edge.render.table import Table, markdown
from mnist_edge.render.text import microseconds

ROUNDS, DIGITS = 200, 100
SCRIPT = Path(__file__).with_suffix(".mjs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    options = parser.parse_args()
    bundles = [open_bundle(path) for path in options.bundles]
    digits = to_images(bundles[0].reference().images[:DIGITS])
    with tempfile.TemporaryDirectory() as scratch:
        candidates = [c for bundle in bundles for c in _candidates(bundle, Path(scratch))]
        done = subprocess.run(
            ["node", str(SCRIPT), str(ROUNDS), json.dumps(candidates)],
            input=digits.tobytes(),
            stdout=subprocess.PIPE,
            cwd=options.folder,
            check=True,
        )
    found = json.loads(done.stdout)
    package = options.folder / "node_modules" / "onnxruntime-web" / "package.json"
    version = json.loads(package.read_text())["version"]
    rows = _rows(found["candidates"])
    machine = describe_machine()
    path = RESULTS / report_path(None, bundle="web", verb="node", processor=machine.processor).name
    load = (load_average() or (0.0,))[0]
    report = {
        "processor": machine.processor,
        "node": found["node"],
        "onnxruntime-web": version,
        "rounds": ROUNDS,
        "load": load,
        "rows": rows,
    }
    atomic_write(path, (json.dumps(report, indent=1) + "\n").encode())
    text = _page(report, rows)
    atomic_write(path.with_suffix(".md"), text.encode())
    print(text)


def _candidates(bundle: Bundle, scratch: Path) -> list[dict[str, str]]:
    found = []
    for precision in ("float32", "int8"):
        name = f"{bundle.path.name} {precision}"
        graph = bundle.path / bundle.artifact(f"onnx-{precision}").file
        page = take_apart(bundle.read(bundle.artifact(f"web-{precision}")))
        files = {part: scratch / f"{name}.{part}" for part in ("engine", "net")}
        files["engine"].write_bytes(page.engine)
        files["net"].write_bytes(page.net)
        found.append({"name": f"{name} onnxruntime-web", "onnx": str(graph.resolve())})
        found.append({"name": f"{name} page"} | {k: str(v) for k, v in files.items()})
    return found


def _rows(candidates: dict[str, dict[str, list[float]]]) -> list[dict[str, float | str]]:
    """Each page beside the runtime with the same graph: ratios are taken within each round."""
    rows: list[dict[str, float | str]] = []
    names = list(candidates)
    for theirs, ours in zip(names[::2], names[1::2], strict=True):
        both = [np.array(candidates[name]["turns_s"]) for name in (theirs, ours)]
        low, middle, high = np.quantile(both[0] / both[1], (0.25, 0.5, 0.75))
        logits = [np.array(candidates[name]["logits"]) for name in (theirs, ours)]
        rows.append(
            {
                "net": ours.removesuffix(" page"),
                "onnxruntime_web_s": float(np.median(both[0])),
                "page_s": float(np.median(both[1])),
                "times_as_fast": float(middle),
                "low_quartile": float(low),
                "high_quartile": float(high),
                "largest_difference": float(np.abs(logits[0] - logits[1]).max()),
            }
        )
    return rows


def _page(report: dict[str, object], rows: list[dict[str, float | str]]) -> str:
    table = Table(
        headers=("net", "onnxruntime-web µs", "page µs", "times as fast", "quartiles", "differs"),
        rows=tuple(
            (
                str(row["net"]),
                microseconds(float(row["onnxruntime_web_s"])),
                microseconds(float(row["page_s"])),
                f"{float(row['times_as_fast']):.1f}",
                f"{float(row['low_quartile']):.1f} to {float(row['high_quartile']):.1f}",
                f"{float(row['largest_difference']):.0e}",
            )
            for row in rows
        ),
    )
    return (
        f"# Pages against onnxruntime-web {report['onnxruntime-web']}\n\n"
        f"One picture at a time, one thread, {report['rounds']} turns of 40 pictures each in "
        f"random order, CPU time, Node {report['node']}, {report['processor']}, "
        f"a load of {report['load']:.1f}: ratios are of the same round, microseconds a mix.\n\n"
        f"{markdown(table)}"
    )


if __name__ == "__main__":
    main()
