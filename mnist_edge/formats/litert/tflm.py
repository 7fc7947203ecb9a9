"""A `.tflite` file as C++ source for microcontrollers: TensorFlow Lite Micro (TFLM).

A microcontroller has no files and no heap: the model is an array that stays in flash, its results
lie in an arena of a size that is known, and only the operators that it needs are linked.
"""

from __future__ import annotations

import re
import textwrap

from tflite_micro import runtime

from mnist_edge.errors import BadInput, UsageError
from mnist_edge.formats.litert.read import read_litert
from mnist_edge.formats.litert.schema import Operator, Type
from mnist_edge.formats.quiet import printed

# Room for what differs between this machine and others: alignment, and kernels for a processor
# that ask for buffers of their own.
_SPARE_BYTES = 1024
_ROUND_BYTES = 256
_BYTES_A_LINE = 16
_ENDING = "_model"

_HEADER = """\
/* {title}, for TensorFlow Lite Micro. Written by mnist-edge export --tflm.
 *
 * Needs {bytes:,} bytes of flash and an arena of {measured:,} bytes, measured with TFLM's reference
 * kernels on a 64-bit machine; on 32 bits it is less. Pictures go in as
 * {takes}.
 *
 *     #include "tensorflow/lite/micro/micro_interpreter.h"
 *     #include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
 *     #include "{file}.h"
 *
 *     alignas(16) static uint8_t arena[{NAME}_ARENA];
 *     tflite::MicroMutableOpResolver<{NAME}_OPERATORS> resolver;
 *     {NAME}_ADD_OPERATORS(resolver);
 *     tflite::MicroInterpreter net(tflite::GetModel({name}), resolver, arena, sizeof arena);
 *     if (net.AllocateTensors() != kTfLiteOk) return;
 *     std::memcpy(net.input(0)->data.raw, picture, net.input(0)->bytes);
 *     if (net.Invoke() != kTfLiteOk) return;
 *     const {number} *scores = tflite::GetTensorData<{number}>(net.output(0));
 */
#ifndef {NAME}_H
#define {NAME}_H

extern const unsigned char {name}[{bytes}];

#define {NAME}_BYTES {bytes}
#define {NAME}_ARENA {arena}
#define {NAME}_OPERATORS {count}
#define {NAME}_ADD_OPERATORS(resolver) \\
    do {{ \\
{adds}    }} while (0)

#endif
"""

_SOURCE = """\
/* {title}: the model itself. See {file}.h. */
#include "{file}.h"

alignas(16) const unsigned char {name}[{bytes}] = {{
{rows}
}};
"""


def write_tflm(data: bytes, *, prefix: str) -> dict[str, bytes]:
    """The C++ source and the header of a `.tflite` file, by suffix.

    Args:
        data: the file.
        prefix: of the names that they define; the precision follows it.

    Raises:
        UsageError: it holds float16, which TFLM does not know.
        BadInput: TFLM cannot run it.
    """
    file = read_litert(data)
    if any(tensor.type is Type.FLOAT16 for tensor in file.graph.tensors):
        raise UsageError(
            "TensorFlow Lite Micro does not know float16",
            fix="choose --precision float32, int8 or int8-io with --tflm",
        )
    precision, prefix = file.metadata["precision"], prefix.replace("-", "_")
    name = f"{prefix}_{precision}{_ENDING}".replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(
            f"{prefix!r:.60} cannot be the prefix of names in C++",
            fix="give --name one of lower-case letters, digits and _, a letter first",
        )
    measured = measure_arena(data)
    takes = file.graph.tensors[file.graph.input].type
    methods = [_method(o) for o in dict.fromkeys(o.operator for o in file.graph.operations)]
    marks = {
        "title": f"The net {prefix} in {precision}",
        "file": f"litert-{precision}",
        "name": name,
        "NAME": name.upper(),
        "bytes": len(data),
        "measured": measured,
        "arena": -(-(measured + _SPARE_BYTES) // _ROUND_BYTES) * _ROUND_BYTES,
        "takes": "\n * ".join(textwrap.wrap(file.metadata["input"], 95)),
        "number": "int8_t" if takes is Type.INT8 else "float",
        "count": len(methods),
        "adds": "".join(f"        (resolver).{method}(); \\\n" for method in methods),
        "rows": ",\n".join(
            "    " + ",".join(map(str, data[start : start + _BYTES_A_LINE]))
            for start in range(0, len(data), _BYTES_A_LINE)
        ),
    }
    return {
        ".h": _HEADER.format(**marks).encode("ascii"),
        ".cc": _SOURCE.format(**marks).encode("ascii"),
    }


def _method(operator: Operator) -> str:
    """As the resolver calls it: tensorflow/lite/micro/micro_mutable_op_resolver.h."""
    return f"Add{operator.name.title().replace('_', '')}".replace("Padv2", "PadV2")


def prefix_of(source: bytes) -> str:
    """The prefix with which a C++ source was written; empty where it is none of ours."""
    found = re.search(rb"^alignas\(16\) const unsigned char (\w+)\[", source, re.MULTILINE)
    return re.sub(rf"_(float32|int8|int8_io){_ENDING}$", "", found[1].decode()) if found else ""


def measure_arena(data: bytes) -> int:
    """Bytes that TFLM's own allocator takes for a `.tflite` file on this machine.

    Raises:
        BadInput: its kernels refuse the file.
    """
    with printed() as text:
        try:
            runtime.Interpreter.from_bytes(data).print_allocations()
        except RuntimeError as error:
            reason = (text().strip().splitlines() or [str(error)])[-1]
            raise BadInput(
                f"TensorFlow Lite Micro cannot run it: {reason:.200}", fix="export without --tflm"
            ) from None
        report = text()
    found = re.search(r"Arena allocation total (\d+) bytes", report)
    assert found, "tflite-micro no longer tells what it allocates"
    return int(found[1])
