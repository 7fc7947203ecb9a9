"""Build the WebAssembly that every web page carries, from its C: `python tools/webassembly.py`.

It is committed, so that nobody who exports a page needs a compiler. `ziglang` holds clang and its
linker; the same version gives the same bytes on every machine. A test builds it again where that
version is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from mnist_edge.formats.c.reading import READING

ZIG = "0.17.1"

_FORMATS = Path(__file__).resolve().parents[1] / "mnist_edge" / "formats"
_ROOM, _KERNELS = _FORMATS / "web" / "engine", _FORMATS / "c" / "kernels"
_READING = _FORMATS / "c" / "reading"
BUILT = _ROOM / "built.json"

FLAGS = (
    # Plain wasm32 has no memcpy that is an instruction, and would call one for each vector.
    *("-target", "wasm32-wasi", "-mcpu=generic+simd128+bulk_memory"),
    *("-nostdlib", "-std=c99", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror", "-s"),
    *("-Wl,--no-entry", "-Wl,-z,stack-size=65536"),
)


_FLOAT32 = ("lanes.c", "common.c", "vectors.c", "kernels.c", "plain.c")
_INT8 = ("lanes8.c", "common.c", "vectors8.c", "kernels.c", "plain8.c")
_SOURCES = {
    "float32": [
        *(_KERNELS / file for file in _FLOAT32),
        *(_ROOM / file for file in ("steps.c", "steps32.c", "engine.c", "library.c")),
    ],
    "int8": [
        *(_KERNELS / file for file in _INT8),
        *(_ROOM / file for file in ("steps.c", "steps8.c", "engine.c", "library.c")),
    ],
    "reader": [
        *(_READING / file for file in READING),
        *(_ROOM / file for file in ("reader.c", "library.c")),
    ],
}


def sources(name: str) -> str:
    """The C of one module."""
    text = "\n".join(file.read_text(encoding="ascii") for file in _SOURCES[name])
    # The marks in those kernels say what is known of a net: nothing may be taken for granted.
    return re.sub(r"@\w+@", "0", text)


# What is called ten thousand times a second is built for speed, the rest for its bytes: deflated,
# they are a tenth less without what LLVM does to loops, and where only what shrinks is inlined.
_SMALL = (
    *("-Oz", "-fno-vectorize", "-fno-slp-vectorize", "-mllvm", "-disable-lsr"),
    *("-mllvm", "-enable-pre=0", "-mllvm", "-inline-threshold=0"),
)
MODULES = {"float32": ("-O3",), "int8": ("-O3",), "reader": _SMALL}


def build(name: str) -> bytes:
    """One module, as it is committed."""
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "module.c"), Path(folder, "module.wasm")
        source.write_text(sources(name), encoding="ascii")
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *MODULES[name]]
        subprocess.run([*command, "-o", str(result), str(source)], check=True)
        return result.read_bytes()


def main() -> None:
    """Build all modules in their place, and note of what each was made."""
    if version("ziglang") != ZIG:
        sys.exit(f"ziglang {version('ziglang')} gives other bytes: pip install ziglang=={ZIG}")
    built = {}
    for name in MODULES:
        data = build(name)
        (_ROOM / f"{name}.wasm").write_bytes(data)
        built[name] = {"sources": digest(sources(name).encode()), "module": digest(data)}
        print(f"{name}.wasm: {len(data):,} bytes, SHA-256 {built[name]['module']}")
    BUILT.write_text(json.dumps(built, indent=2) + "\n", encoding="ascii")


def digest(data: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main()
