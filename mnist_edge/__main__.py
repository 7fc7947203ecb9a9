"""`python -m mnist_edge`, and the console script."""

from __future__ import annotations

import gc
import os
import sys
import threading

__all__ = ["main"]

_RARELY = 100_000  # new objects between two searches for cycles, not 700
_WITH_TORCH = {"run", "train", "import", "export"}  # whose garbage may be large


def main() -> int:
    """Run the command line as a process of its own; gives its exit code."""
    # Modules are some ten thousand objects that stay. To search them for garbage again and again
    # while they are imported, and once more at the end, takes a fifth of the time of a prediction.
    if _WITH_TORCH.isdisjoint(sys.argv[1:2]):
        gc.set_threshold(_RARELY, *gc.get_threshold()[1:])
    from mnist_edge.cli import main as run

    code = run()
    gc.freeze()
    if _is_plain():
        sys.stderr.flush()
        os._exit(code)
    return code


def _is_plain() -> bool:
    """Whether nothing waits for the interpreter to take itself apart, which takes a while, too.

    Only for what a prediction of a few pictures loads is that known.
    """
    others = {"multiprocessing", "concurrent.futures", "torch"} & sys.modules.keys()
    watched = sys.gettrace() or sys.getprofile() or sys.flags.interactive or sys.flags.inspect
    return not (others or watched or threading.active_count() > 1)


if __name__ == "__main__":
    sys.exit(main())
