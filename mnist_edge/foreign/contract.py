"""How a net of others reads a picture, found on digits whose labels are known.

Every normalisation in use is tried, with both polarities, upright and transposed. On the digits
that a net was trained on it is right more often under its own contract than under another, but
the contracts that differ in scale alone often tie; there the likelihood of the labels, which it was
trained for, tells them apart. So: of the contracts under which it is not significantly less often
right than under the best (McNemar's test, on the digits where two contracts disagree), and whose
loss is not significantly more than the least (by its paired differences), the plainest one. Where
several are left, more digits decide first. Sigmoids at the end are no likelihood of one class among
others: sharpened by a larger scale they often have less loss. There right answers alone decide.
Of several nets that one file may hold, another than the plainest is believed if it is significantly
more often right, or has much less loss: a ReLU that leaks a little is often the likelier one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import onnx
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

_PROMISING, _FAR = 0.8, 0.4
"""Accuracy from which on digits are upright, and by how much less a net is another one."""

_MOST_NETS = 60
"""That are tried under all contracts: of more, those that are best under the two usual ones."""

_CLEARLY = 0.9
"""Of the loss of a plainer net, that one which is believed in its place has at most."""

_UNLIKE = 0.002
"""Of digits that one net reads and another does not, from which on they are two."""

_MOST_UNDECIDED = 4
_HOPELESS, _ANOTHER = 3.3, 1.0
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
        reading: one of another net that its file may hold as well, and that is as good.
    """

    best: Trial
    runner_up: Trial | None
    reading: Trial | None = None


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
    first, *rounds = (_Digits.of(images, labels, n) for n in (*_FIRST_DIGITS, DIGITS))
    prepared = _promising(_prepare_all(nets, classes), forced, first)
    ways = [(net, contract) for net in prepared for contract in contracts(net, forced)]
    # Where a net reads upright digits, no other way is tried of nets that do not.
    upright, turned = (
        [(place, way) for place, way in enumerate(ways) if _is_turned(way[1]) is wanted]
        for wanted in (False, True)
    )
    trials: list[Trial] = []
    for part in (upright, turned):
        known = _readers(trials)
        for place, (net, contract) in part:
            progress(place, len(ways), str(contract.norm))
            if known is None or id(net) in known:
                trials += _tried(net, contract, first, rarity=place)
    if not trials:
        raise BadInput("its answers are no numbers, whatever is tried", fix="give a net that works")
    for digits in rounds:
        trials = _tried_again(_likely(trials), digits)
    best, *others = ranked(trials)
    if close := [trial for trial in others if not _is_beaten(trial, best)][:_MOST_UNDECIDED]:
        more = _Digits.of(images, labels, MORE_DIGITS)
        best, *near = ranked(_tried_again([best, *close], more))
        others = [*near, *(trial for trial in others if trial not in close)]
    progress(len(ways), len(ways))
    runner_up = next((t for t in others if t.contract != best.contract), None)
    reading = next(
        (
            trial
            for trial in others
            if trial.prepared.net is not best.prepared.net
            and trial.digits == best.digits
            and trial.loss <= best.loss
            and not _is_worse(trial, best)
            and (trial.right != best.right).mean() > _UNLIKE
        ),
        None,
    )
    return Found(best=best, runner_up=runner_up, reading=reading)


def _promising(nets: list[Prepared], forced: Forced, digits: _Digits) -> list[Prepared]:
    """Of many nets that one file may hold those that read most, in their order."""
    if len(nets) <= _MOST_NETS:
        return nets
    merits = {
        place: max(int(trial.right.sum()) for trial in trials)
        for place, net in enumerate(nets)
        if (
            trials := [
                trial
                for contract in itertools.islice(contracts(net, forced), 2)
                for trial in _tried(net, contract, digits, rarity=place)
            ]
        )
    }
    chosen = sorted(merits, key=lambda place: -merits[place])[:_MOST_NETS]
    return [nets[place] for place in sorted(chosen)]


class _Digits(NamedTuple):
    """As many digits of each class."""

    images: Images
    labels: Labels

    @classmethod
    def of(cls, images: RawImages, labels: Labels, count: int) -> _Digits:
        chosen = balanced_sample(labels, count)
        return cls(to_images(images[chosen]), labels[chosen])


def _is_turned(contract: Contract) -> bool:
    return contract.inverted or contract.transposed


def _readers(trials: Sequence[Trial]) -> set[int] | None:
    """The nets that read these digits, by their identity; None where none surely does."""
    best = max((trial.accuracy for trial in trials), default=0.0)
    if best < _PROMISING:
        return None
    return {id(trial.prepared) for trial in trials if trial.accuracy > best - _FAR}


def _likely(trials: Sequence[Trial]) -> list[Trial]:
    """Those that are not far behind, and one more contract to tell beside the best."""
    best = max(trials, key=lambda trial: (trial.accuracy, -trial.loss))
    others = [trial for trial in trials if trial.contract != best.contract]
    second = max(others, key=lambda trial: (trial.accuracy, -trial.loss), default=None)
    return [
        trial
        for trial in trials
        if trial is second
        or not (
            _is_worse(trial, best, _HOPELESS)
            or (_by_loss(best, trial) and _is_likelier(best, trial, _HOPELESS))
        )
    ]


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
    rightest = max(trials, key=lambda trial: (trial.right.sum(), -trial.loss))
    best, *odder = sorted(
        (trial for trial in trials if not _is_worse(trial, rightest)), key=lambda t: t.rarity
    )
    for trial in odder:
        if _is_better(trial, best):
            best = trial
    others = [trial for trial in trials if trial is not best]
    return [best, *sorted(others, key=lambda t: (_is_worse(t, rightest), t.loss))]


def _is_better(trial: Trial, plainer: Trial) -> bool:
    """Whether a trial is believed in the place of one that is plainer."""
    if _is_worse(plainer, trial):
        return True
    if trial.prepared is not plainer.prepared:
        # Of the same weights another net, such as one whose ReLU leaks a little, can be likelier
        # than the one that was trained: but not by much, and as often right.
        return (
            not _by_rights(plainer)
            and trial.loss < _CLEARLY * plainer.loss
            and _is_likelier(trial, plainer)
            and not _is_worse(trial, plainer, _ANOTHER)
        )
    return _by_loss(plainer, trial) and _is_likelier(trial, plainer)


def _is_beaten(trial: Trial, best: Trial) -> bool:
    """Whether more digits would not change that another trial is believed."""
    if _is_worse(trial, best) or np.allclose(trial.losses, best.losses, atol=1e-4):
        return True
    as_right = _by_loss(best, trial) or best.right.sum() >= trial.right.sum()
    return not _by_rights(best) and as_right and _is_likelier(best, trial)


def _by_rights(trial: Trial) -> bool:
    """Whether right answers alone tell its contracts apart."""
    return trial.prepared.end == "sigmoid"


def _by_loss(trial: Trial, other: Trial) -> bool:
    """Whether the loss tells two trials apart: of contracts, and not of what stands in a net."""
    return not _by_rights(trial) and trial.prepared is other.prepared


def _is_likelier(trial: Trial, other: Trial, deviations: float = _DEVIATIONS) -> bool:
    """Whether a trial has significantly less loss than another."""
    less = other.losses - trial.losses
    return bool(less.sum() > deviations * less.std() * math.sqrt(len(less)))


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
            known = next((p for p in found if net.side and p.entry.side == net.side), None)
            found += prepare(net) if known is None else [_alike(net, known)]
        except BadInput as error:
            refusal = refusal or error
    fitting = [net for net in found if net.classes == classes]
    if fitting:
        return fitting
    if found:
        raise wrong_classes(found[0].classes, classes)
    raise refusal or BadInput("it holds no net", fix="give another file")


def _alike(net: ForeignNet, prepared: Prepared) -> Prepared:
    """A net that takes a picture as another one of the same file does."""
    return replace(prepared, net=net, model=onnx.load_model_from_string(net.graph))


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
