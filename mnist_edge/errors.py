"""What can go wrong for a user, as one small tree.

MnistEdgeError          exit code 2: the request cannot be carried out
 ├── UsageError         an option or a recipe field that makes no sense
 ├── BadInput           a picture, array or file that is not what it should be
 ├── BundleError        a bundle or manifest that is missing, foreign or damaged
 │    ├── LeftBehind   a file of the bundle that is not on this machine
 │    ├── DigestMismatch  a file whose bytes are not the ones that the manifest names
 │    └── Untrusted       nobody whom the user named vouches for it
 ├── DataUnavailable    no data set and no way to get one
 ├── DeviceUnavailable  the device asked for is not there, or fell back to another one
 ├── MissingDependency  a package that this command needs is not installed
 ├── StorageError       a file cannot be written: no permission, no space, no such folder
 ├── TrainingError      training cannot go on: the loss is no number, the state is foreign
 └── NotEquivalent      exit code 1: the verdict is no

Everything else that escapes is a bug of ours: it is shown with its traceback and exit code 3.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

_NAME, _TRAIN = "mnist-edge", "train"
NOT_HERE = " is not here"
NOT_INSTALLED = " is not installed, but needed to "
"""What stands between a package and what it is needed to, so that reasons can be told together."""
# What comes with this package whatever extra was asked for, by the names under which it is imported
# and installed.
_ONNX = frozenset({"onnx"})
_BASE = frozenset({"numpy", "PIL", "pillow", "onnxruntime", "typer", "rich"})


class MnistEdgeError(Exception):
    """A failure that the user can act on.

    Args:
        what: what happened, in one line, without a full stop.
        fix: the command or the change that mends it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(what, fix)
        # One line on stderr whatever was quoted inside: file names may hold line breaks.
        self.what = _one_line(what)
        self.fix = _one_line(fix)

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders; the keyword-only `fix` would be lost by the default.
        return (_rebuild, (type(self), self.what, self.fix))


class UsageError(MnistEdgeError):
    """An option or a recipe field that makes no sense."""


class BadInput(MnistEdgeError):
    """A picture, array or file that is not what it should be."""


class BundleError(MnistEdgeError):
    """A bundle or manifest that is missing, foreign or damaged."""


class LeftBehind(BundleError):
    """A file that the manifest names is not here: a device need not hold all of them."""


class DigestMismatch(BundleError):
    """A file whose bytes are not the ones that the manifest names."""


class Untrusted(BundleError):
    """A bundle, or a file of one, that nobody whom the user named vouches for."""


class DataUnavailable(MnistEdgeError):
    """No data set, and no way to get one."""


class DeviceUnavailable(MnistEdgeError):
    """The device asked for is not there, or the runtime fell back to another one."""


class MissingDependency(MnistEdgeError):
    """A package that this command needs is not installed."""


class StorageError(MnistEdgeError):
    """A file cannot be written: no permission, no space, no such folder."""


class TrainingError(MnistEdgeError):
    """Training cannot go on: the loss is no number, or the saved state is foreign."""


class NotEquivalent(MnistEdgeError):
    """The verdict is no: an artifact does not give the checkpoint's answers."""

    exit_code: ClassVar[int] = 1


def missing_package(
    error: ModuleNotFoundError, purpose: str, *, extra: str = _TRAIN
) -> MissingDependency:
    """The error for a package that is not installed, with the command that installs it.

    Args:
        error: names the package.
        purpose: that it is needed to.
        extra: of pyproject.toml, that has it.
    """
    package = (error.name or "a package").partition(".")[0]
    return MissingDependency(
        f"{package}{NOT_INSTALLED}{purpose}",
        fix=install_advice({package}, extra=extra),
    )


def install_advice(packages: Collection[str], *, extra: str = _TRAIN) -> str:
    """What a user does to get packages that this one needs, or that an extra of it has.

    Where this package came from, it comes from again: its bare name could fetch a stranger's from
    an index, and is given only to who took it from one.
    """
    if extra == _TRAIN and _ONNX.issuperset(packages) and not has_torch():
        extra = "onnx"  # which does without torch, a hundred times as large
    return _advice("" if _BASE.issuperset(packages) or not extra else f"[{extra}]")


def restore_advice(folder: Path) -> str:
    """What a user does to get files of the package in `folder` as they were."""
    if checkout := _checkout():
        return f"run git restore {in_shell(folder)} in {in_shell(checkout)}"
    return _advice("", "--force-reinstall --no-deps ")


def has_torch() -> bool:
    """Whether this machine can train and export; where not, it takes what another one made."""
    return find_spec("torch") is not None


def _advice(extra: str, options: str = "") -> str:
    if checkout := _checkout():
        return f"run pip install -e {in_shell(f'.{extra}')} in {in_shell(checkout)}"
    source = _source(extra)
    if source is None:
        return f"install mnist-edge{extra} again from the wheel or checkout that it came from"
    return f"run pip install {options}{in_shell(source)}"


def in_shell(text: Path | str) -> str:
    """A path or another word as it is to be typed."""
    import shlex  # for which a command that ends well does not wait

    return shlex.quote(str(text))


def _checkout() -> Path | None:
    """The checkout that this module lies in, if it does: where it is not installed, or editable."""
    folder = Path(__file__).resolve().parents[1]
    try:
        ours = f'name = "{_NAME}"' in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return None
    return folder if ours else None


def _source(extra: str) -> str | None:
    """What to ask pip for: where the installed package came from (PEP 610); None if unknown."""
    # Slow to import, and needed only here.
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        recorded = distribution(_NAME).read_text("direct_url.json")
        if recorded is None:  # so it is for what came from an index
            return f"{_NAME}{extra}"
        origin = json.loads(recorded)
        url = str(origin["url"])
        if vcs := origin.get("vcs_info"):
            return f"{_NAME}{extra} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    except (PackageNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not url.startswith("file:"):
        return f"{_NAME}{extra} @ {url}"
    path = Path(url2pathname(urlsplit(url).path))
    return f"{path}{extra}" if path.exists() else None


def _rebuild(kind: type[MnistEdgeError], what: str, fix: str) -> MnistEdgeError:
    return kind(what, fix=fix)


def _one_line(text: str) -> str:
    return " ".join(
        "".join(
            c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
        ).split()
    )


@contextmanager
def needed_to(purpose: str, *, extra: str = _TRAIN) -> Iterator[None]:
    """Imports in here become a MissingDependency that names the purpose where one is absent."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose, extra=extra) from error
