"""Nets that are programs, run and brought to ONNX in a process of their own.

    python -m mnist_edge.train.program REQUEST FOLDER

A class of the user's own with weights of a file, a TorchScript archive, or a `.pt2` program. What
such a program prints, raises or ends is not ours: the process answers by a file in FOLDER alone.
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from mnist_edge.bundle.storage import read_file, scratch_folder
from mnist_edge.errors import BadInput, MnistEdgeError, UsageError
from mnist_edge.foreign.net import ForeignNet
from mnist_edge.foreign.read import MOST_BYTES
from mnist_edge.foreign.state_dict import COUNTER
from mnist_edge.recipes.terms import DEFAULT_OPSET
from mnist_edge.train.weights import read_weights

_SECONDS = 300
_NET, _REASON = "net.onnx", "reason"
_SHAPES = (
    *((1, 28, 28), (784,), (28, 28), (1, 32, 32), (3, 28, 28), (3, 32, 32), (1, 14, 14)),
    *((28, 28, 1), (196,), (1024,), (1, 784)),
)
"""Of a picture, as people's nets take it."""


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What the process is asked for: a class with weights, or where none is named, a program."""

    path: str
    source: str = ""
    name: str = ""
    arguments: str = "{}"
    key: str = ""


def read_user_class(
    path: Path, architecture: str, arguments: str, key: str
) -> tuple[ForeignNet, ...]:
    """The net of a class whose program the user gives, which is run.

    Args:
        path: of the weights.
        architecture: FILE.py:CLASS.
        arguments: of the class, as JSON.
        key: as for `weights.read_weights`.

    Raises:
        UsageError: the class or its arguments are not named as they should be.
        BadInput: the program fails, or the weights are not of the class.
    """
    file, _, name = architecture.rpartition(":")
    if not name.isidentifier() or not Path(file).is_file():
        raise UsageError(
            f"{architecture!r:.80} names no class in a file",
            fix="give --architecture FILE.py:CLASS",
        )
    try:
        options = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise UsageError(
            f"{arguments!r:.80} are no arguments by name",
            fix="""give them as JSON, such as --arguments '{"hidden": 128}'""",
        )
    request = _Request(
        path=str(path), source=file, name=name, arguments=json.dumps(options), key=key
    )
    fix = "mend the class, its --arguments, or the choice of --key"
    return (_asked(request, architecture, f"a torch model: {name}", fix),)


def read_program(path: Path, said: str) -> tuple[ForeignNet, ...]:
    """The net in a TorchScript archive or a `.pt2` file, which is run.

    Raises:
        BadInput: it cannot be, or takes no picture.
    """
    fix = "export the net to ONNX where it was made, and import that"
    return (_asked(_Request(path=str(path)), str(path), said, fix),)


def _asked(request: _Request, called: str, said: str, fix: str) -> ForeignNet:
    with scratch_folder() as folder:
        command = [sys.executable, "-m", __name__, json.dumps(asdict(request)), str(folder)]
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BadInput(
                f"{called} ran for more than {_SECONDS} s", fix="let it only define the net"
            ) from None
        net, reason = folder / _NET, folder / _REASON
        if not net.exists():
            why = reason.read_text() if reason.exists() else "its program ended by itself"
            raise BadInput(f"{called}: {why}", fix=fix)
        return ForeignNet(graph=net.read_bytes(), said=said, kind="torch")


# --- in the other process -------------------------------------------------------------------------


def _of_class(request: _Request) -> nn.Module:
    weights = read_weights(Path(request.path), request.key).tensors
    source = Path(request.source).resolve()
    sys.path.insert(0, str(source.parent))
    spec = importlib.util.spec_from_file_location(source.stem, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[source.stem] = module
    spec.loader.exec_module(module)
    net = getattr(module, request.name)(**json.loads(request.arguments))
    if not isinstance(net, nn.Module):
        raise TypeError(f"{request.name} is no torch.nn.Module")
    net.load_state_dict(_own(weights, net.state_dict()))
    return net.eval()


def _own(weights: Mapping[str, Tensor], wanted: Iterable[str]) -> Mapping[str, Tensor]:
    """The weights by the names that a class has: wrappers of modules put a prefix before them."""
    names = [name for name in wanted if not name.endswith(COUNTER)]
    prefixes = {name[: -len(n)] for n in names[:1] for name in weights if name.endswith(n)}
    for prefix in sorted(prefixes - {""}):
        if all(f"{prefix}{name}" in weights for name in names):
            return {name: weights[f"{prefix}{name}"] for name in names}
    return weights


def _traced(net: nn.Module) -> bytes:
    for shape in (*_SHAPES, *_SHAPES):
        example = torch.rand(1, *shape)
        try:
            with torch.no_grad():
                net(example)
        except Exception:  # it wants pictures of another shape, or of halves
            net = net if shape != _SHAPES[-1] else net.float()
            continue
        if isinstance(net, torch.jit.ScriptModule):  # which the newer exporter does not take
            buffer = io.BytesIO()
            export = partial(torch.onnx.export, dynamo=False, opset_version=DEFAULT_OPSET)
            export(net, (example,), cast("str", buffer))  # or a stream
            return buffer.getvalue()
        return _captured(net, example)
    raise ValueError("it takes pictures of none of the usual shapes, such as (N, 1, 28, 28)")


def _captured(net: nn.Module | torch.export.ExportedProgram, *example: Tensor) -> bytes:
    program = torch.onnx.export(
        net, example, dynamo=True, opset_version=DEFAULT_OPSET, verbose=False
    )
    assert program is not None
    return cast("bytes", program.model_proto.SerializeToString())


def _of_program(path: str) -> bytes:
    data = io.BytesIO(read_file(path, most=MOST_BYTES))
    try:
        module = torch.jit.load(data, map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError:
        data.seek(0)
        return _captured(torch.export.load(data))
    return _traced(module.eval())


def main(arguments: list[str]) -> int:
    """Run a program, and leave its net or the reason why there is none."""
    request, folder = _Request(**json.loads(arguments[0])), Path(arguments[1])
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True  # beside the user's program
    try:
        net = _traced(_of_class(request)) if request.name else _of_program(request.path)
        (folder / _NET).write_bytes(net)
    except MnistEdgeError as error:
        reason = error.what
    except BaseException as error:  # SystemExit, too: whatever a program does
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    else:
        return 0
    (folder / _REASON).write_text(f"{reason:.300}")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
