"""How people write each digit: skeletons of pen strokes, every call another hand.

A skeleton is a list of strokes, a stroke the points that the pen passes, (x, y) on a unit square
with y down. A point given twice is a corner. The styles are ours, after the forms that writing is
taught in: nothing is traced from a data set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Stroke: TypeAlias = list[Point]
Skeleton: TypeAlias = list[Stroke]

_DEGREES_PER_POINT = 36


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Stroke:
    """Points on an ellipse; angles in degrees, 0 to the right and 90 down."""
    count = max(2, round(abs(end - start) / _DEGREES_PER_POINT))
    angles = [math.radians(start + (end - start) * i / count) for i in range(count + 1)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def corner(x: float, y: float) -> Stroke:
    """A point at which the pen stops and turns."""
    return [(x, y), (x, y)]


def _zero(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    rx, ry, start = u(0.16, 0.4), u(0.42, 0.5), u(-170, -30)
    # Few loops end where they began: the pen stops short, or runs on beside its start.
    around = arc(0.5, 0.5, rx, ry, start, start - u(330, 420))
    end = u(0.8, 1.1)
    around[-1] = (0.5 + (around[-1][0] - 0.5) * end, 0.5 + (around[-1][1] - 0.5) * end)
    if random.random() < 0.15:  # the pen comes from above, or from within
        around = [(0.5 + rx * u(-1.0, 0.6), u(-0.2, 0.0) if style < 0.5 else u(0.0, 0.4)), *around]
    strokes = [around]
    if random.random() < 0.15:  # slashed, within the loop or beyond it
        reach, high = rx * u(0.7, 1.4), u(-0.15, 0.2)
        strokes.append([(0.5 + reach, high), (0.5 - reach, 1 - high)])
    return strokes


def _one(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    top, foot = (u(0.45, 0.62), u(0.0, 0.06)), (u(0.42, 0.62), u(0.94, 1.0))
    if style < 0.15:
        return [[top, foot]]
    reach = u(0.1, 0.6)
    drop = reach * u(0.5, 0.7) + u(0.0, 0.2)  # with a flatter flag it is a 7
    if style < 0.4:  # the flag is as long as the stem
        reach, drop = u(0.1, 0.85), u(0.5, 0.95)
    flag = (top[0] - reach, top[1] + drop)
    rise = ((flag[0] + top[0]) / 2 + u(-0.02, 0.08), (flag[1] + top[1]) / 2 + u(-0.05, 0.06))
    if random.random() < 0.15:  # it swings up, and runs beside the stem
        rise = (rise[0] + u(-0.1, 0.0), rise[1] - u(0.08, 0.2))
    peak = [top] if random.random() < 0.45 else corner(*top)
    strokes = [[flag, rise, *peak, foot]]
    if style > 0.55 or 0.2 < style < 0.3:
        left, right, tilt = u(0.08, 0.35), u(0.08, 0.4), u(-0.06, 0.06)
        if style > 0.75:  # wider than the digit is high
            left, right, tilt = u(0.25, 0.75), u(0.25, 0.8), u(-0.1, 0.1)
        strokes.append([(foot[0] - left, foot[1] + tilt), (foot[0] + right, foot[1] - tilt)])
    return strokes


def _two(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    rx, ry = u(0.18, 0.34), u(0.18, 0.27)
    bow = arc(0.48, ry, rx, ry, u(170, 250), u(370, 405))
    left, base, right = u(0.08, 0.3), u(0.88, 0.98), u(0.7, 1.0)
    if style < 0.3:  # the turn at the foot is a loop
        size = u(0.05, 0.12) if style < 0.22 else u(0.1, 0.2)
        loop = arc(left + size, base - size, size, size * u(0.6, 1.0), 120, 420)
        return [[*bow, *loop, (u(0.5, 0.6), base - u(0.0, 0.06)), (right, base + u(-0.04, 0.06))]]
    wave = u(-0.06, 0.06)
    bottom = [((left + right) / 2, base - wave), (right, base + u(-0.08, 0.04))]
    if style < 0.4:  # angular, as a Z
        bow = [(u(0.15, 0.3), u(0.02, 0.2)), (0.45, u(0.0, 0.05)), *corner(u(0.7, 0.85), u(0, 0.1))]
    return [[*bow, *corner(left, base), *bottom]]


def _three(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    if style > 0.85:
        return [_narrow_three(random)]
    waist = u(0.4, 0.52)
    notch = (u(0.28, 0.52), waist)
    low = arc(0.42, (waist + 1) / 2, u(0.24, 0.4), (1 - waist) / 2, u(-75, -50), u(110, 190))
    if style < 0.3:  # flat top
        slope = u(-0.05, 0.05)
        top = [(u(0.12, 0.3), 0.04 + slope), *corner(u(0.65, 0.85), 0.04 - slope)]
        return [[*top, *corner(*notch), *low]]
    upper = arc(0.42, waist / 2, u(0.2, 0.36), waist / 2, u(180, 250), u(400, 430))
    turn = corner(*notch) if style < 0.75 else [notch]
    return [[*upper, *turn, *low]]


def _narrow_three(random: Random) -> Stroke:
    """Taller than it is wide; the bow above comes far down on the left, and is often square."""
    u = random.uniform
    waist, wide, left = u(0.38, 0.52), u(0.28, 0.46), u(0.22, 0.34)
    right = left + wide
    bow = [(left + u(-0.02, 0.04), waist * u(0.25, 0.8)), (left, waist * 0.2), (left + 0.05, 0.02)]
    if random.random() < 0.5:
        bow += [(right - 0.05, u(0.0, 0.04)), (right, 0.1), (right, waist * u(0.6, 0.75))]
    else:
        bow += [((left + right) / 2, 0.0), (right, waist * 0.45), (right - 0.08, waist * 0.85)]
    notch = (left + wide * u(0.2, 0.6), waist)
    belly = right + u(-0.04, 0.12)
    hook = [(belly, (waist + 1) / 2 + u(0.0, 0.12)), (belly - 0.05, 0.95), (belly - wide / 2, 1.0)]
    tip = (left + u(-0.04, 0.12), u(0.84, 0.97))
    return [*bow, *(corner(*notch) if random.random() < 0.6 else [notch]), *hook, tip]


def _four(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    if style > 0.88:
        return [_curled_four(random)]
    bar = u(0.5, 0.72)
    stem_x = u(0.55, 0.76)
    foot = (stem_x + u(-0.15, 0.06), u(0.95, 1.0))
    if style < 0.2:  # closed, in one stroke
        top = (stem_x, u(0.0, 0.04))
        return [[foot, *corner(*top), *corner(u(0.08, 0.25), bar), (u(0.8, 0.98), bar)]]
    start = (u(0.15, 0.5), u(0.0, 0.12))
    elbow = (min(start[0], u(0.1, 0.32)), bar + u(-0.04, 0.06))
    reach = u(0.8, 1.0) if style < 0.7 else stem_x + u(-0.05, 0.12)
    left = [start, *(corner(*elbow) if style % 0.1 < 0.06 else [elbow]), (reach, bar + u(-0.1, 0))]
    high = u(0.0, bar - 0.06)
    if style < 0.76:
        return [left, [(stem_x + u(-0.02, 0.08), high), foot]]
    # In one stroke: from the end of the bar up and straight down.
    peak = (stem_x + u(0.0, 0.08), bar - u(0.06, 0.4))
    return [[*left[:-1], (stem_x - 0.04, bar - u(0.0, 0.08)), *corner(*peak), foot]]


def _curled_four(random: Random) -> Stroke:
    """One stroke: down, along the bar, and with a small turn into a short stem."""
    u = random.uniform
    bar, left, right = u(0.45, 0.7), u(0.0, 0.2), u(0.62, 0.85)
    start = (u(0.45, 1.0), u(0.0, 0.06))
    elbow = (left, bar)
    end = (right, bar + u(-0.04, 0.08))
    up = (right - u(0.02, 0.12), end[1] - u(0.06, 0.2))
    stem = (right - u(0.05, 0.15), end[1] + u(0.0, 0.04))
    foot = (stem[0] + u(-0.12, 0.04), u(0.92, 1.0))
    sharp = random.random()
    return [
        start,
        *(corner(*elbow) if sharp < 0.6 else [elbow]),
        *(corner(*end) if sharp < 0.7 else [end]),
        *(corner(*up) if sharp > 0.3 else [up]),
        stem,
        foot,
    ]


def _five(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    left, top, waist = u(0.2, 0.36), u(0.02, 0.12), u(0.38, 0.5)
    centre = (waist + 1) / 2 - 0.03
    belly = arc(0.45, centre, u(0.24, 0.38), 1 - centre, u(-120, -90), u(110, 185))
    right = (u(0.62, 0.98), top + u(-0.12, 0.08))
    turn = (left + u(-0.06, 0.04), waist + u(-0.02, 0.08))
    if style < 0.45:  # the bar by itself, not always where the stem begins
        start = (left + u(-0.1, 0.1), top + u(-0.06, 0.08))
        return [[(left, top), *corner(*turn), *belly], [start, right]]
    if style < 0.65:  # as an S
        return [[right, (left + 0.15, top), (left, (top + waist) / 2), *belly]]
    return [[right, *corner(left, top), *corner(*turn), *belly]]


def _six(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    rx, ry = u(0.12, 0.34), u(0.14, 0.27)
    y = 0.98 - ry
    top = (u(0.45, 0.85), u(0.0, 0.06))
    left = 0.5 - rx
    back = (left + u(0.0, 0.2), u(0.28, 0.45))
    end = u(150, 230) if style < 0.7 else u(60, 150)
    loop = arc(0.5, y, rx, ry, 180, 180 - 180 - end)
    if style > 0.9:
        return [_round_six(random)]
    if style > 0.78:  # the loop ends beyond the back, which it crosses
        loop = arc(0.5, y, rx, ry, 180, -u(150, 185))
        loop.append((left - u(0.04, 0.25), y + ry * u(-0.7, 0.3)))
    if style < 0.2:  # the loop is written on its own
        return [[top, back, (left, y), (0.5, 0.98)], arc(0.5, y, rx, ry, 170, 170 + u(330, 390))]
    return [[top, back, *loop]]


def _round_six(random: Random) -> Stroke:
    """A spiral, as a G: the loop is nearly as wide as the whole."""
    u = random.uniform
    rx, ry = u(0.28, 0.5), u(0.2, 0.3)
    around = arc(0.5, 0.5, rx, 0.5, u(-80, -30), -230)
    return around + arc(0.5, 1 - ry, rx * u(0.8, 1.0), ry, -270, -270 - u(150, 330))


def _seven(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    y, left, right = u(0.02, 0.12), u(0.08, 0.28), u(0.7, 0.95)
    tilt = u(-0.07, 0.07)
    top = [(left, y + tilt), *corner(right, y - tilt)]
    if style < 0.4:  # a serif, or a wave
        middle, wave = (left + right) / 2, u(-0.02, 0.14)
        if style < 0.2:  # as deep as a V
            wave, right = u(0.14, 0.4), right - u(0.0, 0.2)
        serif = (left - u(0.0, 0.15), y + u(0.08, 0.4))
        top = [serif, *corner(left, y), (middle, y + wave), *corner(right, y - tilt)]
    foot = (u(0.25, 0.7), u(0.95, 1.0))
    share = u(0.4, 0.6)
    bend = (foot[0] + (right - foot[0]) * share + u(-0.1, 0.04), 0.55)
    strokes = [[*top, bend, foot]]
    if random.random() < 0.6:
        height, tilt = u(0.4, 0.74), u(-0.1, 0.1)
        # Where the stem passes: the bar crosses it there.
        x = right + (foot[0] - right) * (height - y) / (foot[1] - y)
        strokes.append(
            [(x - u(0.12, 0.4), height + tilt), (x + u(0.08, 0.36), height - tilt)],
        )
    return strokes


def _eight(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    waist, upper, lower = u(0.4, 0.56), u(0.08, 0.34), u(0.12, 0.4)
    if style < 0.25:  # two circles
        first = u(-180, 0)
        return [
            arc(0.5 + u(-0.05, 0.05), waist / 2, upper, waist / 2, first, first - u(340, 390)),
            arc(0.5, (1 + waist) / 2, lower, (1 - waist) / 2, u(-110, -60), u(250, 300)),
        ]
    # One stroke: an S, and back up on the other side.
    top = u(0.0, 0.04)
    start = (0.5 + upper * u(0.3, 1.2), u(0.04, 0.3))
    end = (start[0] + u(-0.1, 0.1), start[1] + u(-0.12, 0.12))
    return [
        [
            start,
            (0.5, top),
            (0.5 - upper, waist * 0.45),
            (0.5, waist),
            (0.5 + lower, (1 + waist) / 2),
            (0.5 + u(-0.05, 0.05), 1.0),
            (0.5 - lower, (1 + waist) / 2),
            (0.5, waist + u(-0.04, 0.04)),
            (0.5 + upper, waist * 0.5),
            end,
        ]
    ]


def _nine(random: Random) -> Skeleton:
    u, style = random.uniform, random.random()
    rx, ry = u(0.16, 0.32), u(0.15, 0.27)
    right = 0.48 + rx
    start = u(-80, 20)
    loop = arc(0.48, ry, rx, ry, start, start - u(280, 400))
    if style < 0.22:  # straight down
        tail = [(right + u(-0.05, 0.04), ry * u(0.3, 1.0)), (u(0.45, right), u(0.94, 1.0))]
    elif style < 0.35:  # leaning, as a 7
        tail = [(right, ry), (right - u(0.0, 0.1), 0.6), (u(0.2, 0.45), u(0.92, 1.0))]
    elif style < 0.75:  # a small loop, the tail bulging out below it as a 3 does
        small = u(0.5, 1.0)
        rx, ry = rx * small, ry * small
        loop = arc(0.48, ry, rx, ry, start, start - u(280, 420))
        if random.random() < 0.3:  # begun in its middle, or left of it
            loop = [(0.48 + rx * u(-1.3, 0.3), ry * u(0.9, 1.5)), *loop]
        leave = (0.48 + rx * u(-0.1, 1.0), ry * u(1.0, 2.1))
        bulge = (right + u(-0.08, 0.2), u(0.5, 0.8))
        turn = corner(u(0.45, 0.7), 0.98) if random.random() < 0.4 else [(u(0.4, 0.6), 0.98)]
        return [[*loop, leave, bulge, *turn, (u(-0.05, 0.3), u(0.72, 1.0))]]
    else:  # curled
        low = (u(0.4, 0.6), u(0.9, 1.0))
        tip = (low[0] - u(0.12, 0.4), low[1] - u(-0.03, 0.22))
        tail = [(right, ry * u(0.6, 1.2)), (right + u(-0.05, 0.06), u(0.5, 0.72)), low, tip]
    if random.random() < 0.4:
        return [loop, [(right + u(-0.03, 0.05), ry * u(0.1, 0.8)), *tail]]
    return [[*loop, *tail]]


SKELETONS: tuple[Callable[[Random], Skeleton], ...] = (
    _zero, _one, _two, _three, _four, _five, _six, _seven, _eight, _nine,
)  # fmt: skip
"""The writer of each digit, by its value."""
