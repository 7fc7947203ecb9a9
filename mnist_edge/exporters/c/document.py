"""Put the whole C file together: header, kernels, steps, entry points and self-test."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from mnist_edge.exporters.c.emit import MOST_DOTS, write_steps
from mnist_edge.exporters.c.layers import PICTURE, Convolution, Linear, Net, sources
from mnist_edge.exporters.c.plan import GROUP, LANES, Plan, lay_out
from mnist_edge.exporters.c.text import Code, call, define


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


def write_document(net: Net, *, name: str, golden: Golden | None) -> str:
    """The whole C file.

    Args:
        net: what it computes.
        name: the prefix of what it defines.
        golden: built in with -DMNIST_EDGE_SELFTEST alone; without it there is no self-test.
    """
    plan = lay_out(net)
    steps = write_steps(net, plan)
    marks = {
        "name": name,
        "NAME": name.upper(),
        "picture": net.picture.size,
        "classes": net.steps[-1].shape.channels,
        "workspace": plan.size + LANES,
        "GROUP": GROUP,
        "MOST_DOTS": MOST_DOTS,
        **_facts(net, plan, steps),
        **_calls(net, plan, steps),
    }
    parts = [
        _fill("title.c", marks),
        f"/* ---- {name}.h ---- */\n{_fill('header.h', marks)}/* ---- end of {name}.h ---- */\n",
        *(_fill(file, marks) for file in _kernels(steps)),
        *map(_function, steps),
        _fill("entry.c", marks),
    ]
    if golden:
        parts.append(_fill("selftest.c", marks | _answers(golden)))
    return "\n".join(parts)


def _fill(file: str, marks: Mapping[str, object]) -> str:
    """A file of this package, with a text in the place of each `@mark@`."""
    text = resources.files(__package__).joinpath(file).read_text(encoding="ascii")
    return re.sub(r"@(\w+)@", lambda match: str(marks[match[1]]), text)


def _kernels(steps: Sequence[Code]) -> Iterator[str]:
    """The files whose functions the steps call."""
    bodies = "".join(step.body for step in steps)
    yield from ("prelude.c", "kernels.c")
    if "winograd(" in bodies:
        yield "winograd.c"
    if "winograd3(" in bodies:
        yield "winograd3.c"
    if "convolve_rows(" in bodies:
        yield "rows.c"
    yield "plain.c"


def _facts(net: Net, plan: Plan, steps: Sequence[Code]) -> dict[str, str]:
    """What the title says of the net."""
    parameters = sum(
        step.weight.size + step.bias.size
        for step in net.steps
        if isinstance(step, (Convolution, Linear))
    )
    return {
        "shape": "\n   ".join(f"{step.name}: {step.comment}" for step in steps),
        "macs": f"{sum(step.macs for step in steps):,}",
        "parameters": f"{parameters:,}",
        "bytes": f"{4 * (plan.size + LANES):,}",
        "sha256": net.sha256,
    }


def _function(code: Code) -> str:
    work = f" {code.macs:,} multiply-adds." if code.macs else ""
    count = "const int count, " if code.counted else ""
    kind = "INLINE" if code.counted else "static"
    sources = ", ".join(f"const float *{name}" for name in code.inputs)
    data = f"{code.data}\n\n" if code.data else ""
    return (
        f"/* {code.name}: {code.comment}.{work} */\n{data}"
        f"{kind} void {code.name}({count}{sources}, float *out)\n{{\n{code.body}\n}}\n"
    )


def _calls(net: Net, plan: Plan, steps: Sequence[Code]) -> dict[str, object]:
    """The statements of the entry points."""
    body, head = [], []
    if PICTURE in plan.places:
        place = plan.places[PICTURE]
        channels, height, width = net.picture
        to = (f"workspace + {place.inside}", place.row, channels)
        body.append(call("copy", channels, height, width, "picture", width, 1, height * width, *to))
    for index, (step, code) in enumerate(zip(net.steps, steps, strict=True)):
        slot = "" if index >= plan.head else "slot"
        pointers = [_pointer(plan, source, slot) for source in sources(step)]
        pointers.append(_pointer(plan, index, slot))
        if index >= plan.head:
            head.append(f"    {code.name}(count, {', '.join(pointers)});")
        else:
            body.append(f"    {code.name}({', '.join(pointers)});")
    return {
        "body": "\n".join(body),
        "head": "\n".join(head),
        "last": _pointer(plan, len(steps) - 1, "i").removeprefix("workspace + "),
        "zeroed": plan.zeroed,
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
