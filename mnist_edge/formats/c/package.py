"""A C file as a folder that Arduino and CMake take as it is."""

from __future__ import annotations

import re
from pathlib import Path

from mnist_edge.formats.c.document import fill
from mnist_edge.formats.c.write import header_of, reads_pictures

_WRITTEN = (
    *("library.properties", "CMakeLists.txt", "README.md", "LICENSE"),
    "examples/ReadDigit/ReadDigit.ino",
)
_PLAIN = {
    "picture": "white on black",
    "memory": "static float picture[@NAME@_PICTURE], workspace[@NAME@_WORKSPACE];",
    "answer": "  for (int i = 0; i < @NAME@_PICTURE; i++)\n"
    "    picture[i] = pixels[i] / 255.0f;\n"
    "  Serial.println(@name@_predict(picture, workspace));",
}
_READING = {
    "picture": "dark on bright or bright on dark",
    "memory": "static unsigned char *memory;\nstatic size_t size;",
    "answer": "  if (!memory) {\n"
    "    size = @name@_read_bytes(28, 28, 1);\n"
    "    memory = (unsigned char *)malloc(size);\n"
    "  }\n"
    "  Serial.println(@name@_read(pixels, 28, 28, 1, memory, size, NULL));",
}


def write_package(source: bytes) -> dict[str, bytes]:
    """The files of the folder that a C file of ours becomes, by their paths in it."""
    text = source.decode("ascii")
    found = re.search(r"^void (\w+)_logits\(", text, re.MULTILINE)
    assert found is not None
    name = found[1]
    sizes = dict(re.findall(rf"^#define {name.upper()}_([A-Z]+) (\d+)$", text, re.MULTILINE))
    parameters = re.search(r"([\d,]+) parameters", text)
    assert parameters is not None
    count = int(parameters[1].replace(",", "")) * (1 if name.endswith("_int8") else 4)
    ram = f"{4 * int(sizes['WORKSPACE']):,} bytes of workspace"
    names = {"name": name, "NAME": name.upper(), "weights": f"{count:,}"}
    reads = reads_pictures(source)
    names["ram"] = f"what `{name}_read_bytes` says of a picture's size" if reads else ram
    for key, value in (_READING if reads else _PLAIN).items():
        names[key] = value.replace("@name@", name).replace("@NAME@", name.upper())
    made = {path: fill(f"package/{Path(path).name}", names).encode("ascii") for path in _WRITTEN}
    return {**made, f"src/{name}.h": header_of(source), f"src/{name}.c": source}
