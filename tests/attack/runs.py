"""Commands that are ended in the middle: by a signal, which they answer, or by SIGKILL.

python -m attack.runs train FOLDER       what `kills` ends: train, or go on
python -m attack.runs export FOLDER 18   export over what is there
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from attack.cases import Case, Outcome, Result
from attack.ground import BUNDLE, Ground
from mnist_edge.bundle.folder import open_bundle
from mnist_edge.bundle.manifest import CHECKPOINT, MANIFEST

_STOPPED = (
    ("predict", "pictures", *["pictures"] * 300, "--bundle", BUNDLE),
    ("verify", "--bundle", BUNDLE, "--thorough", "--out", "o.json"),
    ("bench", "--quick", "--bundle", BUNDLE, "--out", "o.json"),
    ("doctor", "--bundle", BUNDLE),
    ("export", "--bundle", BUNDLE, "--out", "new", "--format", "ort", "--format", "torchscript"),
    ("train", "--recipe", "sprint", "--data", "rendered", "--bundle", "new"),
    ("report", "--bundle", BUNDLE, "--out", "o.html"),
    ("import", f"{BUNDLE}/checkpoint.safetensors", "--recipe", "small", "--bundle", "new"),
)
_ENDS_WITHIN_S = 5.0

# The first epoch ends after about 0.9 s, each further one 0.02 s later: some kills fall into the
# start, most into an epoch or the writing of its state, and all of them before the last epoch.
_KILL_TRAINING_AFTER_S = (0.8, 1.4)
# An export of four files takes a second or two, most of it before it writes.
_KILL_EXPORT_AFTER_S = (0.5, 4.0)


def signals(ground: Ground, scratch: Path, count: int, rng: random.Random) -> Iterator[Result]:
    """Ctrl-C and SIGTERM at any moment: the command ends soon, in one line, with its exit code."""

    for number in range(count):
        words = _STOPPED[number // 2 % len(_STOPPED)]
        sent = (signal.SIGINT, signal.SIGTERM)[number % 2]
        after_s = rng.uniform(0.4, 3.0)
        folder = scratch / "stopped"
        shutil.copytree(ground.folder, folder)
        case = Case(
            kind="signals",
            name=f"{sent.name} after {after_s:.1f} s of {words[0]}",
            words=words,
            may_pass=True,  # it may have been done
        )
        outcome = _stopped(ground, folder, words, sent, after_s)
        if outcome.code == 128 + sent:
            outcome = replace(outcome, code=2)
        yield Result(case=case, outcome=outcome, again=True)
        shutil.rmtree(folder)


def _stopped(
    ground: Ground, folder: Path, words: tuple[str, ...], sent: signal.Signals, after_s: float
) -> Outcome:
    with subprocess.Popen(
        [sys.executable, "-m", "mnist_edge", *words],
        cwd=folder,
        env=ground.environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        time.sleep(after_s)
        process.send_signal(sent)
        start = time.monotonic()
        try:
            _, error = process.communicate(timeout=_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return Outcome(code=None, ended="time", seconds=_ENDS_WITHIN_S)
    return Outcome(
        code=process.returncode,
        error=error[-400:],
        traceback="Traceback (most recent" in error,
        seconds=time.monotonic() - start,
    )


def kills(ground: Ground, scratch: Path, count: int, rng: random.Random) -> Iterator[Result]:
    """SIGKILL at any moment of a training and of exports over a bundle.

    After each one the manifest names only files that are there and whole. The training, gone on
    with after every kill, ends with the same bytes as one that was never killed.
    """
    whole, killed = scratch / "whole", scratch / "killed"
    _work(ground, "train", str(whole))
    for number in range(count):
        yield _killed(ground, number, ("train", str(killed)), rng.uniform(*_KILL_TRAINING_AFTER_S))
    _work(ground, "train", str(killed))
    digests = {open_bundle(folder).artifact(CHECKPOINT).sha256 for folder in (whole, killed)}
    case = Case(kind="kills", name=f"the weights after {count} kills", words=("train",))
    yield Result(case=case, outcome=Outcome(code=2), wrong=len(digests) > 1, again=True)
    for number in range(count // 2):
        words = ("export", str(killed), str(18 + number % 2))
        yield _killed(ground, number, words, rng.uniform(*_KILL_EXPORT_AFTER_S))


def _killed(ground: Ground, number: int, words: tuple[str, ...], after_s: float) -> Result:
    command = [sys.executable, "-m", "attack.runs", *words]
    with subprocess.Popen(
        command,
        env=ground.environment(Path("killed")),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(after_s)
        child.send_signal(signal.SIGKILL)
    name = f"{words[0]} number {number} killed after {after_s:.2f} s"
    outcome = Outcome(code=2, seconds=after_s)
    try:
        _check_whole(Path(words[1]))
    except Exception as error:
        outcome = Outcome(code=3, error=str(error), seconds=after_s)
    return Result(case=Case(kind="kills", name=name, words=words), outcome=outcome, again=True)


def _check_whole(folder: Path) -> None:
    """Read every file that the manifest names, if there is one already."""
    if (folder / MANIFEST).exists():
        bundle = open_bundle(folder)
        for record in bundle.manifest.records:
            bundle.read(record)


def _work(ground: Ground, *words: str) -> None:
    command = [sys.executable, "-m", "attack.runs", *words]
    environment = ground.environment(Path("killed"))
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def main(words: list[str]) -> None:
    """What is killed. All is imported first: seconds in which there is nothing to harm."""
    import mnist_edge.formats.source
    import mnist_edge.train.write  # noqa: F401
    from mnist_edge.data.fonts import rendered_data
    from mnist_edge.formats.export import export_verified
    from mnist_edge.recipes.catalogue import train_recipe
    from mnist_edge.recipes.export import ExportRecipe
    from mnist_edge.train.session import STATE, train_bundle

    folder = Path(words[1])
    if words[0] == "train":
        recipe = replace(train_recipe("sprint"), widths=(8, 16), epochs=400, batch_size=50)
        data = rendered_data(600, 200, seed=0)
        print("ready", flush=True)
        train_bundle(recipe, data, folder, threads=1, resume=(folder / STATE).exists())
        return
    bundle = open_bundle(folder)
    print("ready", flush=True)
    export_verified(bundle, ExportRecipe(formats=("torchscript", "onnx"), opset=int(words[2])))


if __name__ == "__main__":
    main(sys.argv[1:])
