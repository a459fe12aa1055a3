"""Two kinds of plot as inline SVG: a dot with its interval on a line per configuration, and dots in a plane."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from agentinfer.evals._bootstrap import Interval

__all__ = ["Axis", "dots", "plane"]

COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#b8720a", "#6a4c93", "#00798c", "#8d5524", "#5c677d")
WIDTH, LEFT, RIGHT, ROW, FOOT = 720, 190, 30, 30, 46
PLANE_HEIGHT = 380
LABEL = 26
"""Characters of a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What a direction of a plot shows."""

    title: str
    write: Callable[[float], str]
    """A number of this axis."""


def dots(names: Sequence[str], intervals: Sequence[Interval | None], axis: Axis) -> str:
    """A line for each configuration: its figure, and from where to where it may be."""
    scale = _Scale([i for i in intervals if i is not None], LEFT, WIDTH - RIGHT)
    height = ROW * len(names) + FOOT + 8
    parts = _ticks_across(scale, axis, 4, height - FOOT)
    for row, (name, interval) in enumerate(zip(names, intervals, strict=True)):
        y = ROW * row + ROW / 2 + 6
        parts.append(_text(LEFT - 12, y + 4, _short(name), "end", full=name))
        if interval is None:
            parts.append(_text(LEFT + 8, y + 4, "not known", "start"))
            continue
        low, middle, high = (scale(x) for x in (interval.low, interval.estimate, interval.high))
        told = f"{name}: {axis.write(interval.estimate)}, {axis.write(interval.low)} to {axis.write(interval.high)}"
        parts.append(_whisker(row, told, [(low, y, high, y), (low, y - 5, low, y + 5), (high, y - 5, high, y + 5)]))
        parts.append(_dot(row, told, middle, y))
    return _svg(height, axis.title, parts)


def plane(
    names: Sequence[str], across: Sequence[Interval | None], up: Sequence[Interval | None], x: Axis, y: Axis
) -> str:
    """A dot for each configuration, with its intervals both ways."""
    known = [
        (row, one, other)
        for row, (one, other) in enumerate(zip(across, up, strict=True))
        if one is not None and other is not None
    ]
    x_scale = _Scale([one for _, one, _ in known], 80, WIDTH - RIGHT)
    y_scale = _Scale([other for _, _, other in known], PLANE_HEIGHT - FOOT, 36)
    parts = [*_ticks_across(x_scale, x, 30, PLANE_HEIGHT - FOOT), *_ticks_up(y_scale, y, 80, WIDTH - RIGHT)]
    for row, one, other in known:
        cx, cy = x_scale(one.estimate), y_scale(other.estimate)
        told = f"{names[row]}: {x.write(one.estimate)}, {y.write(other.estimate)}"
        arms = [(x_scale(one.low), cy, x_scale(one.high), cy), (cx, y_scale(other.low), cx, y_scale(other.high))]
        parts += [_whisker(row, told, arms), _dot(row, told, cx, cy)]
        near_the_end = cx > WIDTH - 220
        side, anchor = (-9, "end") if near_the_end else (9, "start")
        above = cy - 8 if row % 2 == 0 else cy + 18  # neighbours often lie close together
        parts.append(_text(cx + side, above, _short(names[row]), anchor, full=names[row], colour=_colour(row)))
    parts.append(_text(16, 20, y.title, "start"))
    return _svg(PLANE_HEIGHT, x.title, parts)


class _Scale:
    """From figures to places. It begins at zero unless all figures lie far from it."""

    def __init__(self, intervals: Sequence[Interval], start: float, end: float) -> None:
        values = [v for i in intervals for v in (i.low, i.estimate, i.high) if math.isfinite(v)] or [0.0, 1.0]
        low, high = min(*values, 0.0), max(values)
        self.step = _round_step((high - low) / 5 or 0.2)
        self.low = math.floor(low / self.step) * self.step
        self.high = max(math.ceil(high / self.step), 1) * self.step
        self._start, self._end = start, end

    def __call__(self, number: float) -> float:
        share = (min(max(number, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self._start + share * (self._end - self._start), 1)

    def ticks(self) -> list[float]:
        """Round figures along the scale."""
        return [self.low + self.step * n for n in range(round((self.high - self.low) / self.step) + 1)]


def _round_step(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step))
    return next(size * factor for factor in (1, 2, 5, 10) if step <= size * factor * 1.0001)


def _ticks_across(scale: _Scale, axis: Axis, top: float, bottom: float) -> list[str]:
    parts = []
    for tick in scale.ticks():
        at = scale(tick)
        parts.append(f'<line class="grid" x1="{at}" y1="{top}" x2="{at}" y2="{bottom}"/>')
        parts.append(_text(at, bottom + 16, axis.write(tick), "middle"))
    parts.append(_text((scale(scale.low) + scale(scale.high)) / 2, bottom + 36, axis.title, "middle"))
    return parts


def _ticks_up(scale: _Scale, axis: Axis, left: float, right: float) -> list[str]:
    parts = []
    for tick in scale.ticks():
        at = scale(tick)
        parts.append(f'<line class="grid" x1="{left}" y1="{at}" x2="{right}" y2="{at}"/>')
        parts.append(_text(left - 8, at + 4, axis.write(tick), "end"))
    return parts


def _whisker(row: int, told: str, lines: Sequence[tuple[float, float, float, float]]) -> str:
    path = " ".join(f"M{x1:g} {y1:g}L{x2:g} {y2:g}" for x1, y1, x2, y2 in lines)
    return f'<path class="whisker" d="{path}" stroke="{_colour(row)}"><title>{escape(told)}</title></path>'


def _dot(row: int, told: str, x: float, y: float) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="{_colour(row)}"><title>{escape(told)}</title></circle>'


def _text(x: float, y: float, text: str, anchor: str, *, full: str | None = None, colour: str | None = None) -> str:
    title = f"<title>{escape(full)}</title>" if full and full != text else ""
    fill = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{fill}>{title}{escape(text)}</text>'


def _short(name: str) -> str:
    return name if len(name) <= LABEL else "…" + name[1 - LABEL :]


def _colour(row: int) -> str:
    return COLOURS[row % len(COLOURS)]


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
