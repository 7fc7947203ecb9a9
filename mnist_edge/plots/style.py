"""The one look of all figures."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

# Okabe and Ito's colours, told apart with any colour vision.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
INK, GREY, FAINT = "#222222", "#767676", "#DDDDDD"

# Dots per inch. Pages show a figure at half its size, so it stays sharp on fine screens and paper.
DPI = 200

# Of rows beside each other: ten strong ones, then their ten pale ones.
_TWENTY = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
_ROWS = (*_TWENTY[::2], *_TWENTY[1::2])

# Any: to matplotlib's newer stubs the keys are literals, to its older ones strings.
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=_ROWS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
}

# Errors between which a logarithmic scale says more than a linear one.
_WIDE_RANGE = 4.0

_ENOUGH_TICKS = 5
_LONGEST_NAME = 12


@contextmanager
def styled() -> Iterator[None]:
    """Draw in our style, whatever the user has set; his settings are back at the end."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def png(figure: Figure) -> bytes:
    """The bytes of a finished figure."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Of a script that the font lacks, the name of a class is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Without the version of the drawing library the same data gives the same bytes.
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def shortened(names: Sequence[str]) -> list[str]:
    """Names of classes as they fit into a figure; a `$` begins no formula."""
    short = (
        name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names
    )
    return [name.replace("$", r"\$") for name in short]


def turned(names: Sequence[str]) -> float:
    """By how many degrees they are turned along an axis."""
    return 90.0 if max(map(len, names)) > 2 else 0.0


def show_percent(axes: Axes) -> None:
    """Write the shares along the y axis in percent."""
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.6g}%")


def stretch_accuracy(axes: Axes, accuracies: Sequence[float]) -> None:
    """Make the y axis logarithmic in the errors where the accuracies, 0 to 1, differ much.

    From 90 to 95 % half of the errors go, as from 99 to 99.5 %: both steps are equally high. What
    is beyond the axis, such as 1, is drawn on its upper edge.
    """
    show_percent(axes)
    errors = [1 - accuracy for accuracy in accuracies if accuracy < 1]
    if not errors or max(errors) < _WIDE_RANGE * min(errors):
        return
    least, most = min(errors) / 1.4, min(1.0, max(errors) * 1.2)

    def height(share: NDArray[np.float64]) -> NDArray[np.float64]:
        return -np.log10(np.maximum(1 - share, least))

    def share(height: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - 10.0**-height

    axes.set_yscale("function", functions=(height, share))
    axes.set_ylim(1 - most, 1 - least)
    axes.yaxis.set_major_locator(FixedLocator([1 - error for error in ticks(least, most)]))
    show_percent(axes)  # the new scale brought a formatter of its own


def stretch_loss(axes: Axes, losses: Sequence[float]) -> None:
    """Make the y axis logarithmic where the losses differ much, with plain numbers along it."""
    least, most = min(losses), max(losses)
    if least <= 0 or most < _WIDE_RANGE * least:
        return
    axes.set_yscale("log")
    mark(axes.yaxis, ticks(least / 1.5, most * 1.5), "{x:g}")


def mark(axis: Axis, places: Sequence[float], form: str) -> None:
    """Write numbers along an axis at these places alone, each in a form such as `{x:g}`."""
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(form)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive bounds, evenly spread along a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1,), (1, 2, 5), (1, 2, 3, 5, 7)):
        numbers = (float(f"{digit}e{power}") for power in powers for digit in digits)
        found = [number for number in numbers if low <= number <= high]
        if len(found) >= _ENOUGH_TICKS:
            break
    return found


def legend_below(axes: Axes) -> None:
    """Put the legend under the axes, where it hides no data."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, columnspacing=1.5)
