"""How a net of others reads a picture, found on digits whose labels are known.

Every normalisation in use is tried, with both polarities, upright and transposed. On the digits
that a net was trained on it is right more often under its own contract than under another, but
the contracts that differ in scale alone often tie; there the likelihood of the labels, which it was
trained for, tells them apart. So: of the contracts under which it is not significantly less often
right than under the best (McNemar's test, on the digits where two contracts disagree), and whose
loss is not significantly more than the least (by its paired differences), the plainest one. Where
several are left, more digits decide first. Sigmoids at the end are no likelihood of one class among
others: sharpened by a larger scale they often have less loss. There right answers alone decide.
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
"""That decide where those leave it open."""

_FIRST_DIGITS = (50, 200, 600)
"""On each of which much of what is tried falls out."""

_MOST_UNDECIDED = 6
_HOPELESS = 4.0
_DEVIATIONS = 2.6
"""Of a coin toss, from which on a difference is none: one in a hundred."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A net under one contract.

    Attributes:
        prepared: the net.
        contract: under which it was tried.
        right: whether each digit was classified correctly.
        losses: negative log-likelihood of each label, in nats.
        rarity: how seldom people have such a net, and normalise so: less is plainer.
    """

    prepared: Prepared
    contract: Contract
    right: NDArray[np.bool_]
    losses: NDArray[np.float64]
    rarity: int = 0

    @property
    def digits(self) -> int:
        """How many were tried."""
        return len(self.right)

    @property
    def accuracy(self) -> float:
        """The share of the digits that are classified correctly, 0 to 1."""
        return float(self.right.mean())

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood of the labels, in nats."""
        return float(self.losses.mean())


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
    first, *rounds = (_Digits.of(images, labels, n) for n in (*_FIRST_DIGITS, DIGITS))
    trials = []
    for done, (net, contract) in enumerate(ways):
        progress(done, len(ways), str(contract.norm))
        trials += _tried(net, contract, first, rarity=done)
    if not trials:
        raise BadInput("its answers are no numbers, whatever is tried", fix="give a net that works")
    for digits in rounds:
        trials = _tried_again(_likely(trials), digits)
    trials = ranked(trials)
    if open_ := _undecided(trials):
        decided = ranked(_tried_again(open_, _Digits.of(images, labels, MORE_DIGITS)))
        trials = [*decided, *(trial for trial in trials if trial not in open_)]
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
    best = trials[0]
    measure = None if best.prepared.end == "sigmoid" else best
    second = next((t for t in trials if t.contract != best.contract), None)
    return [t for t in trials if t is second or _is_even(t, best, measure, _HOPELESS)]


def _undecided(trials: Sequence[Trial]) -> list[Trial]:
    """Of trials as `ranked` leaves them those that may be the best, where that is several."""
    rightest, likeliest = _leaders(trials)
    even = [trial for trial in trials if _is_even(trial, rightest, likeliest)][:_MOST_UNDECIDED]
    alike = all(np.allclose(trial.losses, even[0].losses, atol=1e-4) for trial in even)
    return [] if alike else even


def _tried_again(trials: Sequence[Trial], digits: _Digits) -> list[Trial]:
    return [
        again
        for trial in trials
        for again in _tried(trial.prepared, trial.contract, digits, rarity=trial.rarity)
    ]


def contracts(net: Prepared, forced: Forced = NOTHING) -> Iterable[Contract]:
    """Every contract that is tried, or what is left of them; the plainest first."""
    side = net.entry.side
    fits: tuple[Fit, ...] = ("",) if side == SIDE else ("resize",)
    if side > SIDE:
        fits = ("resize", "pad")
    for transposed, inverted, norm, fit in itertools.product(
        (False, True) if forced.transposed is None else (forced.transposed,),
        (False, True) if forced.inverted is None else (forced.inverted,),
        NORMS if forced.norm is None else (forced.norm,),
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
    rightest, likeliest = _leaders(trials)

    def place(trial: Trial) -> tuple[bool, bool, float, float]:
        even = _is_even(trial, rightest, likeliest)
        rarity = trial.rarity if even else 0
        return not even, _is_worse(trial, rightest), rarity, trial.loss

    return sorted(trials, key=place)


def _leaders(trials: Sequence[Trial]) -> tuple[Trial, Trial | None]:
    """The trial that is right most often, and of those as good as it the one with least loss."""
    rightest = max(trials, key=lambda trial: (trial.right.sum(), -trial.loss))
    if rightest.prepared.end == "sigmoid":
        return rightest, None
    right = (trial for trial in trials if not _is_worse(trial, rightest))
    return rightest, min(right, key=lambda trial: trial.loss)


def _is_even(
    trial: Trial, rightest: Trial, likeliest: Trial | None, deviations: float = _DEVIATIONS
) -> bool:
    """Whether a trial is as good as the best."""
    if _is_worse(trial, rightest, deviations):
        return False
    if likeliest is None:
        return True
    more = trial.losses - likeliest.losses
    return bool(more.sum() <= deviations * more.std() * math.sqrt(len(more)))


def _is_worse(trial: Trial, best: Trial, deviations: float = _DEVIATIONS) -> bool:
    """Whether a trial is significantly less often right than another."""
    lost = int(np.count_nonzero(best.right & ~trial.right))
    won = int(np.count_nonzero(trial.right & ~best.right))
    return lost - won > deviations * math.sqrt(lost + won)


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


def _tried(net: Prepared, contract: Contract, digits: _Digits, *, rarity: int) -> list[Trial]:
    """One trial, or none where the net gives no numbers."""
    images, labels = digits
    scores = net.scores(feed(images, contract))
    if not np.isfinite(scores).all():
        return []
    right = scores.argmax(axis=1) == labels
    losses = _losses(scores.astype(np.float64), labels, net.end)
    return [Trial(prepared=net, contract=contract, right=right, losses=losses, rarity=rarity)]


def _losses(scores: NDArray[np.float64], labels: Labels, end: End) -> NDArray[np.float64]:
    """Negative log-likelihood of each label under what the end of the net says of scores."""
    rows = np.arange(len(labels))
    if end == "sigmoid":
        signs = np.full_like(scores, -1.0)
        signs[rows, labels] = 1.0
        return np.asarray(np.logaddexp(0, -signs * scores).sum(axis=1))
    largest = scores.max(axis=1)
    log_sum = largest + np.log(np.exp(scores - largest[:, None]).sum(axis=1))
    return np.asarray(log_sum - scores[rows, labels])
