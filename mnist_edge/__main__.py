"""`python -m mnist_edge`, and the console script."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]

_RARELY = 50_000  # new objects between two searches for cycles, not 700


def main() -> int:
    """Run the command line as a process of its own; gives its exit code."""
    # Modules are some hundred thousand objects that stay: to search them for garbage, while they
    # are imported and once more at the end, takes a fifth of the time of naming a digit.
    gc.set_threshold(_RARELY, *gc.get_threshold()[1:])
    from mnist_edge.cli import main as run

    code = run()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
