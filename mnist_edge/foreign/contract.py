"""How a net of others reads a picture, found on digits whose labels are known.

Every normalisation in use is tried, with both polarities, upright and transposed. On the digits
that a net was trained on it is right more often under its own contract than under another, but
the contracts that differ in scale alone often tie; there the likelihood of the labels, which it was
trained for, tells them apart. So: of the contracts under which it is not significantly less often
right than under the best, the one with the least loss. (McNemar's test, on the digits where two
contracts disagree.) Sigmoids at the end are no likelihood of one class among others: sharpened by a
larger scale they often have less loss. There so many digits more decide that the share of right
answers tells contracts apart, and of those that it does not the most usual one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.imported import Contract, Fit, Norm
from mnist_edge.contract import SIDE, Images, Labels, RawImages, to_images
from mnist_edge.data.mnist import balanced_sample
from mnist_edge.errors import BadInput
from mnist_edge.foreign.ends import End
from mnist_edge.foreign.net import NOTHING, Forced, ForeignNet
from mnist_edge.foreign.prepare import Prepared, prepare
from mnist_edge.formats.original.feed import feed
from mnist_edge.progress import Progress, silent

NORMS = (
    Norm(),
    Norm(mean=0.1307, std=0.3081),
    Norm(mean=0.5, std=0.5),
    Norm(mean=0.5, std=1.0),
    Norm(mean=0.0, std=1 / 255),
)
"""0 to 1, MNIST's mean and deviation, -1 to 1, -0.5 to 0.5, and 0 to 255: by how usual they are."""

DIGITS = 2000
"""That decide."""

MORE_DIGITS = 20_000
"""That decide where right answers alone do."""

_FIRST_DIGITS = 250
_WORSE = 0.1
"""Accuracy behind the best on the first digits, with which a contract is out."""

_DEVIATIONS = 2.6
"""Of a coin toss, from which on a difference in right answers is none: one in a hundred."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A net under one contract.

    Attributes:
        prepared: the net.
        contract: under which it was tried.
        right: whether each digit was classified correctly.
        loss: mean negative log-likelihood of the labels, in nats.
    """

    prepared: Prepared
    contract: Contract
    right: NDArray[np.bool_]
    loss: float

    @property
    def digits(self) -> int:
        """How many were tried."""
        return len(self.right)

    @property
    def accuracy(self) -> float:
        """The share of the digits that are classified correctly, 0 to 1."""
        return float(self.right.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        best: the trial that is believed.
        runner_up: the best one with another contract; None where only one was tried.
    """

    best: Trial
    runner_up: Trial | None


def find_contract(
    nets: Sequence[ForeignNet],
    images: RawImages,
    labels: Labels,
    *,
    classes: int = 10,
    forced: Forced = NOTHING,
    progress: Progress = silent,
) -> Found:
    """Try every net under every contract.

    Args:
        nets: alternatives, the likeliest first: of the same file.
        images: (N, 28, 28) uint8; that the nets were trained on them helps. Some are chosen.
        labels: (N,), 0 to `classes` - 1.
        classes: that a net must have.
        forced: what is known of the contract.
        progress: in trials.

    Raises:
        BadInput: not one of the nets can be run on a picture, or has so many classes.
    """
    prepared = _prepare_all(nets, classes)
    ways = [(net, contract) for net in prepared for contract in contracts(net, forced)]
    few = _Digits.of(images, labels, _FIRST_DIGITS)
    trials = []
    for done, (net, contract) in enumerate(ways):
        progress(done, len(ways), str(contract.norm))
        trials += _tried(net, contract, few)
    if not trials:
        raise BadInput("its answers are no numbers, whatever is tried", fix="give a net that works")
    trials = ranked(_tried_again(_likely(trials), _Digits.of(images, labels, DIGITS)))
    if trials[0].prepared.end == "sigmoid" and len(trials) > 1:
        close = [trial for trial in trials if not _is_worse(trial, trials[0])]
        close = _tried_again(close, _Digits.of(images, labels, MORE_DIGITS))
        rightest = max(close, key=lambda trial: trial.accuracy)
        close.sort(key=lambda trial: (_is_worse(trial, rightest), _rarity(trial), -trial.accuracy))
        known = {id(trial.contract) for trial in close}
        trials = [*close, *(trial for trial in trials if id(trial.contract) not in known)]
    progress(len(ways), len(ways))
    best, *others = trials
    runner_up = next((t for t in others if t.contract != best.contract), None)
    return Found(best=best, runner_up=runner_up)


class _Digits(NamedTuple):
    """As many digits of each class."""

    images: Images
    labels: Labels

    @classmethod
    def of(cls, images: RawImages, labels: Labels, count: int) -> _Digits:
        chosen = balanced_sample(labels, count)
        return cls(to_images(images[chosen]), labels[chosen])


def _likely(trials: Sequence[Trial]) -> list[Trial]:
    """Those that are not far behind, and one more contract to tell beside the best."""
    trials = sorted(trials, key=lambda trial: (-trial.accuracy, trial.loss))
    enough = trials[0].accuracy - _WORSE
    second = next((t for t in trials if t.contract != trials[0].contract), None)
    return [trial for trial in trials if trial.accuracy >= enough or trial is second]


def _rarity(trial: Trial) -> int:
    """How seldom people normalise so, where nothing else tells."""
    norm = trial.contract.norm
    return NORMS.index(norm) if norm in NORMS else 0


def _tried_again(trials: Sequence[Trial], digits: _Digits) -> list[Trial]:
    return [again for trial in trials for again in _tried(trial.prepared, trial.contract, digits)]


def contracts(net: Prepared, forced: Forced = NOTHING) -> Iterable[Contract]:
    """Every contract that is tried, or what is left of them."""
    side = net.entry.side
    fits: tuple[Fit, ...] = ("",) if side == SIDE else ("resize",)
    if side > SIDE:
        fits = ("resize", "pad")
    for norm, inverted, transposed, fit in itertools.product(
        NORMS if forced.norm is None else (forced.norm,),
        (False, True) if forced.inverted is None else (forced.inverted,),
        (False, True) if forced.transposed is None else (forced.transposed,),
        fits,
    ):
        yield Contract(
            norm=norm,
            inverted=inverted,
            transposed=transposed,
            side=side,
            fit=fit,
            channels=net.entry.channels,
            channels_last=net.entry.channels_last,
        )


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Trials of the same digits, the one to be believed first."""
    rightest = max(trials, key=lambda trial: (trial.right.sum(), -trial.loss))
    return sorted(trials, key=lambda trial: (_is_worse(trial, rightest), trial.loss))


def _is_worse(trial: Trial, best: Trial) -> bool:
    """Whether a trial is significantly less often right than another."""
    lost = int(np.count_nonzero(best.right & ~trial.right))
    won = int(np.count_nonzero(trial.right & ~best.right))
    return lost - won > _DEVIATIONS * math.sqrt(lost + won)


def _prepare_all(nets: Sequence[ForeignNet], classes: int) -> list[Prepared]:
    refusal: BadInput | None = None
    found: list[Prepared] = []
    for net in nets:
        try:
            found += prepare(net)
        except BadInput as error:
            refusal = refusal or error
    fitting = [net for net in found if net.classes == classes]
    if fitting:
        return fitting
    if found:
        raise wrong_classes(found[0].classes, classes)
    raise refusal or BadInput("it holds no net", fix="give another file")


def wrong_classes(there: int, wanted: int) -> BadInput:
    """The error for a net of other classes than the data has."""
    named = "1 class" if there == 1 else f"{there:,} classes"
    return BadInput(
        f"it has {named}, not {wanted}", fix="give the data that it was made for with --data"
    )


def _tried(net: Prepared, contract: Contract, digits: _Digits) -> list[Trial]:
    """One trial, or none where the net gives no numbers."""
    images, labels = digits
    scores = net.scores(feed(images, contract))
    if not np.isfinite(scores).all():
        return []
    right = scores.argmax(axis=1) == labels
    loss = _loss(scores.astype(np.float64), labels, net.end)
    return [Trial(prepared=net, contract=contract, right=right, loss=loss)]


def _loss(scores: NDArray[np.float64], labels: Labels, end: End) -> float:
    """Mean negative log-likelihood of the labels under what the end of the net says of scores."""
    rows = np.arange(len(labels))
    if end == "sigmoid":
        signs = np.full_like(scores, -1.0)
        signs[rows, labels] = 1.0
        return float(np.logaddexp(0, -signs * scores).sum(axis=1).mean())
    largest = scores.max(axis=1)
    log_sum = largest + np.log(np.exp(scores - largest[:, None]).sum(axis=1))
    return float((log_sum - scores[rows, labels]).mean())
