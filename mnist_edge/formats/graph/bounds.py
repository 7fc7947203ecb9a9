"""What a graph would take to run, found before a runtime sees it.

A runtime believes its file: a few bytes can ask it for gigabytes, or for work without an end. So
only operators are let through whose results can be told from the shapes that go in: those of
`rules.RULES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

from mnist_edge.formats.graph.outline import Operator, Outline, Tensor
from mnist_edge.formats.graph.rules import ABSENT, RULES, Result

MOST_OPERATORS = 1_000
MOST_NUMBERS = 1 << 24
"""That all results of a graph may have together for one picture: 64 MiB of float32."""

MOST_PRODUCTS = 1 << 33
"""That they may take for one picture: seconds. The largest net of ours takes six million."""


def count_numbers(outline: Outline, batch: int) -> int:
    """How many numbers all results of a graph have together: more than it ever holds at one time.

    Args:
        outline: of the graph.
        batch: the size of all that the file leaves open.

    Raises:
        ValueError: an operator that is not let through, shapes that do not fit, or are known only
            as it runs, or more of anything than a picture may take.
    """
    numbers, _ = infer(outline, batch)
    return numbers


def infer(outline: Outline, batch: int) -> tuple[int, dict[str, Tensor]]:
    """What `count_numbers` counts, and every tensor by its name. Raises as it does."""
    known = dict(outline.constants)
    for name, shape in outline.inputs.items():
        known.setdefault(name, Tensor(tuple(batch if size is None else size for size in shape)))
    numbers = sum(known[name].count for name in outline.inputs)
    products = 0
    for operator in _in_order(outline):
        result = apply(operator, known)
        for name, tensor in zip(operator.outputs, result.tensors, strict=False):
            if known.setdefault(name, tensor) is not tensor or min(tensor.shape, default=0) < 0:
                raise ValueError(f"{name!r:.40} is given twice, or has a size below nothing")
            numbers += tensor.count
        products += result.products
        numbers += result.scratch
        if numbers > MOST_NUMBERS * batch or products > MOST_PRODUCTS * batch:
            raise ValueError(f"at its {operator.kind} it takes more than a picture may")
    return numbers, known


def _in_order(outline: Outline) -> Iterator[Operator]:
    """The operators, each after those whose results it reads."""
    if len(outline.operators) > MOST_OPERATORS:
        raise ValueError(f"it has more than {MOST_OPERATORS:,} operators")
    givers = {name: number for number, op in enumerate(outline.operators) for name in op.outputs}
    before = {
        number: {givers[name] for name in operator.inputs if name in givers}
        for number, operator in enumerate(outline.operators)
    }
    for number in TopologicalSorter(before).static_order():
        yield outline.operators[number]


def apply(operator: Operator, known: Mapping[str, Tensor]) -> Result:
    """What an operator gives. Raises ValueError where it is none, or does not fit."""
    rule = RULES.get(operator.kind)
    if rule is None:
        raise ValueError(f"the operator {operator.kind!r:.60} is none that is let through")
    missing = [name for name in operator.inputs if name and name not in known]
    if missing:
        raise ValueError(f"it reads {missing[0]!r:.60}, which nothing gives")
    given = [known[name] if name else ABSENT for name in operator.inputs]
    try:
        return rule(operator, given)
    except (ValueError, LookupError, ZeroDivisionError) as error:
        raise ValueError(f"its {operator.kind} does not fit: {error}") from None
