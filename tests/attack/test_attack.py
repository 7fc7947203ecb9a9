"""A short attack: a few of each, seeded. `make attack` is the long one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from attack import bundles, images, lines, models, plan, weights
from attack.cases import LIMIT_S, MOST_BYTES, Case, Outcome, Result
from attack.damage import damaged, forged
from attack.ground import BUNDLE, GOOD, Ground, make_ground
from attack.pool import alike, run_cases
from attack.table import Report, described, markdown, rows

pytestmark = pytest.mark.edge


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    place = tmp_path_factory.mktemp("attack")
    return make_ground(place / "ground", place / "home", formats=())


def tried(ground: Ground, cases: Iterator[Case], scratch: Path) -> list[Result]:
    return [*run_cases(ground, cases, scratch, workers=1)]


@pytest.mark.timeout(600)
def test_nothing_of_a_short_attack_is_to_be_mended(ground: Ground, tmp_path: Path) -> None:
    results = tried(ground, plan.cases(ground, plan.SHORT, seed=1, whole=False), tmp_path)
    bad = [described(result) for result in results if result.bad]
    assert bad == []
    assert max(result.outcome.grown_bytes for result in results) <= MOST_BYTES
    table = {row.kind: row for row in rows(results)}
    for kind in ("damaged bundles", "signed bundles"):
        assert table[kind].refused == table[kind].tried > 30


@pytest.mark.timeout(300)
def test_odd_command_lines_are_refused_in_a_line(ground: Ground, tmp_path: Path) -> None:
    cheap = ("predict", "doctor", "report", "pack")
    cases = (case for case in lines.command_lines() if case.words[0] in cheap)
    assert [described(result) for result in tried(ground, cases, tmp_path) if result.bad] == []


def test_the_lists_are_as_long_as_the_table_promises(ground: Ground) -> None:
    long = plan.LONG
    assert long.damaged + long.files + long.manifests + long.signed + long.bare >= 5000
    assert len([*lines.command_lines()]) >= 60
    assert len(images._MAKERS) >= 40
    assert len([*models.hostile_graphs()]) >= 20
    assert long.signals >= 16
    assert long.kills >= 20
    pytest.importorskip("torch", reason="hostile weights are made with it")
    assert len([*weights.weights(ground, 0, random.Random(0))]) >= 30


def test_a_worker_that_dies_or_hangs_is_told_and_started_again(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [
        replace(_case(), name="good", words=GOOD["predict"], may_pass=True),
        replace(_case(), name="wrong", words=GOOD["predict"]),
        replace(_case(), name="refused", words=("predict", "none.png")),
    ]
    results = {result.case.name: result for result in tried(ground, iter(cases), tmp_path)}
    assert results["good"].outcome.accepted
    assert not results["good"].bad
    assert results["wrong"].wrong
    assert results["wrong"].again
    assert results["refused"].outcome.refused
    monkeypatch.setattr("attack.pool.LIMIT_S", 0.0)
    (hung,) = tried(ground, iter(cases[:1]), tmp_path)
    assert hung.bad
    assert hung.outcome.ended == "time"


def _case() -> Case:
    return Case(kind="command lines", name="", words=())


def test_damage_is_never_the_good_file_and_forging_vouches_for_it(ground: Ground) -> None:
    rng = random.Random(0)
    good = ground.bundle["onnx-int8.onnx"]
    data = damaged(good, [b""], rng)
    assert data != good
    files = forged(ground.bundle, {"onnx-int8.onnx": data})
    folder = ground.home / "forged"
    import shutil

    shutil.copytree(ground.folder / BUNDLE, folder)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    from mnist_edge.bundle.folder import open_bundle

    bundle = open_bundle(folder)
    assert bundle.read(bundle.artifact("onnx-int8")) == data


def test_answers_are_alike_but_for_one_in_twenty() -> None:
    def said(wrong: int) -> str:
        digits = [9] * wrong + [3] * (60 - wrong)
        return str({"answers": [{"digit": digit} for digit in digits]}).replace("'", '"')

    assert alike(said(0), said(3))
    assert not alike(said(0), said(4))
    assert not alike(said(0), "nothing")


def test_the_table_counts_each_end_once() -> None:
    def result(**outcome: object) -> Result:
        return Result(case=_case(), outcome=Outcome(**outcome))  # type: ignore[arg-type]

    results = [
        result(code=2),
        result(code=1),
        result(code=0),
        replace(result(code=0), wrong=True),
        result(code=3),
        result(code=-11),
        result(code=2, traceback=True),
        result(code=None, ended="time", seconds=LIMIT_S),
        result(code=2, struck=True, grown_bytes=5 << 20),
    ]
    (row,) = rows(results)
    assert (row.tried, row.refused, row.accepted, row.wrong) == (9, 3, 1, 1)
    assert (row.crashed, row.hung, row.struck, row.grown_mib) == (3, 1, 1, 5)
    assert sum(result.bad for result in results) == 6
    report = Report(seed=0, machine="m", seconds=1.0, versions={}, rows=(row,), bad=("one",))
    assert "| command lines | 9 | 3 | 1 | 1 | 3 | 1 | 1 | 20.0 | 5 |" in markdown(report)


def test_every_maker_of_a_list_makes_what_it_says(ground: Ground) -> None:
    made = [*bundles.odd_references(ground), *models.hostile_graphs()]
    assert all(case.files for case in made)
    assert len({(case.name, case.words) for case in made}) == len(made)
