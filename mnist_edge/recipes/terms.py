"""The closed sets of names: formats, precisions, devices, data sets, and what checks a value."""

from __future__ import annotations

from typing import Literal, TypeAlias

from mnist_edge.errors import UsageError

Format: TypeAlias = Literal[
    "checkpoint", "source", "torchscript", "pt2", "onnx", "ort", "c", "litert", "ncnn", "web"
]
Precision: TypeAlias = Literal["float32", "float16", "int8-dynamic", "int8", "int8-io"]
Device: TypeAlias = Literal["cpu", "cuda", "mps"]
DeviceChoice: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
Runtime: TypeAlias = Literal["onnxruntime", "openvino"]
Mode: TypeAlias = Literal["plain", "compile", "cuda-graph"]
Preprocessing: TypeAlias = Literal["digit", "letter", "plain"]
"""What is done to a picture before the net sees it; see `picture`."""
NamedData: TypeAlias = Literal["fashion", "kmnist", "emnist-letters", "emnist-balanced", "qmnist"]
DataName: TypeAlias = Literal["mnist", "rendered", "drawn", NamedData, "folder"]
DataChoice: TypeAlias = Literal["auto", "mnist", "rendered", NamedData]
Architecture: TypeAlias = Literal[
    "simple", "dropout", "lenet", "batchnorm", "wide", "compact", "deep", "tiny"
]
Optimizer: TypeAlias = Literal["adam", "adamw"]
MixedPrecision: TypeAlias = Literal["off", "bfloat16"]
Schedule: TypeAlias = Literal["constant", "step", "onecycle"]
DEFAULT_ARTIFACT = "onnx-float32"

# Opset 18 with IR 8: the newest pair that ONNX Runtime 1.14 and everything later loads. The
# exporter cannot write an older opset, and from 22 on ONNX Runtime loses the int8 MaxPool fusion.
DEFAULT_OPSET = 18
OPSETS = range(18, 22)


def unknown_name(what: str, name: str, known: tuple[str, ...]) -> UsageError:
    """The error for a name that is in no table, with the nearest one that is."""
    import difflib  # for which whoever types no mistake does not wait

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(f"unknown {what} {name!r:.60}", fix=f"{hint}choose from {', '.join(known)}")


def check_range(option: str, value: float, low: float, high: float) -> None:
    """Raise UsageError unless `value` lies in `low` to `high`; both ends belong to it."""
    if not (low <= value <= high):  # also catches NaN
        raise UsageError(
            f"--{option} is {value!r:.30}, which is outside {as_limit(low)} to {as_limit(high)}",
            fix=f"give --{option} a value in that range",
        )


def as_limit(number: float) -> str:
    """The end of a range, to be typed: a whole number to its last digit."""
    return str(number) if isinstance(number, int) else f"{number:g}"
