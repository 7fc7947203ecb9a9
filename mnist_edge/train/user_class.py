"""A class of the user's own, with weights of a file: traced to ONNX in a process of its own.

    python -m mnist_edge.train.user_class FILE.py CLASS ARGUMENTS WEIGHTS KEY OUT

The user's program runs there, and only there: what it prints, raises or ends is not ours.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import torch
from torch import nn

from mnist_edge.bundle.storage import scratch_folder
from mnist_edge.errors import BadInput, MnistEdgeError, UsageError
from mnist_edge.foreign.net import ForeignNet
from mnist_edge.recipes.terms import DEFAULT_OPSET
from mnist_edge.train.torch_nets import read_weights

_SECONDS = 300
_REFUSED = 3
_SHAPES = (
    *((1, 28, 28), (784,), (28, 28), (1, 32, 32), (3, 28, 28), (3, 32, 32), (1, 14, 14)),
    *((28, 28, 1), (196,), (1024,), (1, 784)),
)
"""Of a picture, as people's nets take it."""


def read_user_class(
    path: Path, architecture: str, arguments: str, key: str
) -> tuple[ForeignNet, ...]:
    """The net of a class whose program the user gives, which is run.

    Args:
        path: of the weights.
        architecture: FILE.py:CLASS.
        arguments: of the class, as JSON.
        key: as for `torch_nets.read_torch_nets`.

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
    with scratch_folder() as folder:
        out = folder / "net.onnx"
        given = [file, name, json.dumps(options), str(path), key, str(out)]
        command = [sys.executable, "-m", "mnist_edge.train.user_class", *given]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise BadInput(
                f"{architecture} ran for more than {_SECONDS} s", fix="let it only define the net"
            ) from None
        if done.returncode or not out.exists():
            lines = done.stderr.strip().splitlines()
            reason = lines[-1] if done.returncode == _REFUSED and lines else "it ended by itself"
            raise BadInput(f"{architecture}: {reason:.300}", fix="mend the class, or its arguments")
        return (ForeignNet(graph=out.read_bytes(), said=f"a torch model: {name}", kind="torch"),)


def _net(file: str, name: str, arguments: str) -> nn.Module:
    source = Path(file).resolve()
    sys.path.insert(0, str(source.parent))
    spec = importlib.util.spec_from_file_location(source.stem, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[source.stem] = module
    spec.loader.exec_module(module)
    net = getattr(module, name)(**json.loads(arguments))
    if not isinstance(net, nn.Module):
        raise TypeError(f"{name} is no torch.nn.Module")
    return net


def _takes(net: nn.Module, example: torch.Tensor) -> bool:
    try:
        with torch.no_grad():
            net(example)
    except Exception:  # it wants pictures of another shape
        return False
    return True


def _trace(net: nn.Module, out: str) -> None:
    for shape in _SHAPES:
        example = torch.rand(1, *shape)
        if not _takes(net, example):
            continue
        program = torch.onnx.export(
            net, (example,), dynamo=True, opset_version=DEFAULT_OPSET, verbose=False
        )
        assert program is not None
        Path(out).write_bytes(program.model_proto.SerializeToString())
        return
    raise ValueError("it takes pictures of none of the usual shapes, such as (N, 1, 28, 28)")


def main(arguments: list[str]) -> int:
    """Run the program of the user."""
    file, name, options, weights, key, out = arguments
    try:
        with redirect_stdout(sys.stderr):
            tensors = read_weights(Path(weights), key)
            net = _net(file, name, options)
            net.load_state_dict(tensors)
            _trace(net.eval(), out)
    except MnistEdgeError as error:
        reason = error.what
    except BaseException as error:  # SystemExit, too: whatever a program does
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    else:
        return 0
    sys.stderr.write(f"\n{reason:.300}\n")
    return _REFUSED


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
