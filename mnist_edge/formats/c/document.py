"""Put the whole C file together: header, kernels, steps, entry points and self-test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.c.plan import Plan
from mnist_edge.formats.c.reading import READING
from mnist_edge.formats.c.text import Code, call, define, number
from mnist_edge.formats.graph.layers import PICTURE, Convolution, Linear, sources
from mnist_edge.recipes.classes import are_digits


@dataclass(frozen=True, kw_only=True, eq=False)
class Golden:
    """Digits with known answers, for the self-test.

    Attributes:
        pictures: (N, 28, 28) uint8.
        logits: (N, classes) float64.
        tolerance: the largest error that passes.
    """

    pictures: NDArray[np.uint8]
    logits: NDArray[np.float64]
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Function:
    """One step in C.

    Attributes:
        name: of the function.
        comment: what it does, with shapes.
        code: its constants and its statements.
        macs: multiply-adds for one picture, without those whose result pooling would drop.
        inputs: the names of what it reads.
        counted: whether it is told how many pictures to work on.
        reads, writes: the types of the numbers.
    """

    name: str
    comment: str
    code: Code
    macs: int
    inputs: tuple[str, ...]
    counted: bool
    reads: str
    writes: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A net in C, as far as float32 and int8 differ.

    Attributes:
        plan: where its results lie.
        steps: its functions.
        kernels: the files of this package that they call.
        workspace: its size in float32.
        marks: what stands at the `@mark@`s of those files, and at these of the others:
            about: what else the title says;
            number: the type of results;
            cast: from float to that, for a pointer;
            borders: the statements that fill the borders;
            answers: the statement that copies row `i` of the logits from `workspace + @last@`.
    """

    plan: Plan
    steps: Sequence[Function]
    kernels: Sequence[str]
    workspace: int
    marks: Mapping[str, object]


def write_document(
    program: Program,
    *,
    name: str,
    classes: Sequence[str],
    confidence: float,
    temperature: float,
    golden: Golden | None,
    reads: bool = False,
) -> str:
    """The whole C file; see `write.export_c`, without whose `golden` there is no self-test."""
    net = program.plan.net
    marks = {
        "name": name,
        "NAME": name.upper(),
        "labels": _declared(name, classes),
        "names": _named(name, classes),
        "picture": net.picture.size,
        "classes": net.steps[-1].shape.channels,
        "confidence": number(confidence),
        "temperature": number(temperature),
        "sizes": f"{net.picture.size}_{net.steps[-1].shape.channels}_{program.workspace}",
        **_facts(program),
        **_calls(program),
        **program.marks,
    }
    marks["answers"] = _mark(str(marks["answers"]), marks)
    header = fill("header.h", marks)
    if reads:
        header = header.removesuffix("\n#endif\n") + fill("reading/read.h", marks) + "\n#endif\n"
    parts = [
        fill("title.c", marks),
        f"/* ---- {name}.h ---- */\n{header}/* ---- end of {name}.h ---- */\n",
        *(fill(file, marks) for file in program.kernels),
        *map(_function, program.steps),
        fill("entry.c", marks),
    ]
    if golden:
        parts.append(fill("selftest.c", marks | _answers(golden)))
    if reads:
        parts += [fill(f"reading/{file}", marks) for file in (*READING, "read.c")]
    return "\n".join(parts)


def _declared(name: str, classes: Sequence[str]) -> str:
    """What the header says of the names of classes; of digits nothing."""
    if are_digits(classes):
        return ""
    return (
        "\n/* The names of the classes, in UTF-8. */\n"
        f"extern const char *const {name}_labels[{name.upper()}_CLASSES];\n"
    )


def _named(name: str, classes: Sequence[str]) -> str:
    """The names themselves: letters and digits as they are, all else in octal."""
    if are_digits(classes):
        return ""
    texts = (
        "".join(
            chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03o}" for byte in text
        )
        for text in (label.encode() for label in classes)
    )
    rows = ",\n".join(f'    "{text}"' for text in texts)
    return f"\nconst char *const {name}_labels[{name.upper()}_CLASSES] = {{\n{rows}\n}};\n"


def fill(file: str, marks: Mapping[str, object]) -> str:
    """A file of this package, with a text in the place of each `@mark@`."""
    place = file if "/" in file else f"kernels/{file}"
    return _mark(resources.files(__package__).joinpath(place).read_text(encoding="ascii"), marks)


def _mark(text: str, marks: Mapping[str, object]) -> str:
    return re.sub(r"@(\w+)@", lambda match: str(marks[match[1]]), text)


def _facts(program: Program) -> dict[str, object]:
    """What the title and the header say of the net."""
    net, steps = program.plan.net, program.steps
    parameters = sum(
        step.weight.size + step.bias.size
        for step in net.steps
        if isinstance(step, (Convolution, Linear))
    )
    return {
        "shape": "\n   ".join(f"{step.name}: {step.comment}" for step in steps),
        "macs": f"{sum(step.macs for step in steps):,}",
        "parameters": f"{parameters:,}",
        "workspace": program.workspace,
        "bytes": f"{4 * program.workspace:,}",
        "sha256": net.sha256,
    }


def _function(step: Function) -> str:
    work = f" {step.macs:,} multiply-adds." if step.macs else ""
    count = "const int count, " if step.counted else ""
    kind = "INLINE" if step.counted else "static"
    sources = ", ".join(f"const {step.reads} *{name}" for name in step.inputs)
    data = f"{step.code.data}\n\n" if step.code.data else ""
    return (
        f"/* {step.name}: {step.comment}.{work} */\n{data}"
        f"{kind} void {step.name}({count}{sources}, {step.writes} *out)\n"
        f"{{\n{step.code.body}\n}}\n"
    )


def _calls(program: Program) -> dict[str, object]:
    """The statements of the entry points."""
    plan, steps = program.plan, program.steps
    net, body, head = plan.net, [], []
    if PICTURE in plan.places:
        place = plan.places[PICTURE]
        channels, height, width = net.picture
        to = (f"workspace + {place.inside}", place.row, channels)
        body.append(call("copy", channels, height, width, "picture", width, 1, height * width, *to))
    for index, (step, function) in enumerate(zip(net.steps, steps, strict=True)):
        slot = "" if index >= plan.head else "slot"
        pointers = [_pointer(plan, source, slot) for source in sources(step)]
        pointers.append(_pointer(plan, index, slot))
        if index >= plan.head:
            head.append(f"    {function.name}(count, {', '.join(pointers)});")
        else:
            body.append(f"    {function.name}({', '.join(pointers)});")
    return {
        "body": "\n".join(body),
        "head": "\n".join(head),
        "last": _pointer(plan, len(steps) - 1, "i").removeprefix("workspace + "),
        "group": plan.group,
        "choice": "1" if plan.group == 1 else f"count < {plan.group} ? 1 : {plan.group}",
    }


def _pointer(plan: Plan, index: int, slot: str) -> str:
    if index not in plan.places:
        return "picture"
    place = plan.places[index]
    step = f" + {slot} * {place.stride}" if slot and place.copies > 1 else ""
    return f"workspace + {place.inside}{step}"


def _answers(golden: Golden) -> dict[str, object]:
    """The digits of the self-test and their logits."""
    rows = golden.pictures.reshape(-1, golden.pictures.shape[-1])
    logits = define("golden_logits", golden.logits.astype(np.float32))
    return {
        "count": len(golden.pictures),
        "pictures": ",\n".join("    " + ",".join(map(str, row)) for row in rows.tolist()),
        "logits": logits.replace(" ALIGNED", ""),
        "tolerance": f"{golden.tolerance:g}",
    }
