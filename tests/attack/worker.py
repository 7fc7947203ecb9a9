"""One process that runs command after command; what each said goes to two files.

python -m attack.worker OUT ERR       a line of JSON in, {"words": [...], "environment": {...}},
                                      a line of JSON out, {"code": 2, "grown_bytes": 4096}
"""

from __future__ import annotations

import gc
import json
import os
import sys
from contextlib import suppress

from attack.usage import forget_peak, peak_bytes


def main() -> None:
    """Answer until there is nothing more asked."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    from mnist_edge.cli import main as run

    for line in sys.stdin:
        asked = json.loads(line)
        forget_peak()
        before = peak_bytes()
        with _said(sys.argv[1], sys.argv[2]), _environment(asked["environment"]):
            code = _exit_code(run, asked["words"])
        grown = peak_bytes() - before
        gc.collect()
        print(json.dumps({"code": code, "grown_bytes": grown}), file=answers, flush=True)


def _exit_code(run: object, words: list[str]) -> int:
    assert callable(run)
    try:
        code = run(words)
    except SystemExit as end:
        code = end.code
    return code if isinstance(code, int) else 0


class _said:  # noqa: N801  used as a function
    """Let what is written to the two streams, by whatever library, go to two files."""

    def __init__(self, out: str, err: str) -> None:
        self.files = out, err

    def __enter__(self) -> None:
        self.kept = [os.dup(number) for number in (1, 2)]
        for number, name in zip((1, 2), self.files, strict=True):
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, number)
            os.close(handle)

    def __exit__(self, *_: object) -> None:
        for number, stream, kept in zip((1, 2), (sys.stdout, sys.stderr), self.kept, strict=True):
            with suppress(OSError, ValueError):
                stream.flush()
            os.dup2(kept, number)
            os.close(kept)


class _environment:  # noqa: N801
    def __init__(self, changes: dict[str, str]) -> None:
        self.changes = changes

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.changes}
        os.environ.update(self.changes)

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


if __name__ == "__main__":
    main()
