"""The nets of web pages against onnxruntime-web, which needs 14 MB beside the net.

    python benchmarks/web.py [--browser] FOLDER BUNDLE [BUNDLE ...]

FOLDER is one in which `npm install onnxruntime-web` was run; each BUNDLE holds `web` and `onnx`
artifacts in float32 and int8. All take turns in one process of Node, or one window of Chromium, in
random order, over real digits, whose answers are compared as well. Node tells the time of its
processor, Chromium that of the wall.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeAlias

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
# Pictures a turn. By the clock of the wall a turn must outlast what others take of the processor.
NODE_TURN, CHROMIUM_TURN = 40, 400
SCRIPT = Path(__file__).with_suffix(".mjs")

Candidates: TypeAlias = list[dict[str, str]]
Found: TypeAlias = dict[str, Any]  # as JSON has it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--browser", action="store_true", help="in Chromium, not in Node")
    parser.add_argument("folder", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    options = parser.parse_args()
    bundles = [open_bundle(path) for path in options.bundles]
    digits = to_images(bundles[0].reference().images[:DIGITS])
    with tempfile.TemporaryDirectory() as scratch:
        candidates = [c for bundle in bundles for c in _candidates(bundle, Path(scratch))]
        run = in_chromium if options.browser else in_node
        found = run(options.folder.resolve(), candidates, digits.tobytes())
    package = options.folder / "node_modules" / "onnxruntime-web" / "package.json"
    version = json.loads(package.read_text())["version"]
    rows = _rows(found["candidates"])
    machine = describe_machine()
    verb = "chromium" if options.browser else "node"
    path = RESULTS / report_path(None, bundle="web", verb=verb, processor=machine.processor).name
    load = (load_average() or (0.0,))[0]
    report = {
        "processor": machine.processor,
        "version": found["version"],
        "onnxruntime-web": version,
        "rounds": len(next(iter(found["candidates"].values()))["turns_s"]),
        "turn": CHROMIUM_TURN if options.browser else NODE_TURN,
        "load": load,
        "rows": rows,
    }
    atomic_write(path, (json.dumps(report, indent=1) + "\n").encode())
    text = _page(report, rows)
    atomic_write(path.with_suffix(".md"), text.encode())
    print(text)


def in_node(folder: Path, candidates: Candidates, digits: bytes) -> Found:
    """Seconds of each turn by the clock of the process."""
    command = ["node", str(SCRIPT), str(ROUNDS), str(NODE_TURN), json.dumps(candidates)]
    done = subprocess.run(command, input=digits, stdout=subprocess.PIPE, cwd=folder, check=True)
    found: Found = json.loads(done.stdout)
    return found


def in_chromium(folder: Path, candidates: Candidates, digits: bytes) -> Found:
    """Seconds of each turn by the clock of the wall, in one window."""
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as scratch,
        served(Path(scratch)) as address,
        sync_playwright() as started,
    ):
        shown = Path(scratch)
        (shown / "digits").write_bytes(digits)
        (shown / "index.html").write_text("<!doctype html><title>turns</title>")
        (shown / "web.mjs").write_bytes(SCRIPT.read_bytes())
        (shown / "dist").symlink_to(folder / "node_modules" / "onnxruntime-web" / "dist")
        for number, candidate in enumerate(candidates):
            for part in candidate.keys() - {"name"}:
                shutil.copy(candidate[part], shown / f"{number}.{part}")
                candidate[part] = f"{number}.{part}"
        chromium = shutil.which("chromium")
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        told = page.evaluate(IN_A_PAGE, [ROUNDS // 4, CHROMIUM_TURN, candidates])
        version = browser.version
        browser.close()
    return {"version": f"Chromium {version}", "candidates": told}


IN_A_PAGE = """async ([rounds, turn, candidates]) => {
    const ort = await import("/dist/ort.wasm.min.mjs"), {compare} = await import("/web.mjs");
    const read = async file => new Uint8Array(await (await fetch(`/${file}`)).arrayBuffer());
    const digits = new Float32Array((await read("digits")).buffer);
    const host = {ort: ort.default ?? ort, read, clock: () => performance.now() / 1000};
    return await compare(host, rounds, turn, candidates, digits);
}"""


class _Isolated(SimpleHTTPRequestHandler):
    """Files for a window that has its clock to itself: it tells microseconds, not tenths of ms."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, for this machine alone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Isolated, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


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
        f"One picture at a time, one thread, {report['rounds']} turns of {report['turn']} pictures "
        f"each in random order, {report['version']}, {report['processor']}, "
        f"a load of {report['load']:.1f}: ratios are of the same round, microseconds a mix.\n\n"
        f"{markdown(table)}"
    )


if __name__ == "__main__":
    main()
