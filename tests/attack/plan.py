"""How much of what is tried, in a long attack and in a short one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from attack import bundles, images, lines, models, strangers, weights
from attack.cases import Case
from attack.ground import Ground


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many mutants of each sort; what is not counted here is tried whole."""

    damaged: int
    files: int
    manifests: int
    signed: int
    bare: int
    weights: int
    strangers: int
    pages: int
    signals: int
    kills: int


LONG = Plan(
    damaged=1400,
    files=850,
    manifests=700,
    signed=900,
    bare=1150,
    weights=20,
    strangers=60,
    pages=30,
    signals=16,
    kills=20,
)
SHORT = Plan(
    damaged=56,
    files=20,
    manifests=30,
    signed=40,
    bare=20,
    weights=0,
    strangers=0,
    pages=0,
    signals=0,
    kills=0,
)


def cases(ground: Ground, plan: Plan, seed: int, *, whole: bool = True) -> Iterator[Case]:
    """What workers can run.

    Args:
        ground: what is attacked.
        plan: how many of each.
        seed: of all that is random; each part has a generator of its own.
        whole: whether the lists are tried, too, and not only the mutants.
    """

    def rng(part: str) -> random.Random:
        return random.Random(f"{seed} {part}")

    mutants = chain(
        bundles.damaged_bundles(ground, plan.damaged, rng("damaged")),
        bundles.forged_files(ground, plan.files, rng("files")),
        bundles.forged_manifests(ground, plan.manifests, rng("manifests")),
        bundles.signed_bundles(ground, plan.signed, rng("signed")),
        models.bare_files(ground, plan.bare, rng("bare")),
    )
    if not whole:
        return mutants
    return chain(
        lines.command_lines(),
        bundles.hostile_programs(ground),
        bundles.odd_manifests(ground),
        bundles.odd_references(ground),
        models.hostile_graphs(),
        images.pictures(),
        weights.weights(ground, plan.weights, rng("weights")),
        strangers.foreign_nets(ground, plan.strangers, rng("strangers")),
        strangers.web_pages(ground, plan.pages, rng("pages")),
        mutants,
    )
