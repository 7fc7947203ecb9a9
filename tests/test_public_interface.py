"""What Python users may call: complete, lazy, described, and without a trace in their process."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from factory import ROOT

import mnist_edge

PAGE = (ROOT / "docs" / "python.md").read_text()


@pytest.mark.edge
@pytest.mark.parametrize("name", mnist_edge.__all__)
def test_every_name_is_there_and_described(name: str) -> None:
    value = getattr(mnist_edge, name)
    if not isinstance(value, dict):
        assert inspect.getdoc(value), name
    assert f"`{name}" in PAGE


@pytest.mark.edge
def test_the_page_promises_nothing_else() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = {line.split("`")[1].partition("(")[0] for line in rows}
    assert named == set(mnist_edge.__all__)
    assert set(dir(mnist_edge)) == {*mnist_edge.__all__, "__version__"}


@pytest.mark.edge
def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'predictor'"):
        _ = mnist_edge.predictor


@pytest.mark.edge
def test_importing_loads_nothing_else() -> None:
    script = "import sys, mnist_edge; dir(mnist_edge); print('numpy' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"


PROCESS = """
import os, random, sys
import numpy as np
import torch
torch.set_num_threads(2)
torch.manual_seed(5); np.random.seed(5); random.seed(5)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

def state():
    return (torch.get_num_threads(), torch.get_rng_state().tolist(), random.getstate(),
            np.random.get_state()[1].tolist(), dict(os.environ), os.getcwd())

def changed(one, other):
    if isinstance(one, dict):
        return {k: (one.get(k), other.get(k)) for k in one | other if one.get(k) != other.get(k)}
    return str(one)[:99], str(other)[:99]

def main():
    before, stdout = state(), sys.stdout
    from dataclasses import replace
    from pathlib import Path
    import mnist_edge as edge
    from mnist_edge.data.fonts import rendered_data
    data = rendered_data(600, 200, seed=0)
    recipe = replace(edge.RECIPES["sprint"], epochs=1)
    bundle = edge.train_bundle(recipe, data, Path("b"), threads=1)
    formats = edge.ExportRecipe(
        formats=("onnx", "torchscript"), precisions=("float32", "int8"), allow_mismatch=True
    )
    bundle, _ = edge.export_artifacts(bundle, formats)
    edge.verify_bundle(bundle, data=data)
    edge.check_machine(bundle)
    edge.Predictor.load(bundle.path, allow_mismatch=True)(data.test_images[0])
    assert sys.stdout is stdout
    for one, other in zip(before, state(), strict=True):
        assert one == other, changed(one, other)
    print("as it was")

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_a_call_leaves_the_process_as_it_found_it(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="trains")
    (tmp_path / "calls.py").write_text(PROCESS)
    said = run(tmp_path, "calls.py")
    assert said == "as it was\n"


@pytest.mark.slow
@pytest.mark.real_data
def test_the_whole_chain_is_a_script_of_fifteen_lines(tmp_path: Path, mnist_dir: Path) -> None:
    pytest.importorskip("torch", reason="trains")
    script = ROOT / "examples" / "whole_chain.py"
    lines = script.read_text().split("\n\n", 1)[1].splitlines()
    assert len([line for line in lines if line.strip()]) <= 17  # two of them import a standard name
    said = run(tmp_path, str(script)).splitlines()
    assert said[0] == "equivalent: True"
    assert any(line.startswith("onnx-float32") for line in said)
    assert said[-1].split() == ["7", "7"]


def run(folder: Path, script: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
