"""Put the whole C file together: header, kernels, steps, entry points and self-test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mnist_edge.exporters.c.emit import MOST_DOTS, Code, define, write_steps
from mnist_edge.exporters.c.layers import PICTURE, Convolution, Linear, Net, sources
from mnist_edge.exporters.c.plan import GROUP, LANES, Plan, lay_out

_HEADER = """\
#ifndef {NAME}_H
#define {NAME}_H

/* Sizes in numbers, not in bytes. A picture has its rows one after the other, white on black,
   each pixel 0 to 1. A workspace serves one call at a time; it need not be initialised. */
#define {NAME}_PICTURE {picture}
#define {NAME}_CLASSES {classes}
#define {NAME}_WORKSPACE {workspace}

#ifdef __cplusplus
extern "C" {{
#endif

/* The class scores of `count` pictures, one row of {NAME}_CLASSES after the other. */
void {name}_logits(const float *pictures, int count, float *logits, float *workspace);

/* The class with the highest score. */
int {name}_class(const float *picture, float *workspace);

#ifdef __cplusplus
}}
#endif

#endif
"""

_TITLE = """\
/* {name}: a net that mnist-edge wrote as C. It needs neither a runtime nor memory to allocate.

   {shape}
   {macs:,} multiply-adds a picture, {parameters:,} parameters, {workspace:,} bytes of workspace
   made from the ONNX graph with SHA-256 {sha256}

   Build:      cc -O3 -march=native -c {name}.c       (-mcpu=native on Arm)
   Self-test:  cc -O3 -march=native -DMNIST_EDGE_SELFTEST {name}.c && ./a.out
   Use:        static float workspace[{NAME}_WORKSPACE];
               int digit = {name}_class(picture, workspace);

   C99 with GCC's vector types where the compiler has them; MNIST_EDGE_SCALAR does without.
   With -std=c99, GCC wants -ffp-contract=fast, or it multiplies and adds in two steps. */
"""

_ENTRY = """\
/* ---- The net ------------------------------------------------------------------------------- */

/* From a picture to what the last matrix products read; `slot` says where that goes. */
static void body(const float *picture, float *workspace, int slot)
{{
    (void)slot;
{body}
}}

/* The last matrix products, for several pictures at once, so that weights are read once for all. */
INLINE void head(const int count, float *workspace, float *logits)
{{
{head}
    for (int i = 0; i < count; i++)
        memcpy(logits + i * {NAME}_CLASSES, workspace + {last}, sizeof *logits * {NAME}_CLASSES);
}}

void {name}_logits(const float *pictures, int count, float *logits, float *workspace)
{{
    /* Vectors that cross no line of the cache are faster; the workspace has room for the step. */
    workspace += (64 - (uintptr_t)workspace % 64) % 64 / sizeof *workspace;
    memset(workspace, 0, sizeof *workspace * {zeroed});
    while (count > 0) {{
        const int group = {choice};
        for (int i = 0; i < group; i++)
            body(pictures + i * {NAME}_PICTURE, workspace, i);
        if (group == 1)
            head(1, workspace, logits);
        else
            head({group}, workspace, logits);
        pictures += group * {NAME}_PICTURE;
        logits += group * {NAME}_CLASSES;
        count -= group;
    }}
}}

int {name}_class(const float *picture, float *workspace)
{{
    float logits[{NAME}_CLASSES];
    int best = 0;
    {name}_logits(picture, 1, logits, workspace);
    for (int i = 1; i < {NAME}_CLASSES; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}}
"""

_SELFTEST = """\
#ifdef MNIST_EDGE_SELFTEST
/* ---- Self-test: digits whose scores are known ------------------------------------------------ */

#include <stdio.h>
#include <time.h>

#define GOLDEN {count}

static const unsigned char golden_pictures[GOLDEN * {NAME}_PICTURE] = {{
{pictures}
}};
{logits}

int main(void)
{{
    static float pictures[GOLDEN * {NAME}_PICTURE], logits[GOLDEN * {NAME}_CLASSES];
    static float workspace[{NAME}_WORKSPACE];
    float worst = 0.0f;
    clock_t start, spent;
    int passed, runs = 0;
    for (int i = 0; i < GOLDEN * {NAME}_PICTURE; i++)
        pictures[i] = (float)golden_pictures[i] / 255.0f;
    {name}_logits(pictures, GOLDEN, logits, workspace);
    for (int i = 0; i < GOLDEN * {NAME}_CLASSES; i++) {{
        const float error = logits[i] - golden_logits[i];
        worst = error > worst ? error : -error > worst ? -error : worst;
        if (!(error == error))
            worst = 1.0f; /* no number */
    }}
    passed = worst <= {tolerance}f;
    start = clock();
    do {{
        for (int i = 0; i < GOLDEN; i++, runs++)
            {name}_logits(pictures + i * {NAME}_PICTURE, 1, logits, workspace);
        spent = clock() - start;
    }} while (spent < CLOCKS_PER_SEC / 10);
    printf("%s: %d golden digits, largest error %.2g; %.2f us a picture\\n",
           passed ? "pass" : "FAIL", GOLDEN, (double)worst,
           1e6 * (double)spent / CLOCKS_PER_SEC / runs);
    return passed ? 0 : 1;
}}
#endif
"""


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
    names = {"name": name, "NAME": name.upper()}
    workspace = plan.size + LANES
    classes = net.steps[-1].shape.channels
    header = _HEADER.format(**names, picture=net.picture.size, classes=classes, workspace=workspace)
    title = _TITLE.format(
        **names,
        shape="\n   ".join(f"{step.name}: {step.comment}" for step in steps),
        macs=sum(step.macs for step in steps),
        parameters=_parameters(net),
        workspace=4 * workspace,
        sha256=net.sha256,
    )
    constants = {"@GROUP@": str(GROUP), "@MOST_DOTS@": str(MOST_DOTS)}
    kernels = [_source("prelude.c"), _source("kernels.c", constants)]
    if any("winograd(" in step.body for step in steps):
        kernels.append(_source("winograd.c"))
    if any("convolve_rows(" in step.body for step in steps):
        kernels.append(_source("rows.c"))
    kernels.append(_source("plain.c"))
    parts = [
        title,
        f"/* ---- {name}.h ---- */\n{header}/* ---- end of {name}.h ---- */\n",
        "#include <stdint.h>\n#include <string.h>\n",
        *kernels,
        *map(_function, steps),
        _entry(net, plan, steps, names),
        *([_selftest(golden, names)] if golden else []),
    ]
    return "\n".join(parts)


def _source(file: str, constants: Mapping[str, str] = MappingProxyType({})) -> str:
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    for mark, value in constants.items():
        text = text.replace(mark, value)
    return text


def _parameters(net: Net) -> int:
    return sum(
        step.weight.size + step.bias.size
        for step in net.steps
        if isinstance(step, (Convolution, Linear))
    )


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


def _entry(net: Net, plan: Plan, steps: list[Code], names: dict[str, str]) -> str:
    body, head = [], []
    if PICTURE in plan.places:
        place = plan.places[PICTURE]
        channels, height, width = net.picture
        body.append(
            f"    copy({channels}, {height}, {width}, picture, {width}, 1, {height * width}, "
            f"workspace + {place.inside}, {place.row}, {channels});"
        )
    for index, (step, code) in enumerate(zip(net.steps, steps, strict=True)):
        copy = "" if index >= plan.head else "slot"
        pointers = [_pointer(plan, source, copy) for source in sources(step)]
        pointers.append(_pointer(plan, index, copy))
        if index >= plan.head:
            head.append(f"    {code.name}(count, {', '.join(pointers)});")
        else:
            body.append(f"    {code.name}({', '.join(pointers)});")
    return _ENTRY.format(
        **names,
        body="\n".join(body),
        head="\n".join(head),
        last=_pointer(plan, len(steps) - 1, "i").removeprefix("workspace + "),
        zeroed=plan.zeroed,
        group=plan.group,
        choice="1" if plan.group == 1 else f"count < {plan.group} ? 1 : {plan.group}",
    )


def _pointer(plan: Plan, index: int, copy: str) -> str:
    if index not in plan.places:
        return "picture"
    place = plan.places[index]
    step = f" + {copy} * {place.stride}" if copy and place.copies > 1 else ""
    return f"workspace + {place.inside}{step}"


def _selftest(golden: Golden, names: dict[str, str]) -> str:
    rows = golden.pictures.reshape(-1, golden.pictures.shape[-1])
    return _SELFTEST.format(
        **names,
        count=len(golden.pictures),
        pictures=",\n".join("    " + ",".join(map(str, row)) for row in rows.tolist()),
        logits=define("golden_logits", golden.logits.astype(np.float32)).replace(" ALIGNED", ""),
        tolerance=f"{golden.tolerance:g}",
    )
