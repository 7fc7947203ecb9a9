"""Worker processes with a watchdog; and a last word from a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from attack.cases import LIMIT_S, MOST_BYTES, STRUCK, Case, Outcome, Result
from attack.ground import Ground
from attack.usage import held_bytes, peak_bytes, processor_s

_ENDED_BYTES = 2 << 30  # the watchdog's limit: the machine must live on
_LOOK_S = 0.05
_PATIENCE = 3


def run_cases(
    ground: Ground, cases: Iterable[Case], scratch: Path, *, workers: int = 2
) -> Iterator[Result]:
    """Run cases, in whatever order they end; what looks bad has been tried twice."""
    waiting, given = iter(cases), threading.Lock()
    results: queue.Queue[Result | BaseException | None] = queue.Queue()

    def work(number: int) -> None:
        try:
            with _Worker(ground, scratch / f"worker-{number}") as worker:
                while True:
                    with given:
                        case = next(waiting, None)
                    if case is None:
                        return
                    results.put(_judged(worker, case))
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(workers)]
    for thread in threads:
        thread.start()
    for _ in threads:
        while (result := results.get()) is not None:
            if isinstance(result, BaseException):
                raise result
            yield result


def _judged(worker: _Worker, case: Case) -> Result:
    with worker.laid(case):
        outcome = worker.run(case)
    suspicious = (
        not outcome.refused
        or outcome.struck
        or bool(outcome.left)
        or outcome.grown_bytes > MOST_BYTES
    )
    light = replace(case, files={}, prepare=None)  # a mutant is as large as what it was made from
    if not suspicious:
        return Result(case=light, outcome=outcome)
    tame = outcome.accepted and not outcome.struck and outcome.grown_bytes < MOST_BYTES
    if tame and case.may_pass:
        return Result(case=light, outcome=outcome)
    # Workers get old: only a process of its own tells what a user would see.
    with worker.laid(case):
        if tame and case.answers and answers_alike(worker.ground, worker.folder, case):
            struck = (worker.folder / STRUCK).exists()
            return Result(case=light, outcome=replace(outcome, struck=struck), again=True)
        alone = run_alone(worker.ground, worker.folder, case)
        wrong = alone.accepted and not case.may_pass
        if wrong and case.answers:
            wrong = not answers_alike(worker.ground, worker.folder, case)
    return Result(case=light, outcome=alone, wrong=wrong, again=True)


def run_alone(ground: Ground, folder: Path, case: Case) -> Outcome:
    """Run the command of a case as a user does, over what lies in a folder."""
    before = _listed(folder)
    outcome, _ = _command(ground, folder, case.words, case.environment)
    cost = ground.cost(case.words)
    grown = max(0, outcome.grown_bytes - cost)
    return replace(
        outcome,
        grown_bytes=grown,
        struck=(folder / STRUCK).exists(),
        left=_left(before, folder) if outcome.code == 2 else (),
    )


def answers_alike(ground: Ground, folder: Path, case: Case) -> bool:
    """Whether what was taken answers as the good one does."""
    _, said = _command(ground, folder, case.answers, case.environment)
    return alike(ground.answers(case.answers), said)


def alike(expected: str, said: str) -> bool:
    """Whether nineteen of twenty answers are the same."""
    with contextlib.suppress(ValueError, KeyError):
        pairs = [[a.get("digit") for a in json.loads(t)["answers"]] for t in (expected, said)]
        same = sum(one == other for one, other in zip(*pairs, strict=True))
        return bool(same >= 0.95 * len(pairs[0]))
    return False


def _command(
    ground: Ground, folder: Path, words: Iterable[str], environment: object = None
) -> tuple[Outcome, str]:
    """One process: what came of it, with its peak memory as what it has grown, and its stdout."""
    extra = dict(environment) if isinstance(environment, dict) else {}
    command = [sys.executable, "-m", "mnist_edge", *words]
    start = time.monotonic()
    said = folder.with_name(f"{folder.name}.alone")
    with said.open("wb") as out, said.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(
            command, cwd=folder, env=ground.environment(folder) | extra, stdin=subprocess.DEVNULL,
            stdout=out, stderr=err,
        )  # fmt: skip
    ended: Literal["", "time", "memory"] = ""
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_bytes(process.pid))
        if _is_overdue(process.pid, start, 0.0):
            ended = "time"
        elif peak > _ENDED_BYTES:
            ended = "memory"
        if ended:
            process.kill()
        time.sleep(_LOOK_S / 5)
    error = said.with_suffix(".err").read_text(errors="replace")
    outcome = Outcome(
        code=None if ended else process.returncode,
        ended=ended,
        error=error[-400:],
        traceback="Traceback (most recent" in error,
        seconds=time.monotonic() - start,
        grown_bytes=peak,
    )
    return outcome, said.read_text(errors="replace")


class _Worker:
    """A copy of the ground, and a process in it that is started again when it dies."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        self.ground = ground
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        shutil.copytree(self.ground.folder, self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        shutil.rmtree(self.folder)

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was asked and never read
                if stream is not None:
                    stream.close()
        self._process.wait()
        self._process = None

    @contextlib.contextmanager
    def laid(self, case: Case) -> Iterator[None]:
        """The ground with the files of a case over it, and afterwards without."""
        for name, data in case.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if case.prepare is not None:
            case.prepare(self.folder)
        try:
            yield
        finally:
            self._restore(case)

    def _restore(self, case: Case) -> None:
        known = self.ground.listed
        for name in sorted(_listed(self.folder) - known, reverse=True):
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for name in {*case.files} | (known - _listed(self.folder)):
            source, path = self.ground.folder / name, self.folder / name
            if source.is_dir():
                path.mkdir(exist_ok=True)
            elif source.exists():
                shutil.copyfile(source, path)

    def run(self, case: Case) -> Outcome:
        """Run the command of a case, for so long and with so much memory as it may take."""
        process = self._started()
        before = _listed(self.folder)
        start = time.monotonic()
        asked = {"words": list(case.words), "environment": dict(case.environment)}
        assert process.stdin is not None
        ended: Literal["", "time", "memory"] = ""
        answer: dict[str, int] | None = None
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            answer, ended = self._answer(process, start)
        except BrokenPipeError:
            pass
        if answer is None:
            self._end()
        error = self._said[1].read_text(errors="replace")
        code = answer["code"] if answer else None if ended else process.returncode
        return Outcome(
            code=code,
            ended=ended,
            error=error[-400:],
            traceback="Traceback (most recent" in error,
            struck=(self.folder / STRUCK).exists(),
            seconds=time.monotonic() - start,
            grown_bytes=answer["grown_bytes"] if answer else 0,
            left=_left(before, self.folder) if code == 2 else (),
        )

    def _answer(
        self, process: subprocess.Popen[str], start: float
    ) -> tuple[dict[str, int] | None, Literal["", "time", "memory"]]:
        assert process.stdout is not None
        had_s = processor_s(process.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not selector.select(_LOOK_S):
                if _is_overdue(process.pid, start, had_s):
                    return None, "time"
                if held_bytes(process.pid) > _ENDED_BYTES:
                    return None, "memory"
        line = process.stdout.readline()
        return (json.loads(line) if line else None), ""

    @property
    def _said(self) -> tuple[Path, Path]:
        return self.folder.with_suffix(".out"), self.folder.with_suffix(".err")

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "attack.worker", *map(str, self._said)],
                cwd=self.folder,
                env=self.ground.environment(self.folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self._process


def _is_overdue(pid: int, start: float, had_s: float) -> bool:
    """Whether a command hangs; for what others take of the machine it is not to blame."""
    took_s = time.monotonic() - start
    return took_s > LIMIT_S and (processor_s(pid) - had_s > LIMIT_S or took_s > _PATIENCE * LIMIT_S)


def _listed(folder: Path) -> set[str]:
    """Every file and folder below one, by its path; links are not followed."""
    return {
        os.path.relpath(os.path.join(place, name), folder)  # noqa: PTH118  ten times as fast
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def _left(before: set[str], folder: Path) -> tuple[str, ...]:
    """What a command that failed has left; locks may stay, as folders that are empty."""
    new = sorted(_listed(folder) - before)
    return tuple(
        name for name in new if not name.endswith(".lock") and not (folder / name).is_dir()
    )
