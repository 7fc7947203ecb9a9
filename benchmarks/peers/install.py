"""Install a peer into an environment of its own, and convert a network for it, once each."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from mnist_edge.bundle.folder import Bundle

HERE = Path(__file__).resolve().parent
_INSTALL_TIMEOUT_S = 900.0
_CONVERT_TIMEOUT_S = 300.0


def install(peer: str, cache: Path) -> str:
    """Install a peer; the reason if that fails, else nothing."""
    requirements: tuple[str, ...] = importlib.import_module(f"peers.{peer}").REQUIREMENTS
    done = cache / f"{peer}.installed"
    if done.exists() and done.read_text() == "\n".join(requirements):
        return ""
    venv.create(cache / f"{peer}-venv", clear=True, with_pip=True)
    for requirement in ("numpy", *requirements):
        pip = ["-m", "pip", "install", "--quiet", *requirement.split()]
        if reason := run_python(python_of(peer, cache), pip, timeout_s=_INSTALL_TIMEOUT_S):
            return reason
    done.write_text("\n".join(requirements))
    return ""


def convert(peer: str, bundle: Bundle, cache: Path) -> str:
    """Convert a network for an installed peer; the reason if that fails, else nothing."""
    folder = network_of(peer, bundle.path, cache)
    done = folder / "converted"
    sources = b"".join((HERE / name).read_bytes() for name in (f"{peer}.py", "fixed.py"))
    digest = hashlib.sha256(sources).hexdigest()
    if done.exists() and done.read_text() == digest:
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    worker = ["-P", "-m", "peers.worker", "convert", peer, str(bundle.path), str(folder)]
    reason = run_python(python_of(peer, cache), worker, timeout_s=_CONVERT_TIMEOUT_S)
    if not reason:
        done.write_text(digest)
    return reason


def python_of(peer: str, cache: Path) -> Path:
    """The interpreter of a peer's environment."""
    folder = "Scripts" if sys.platform == "win32" else "bin"
    return cache / f"{peer}-venv" / folder / "python"


def network_of(peer: str, bundle: Path, cache: Path) -> Path:
    """The folder of what a peer made of a bundle."""
    return cache / peer / bundle.name


def run_python(python: Path, arguments: list[str], *, timeout_s: float) -> str:
    """Run Python with this package and the benchmarks; the reason if it fails, else nothing."""
    paths = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent)))
    what = " ".join(arguments[:5])
    try:
        subprocess.run(
            [str(python), *arguments],
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=os.environ | {"PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired:
        return f"{what} took more than {timeout_s:g} s"
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        last = lines[-1] if lines else f"exit code {error.returncode}"
        return f"{what} failed: {last:.200}"
    return ""
