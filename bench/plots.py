"""Small bar and line charts as SVG, which any page shows and which need no library."""

import math
from collections.abc import Sequence
from html import escape

import msgspec

_COLOURS = ("#0b6e99", "#d9730d", "#5b8c3e", "#8a4f9e", "#a33b3b", "#6b6b6b", "#c2a100")
_WIDTH, _LEFT, _RIGHT, _TOP = 760, 190, 90, 62
_BAR, _GAP = 20, 8
_LINE_HEIGHT, _LINE_LEFT = 300, 70


class Series(msgspec.Struct, frozen=True):
    """One line of a line chart, or one group of bars.

    Args:
        name: What it is.
        points: Pairs of x and y; in a bar chart x is a label.
    """

    name: str
    points: list[tuple[float | str, float]]


class Plot(msgspec.Struct, frozen=True):
    """A chart.

    Args:
        name: Of its file, without the extension.
        title: What it shows, with the unit.
        kind: "bars", "lines", whose x is logarithmic, or "course", of many points, whose x is not.
        series: What is in it.
        note: One sentence below the title.
    """

    name: str
    title: str
    kind: str
    series: list[Series]
    note: str = ""


def svg(plot: Plot) -> str:
    """Return a chart as the text of an SVG file."""
    body, height = _bars(plot.series) if plot.kind == "bars" else _lines(plot.series, is_course=plot.kind == "course")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="Segoe UI, Helvetica, Arial, sans-serif" font-size="13">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    )
    texts = [_text(16, 26, plot.title, size=16, weight="600"), _text(16, 46, plot.note, size=11, colour="#555555")]
    return "\n".join([head, *texts, *body, "</svg>", ""])


def _bars(series: Sequence[Series]) -> tuple[list[str], float]:
    most = max(value for one in series for _, value in one.points) or 1.0
    lines: list[str] = []
    y: float = _TOP
    for one in series:
        lines.append(_text(16, y + 16, one.name, weight="600"))
        y += 26
        for number, (label, value) in enumerate(one.points):
            width = max(1.0, value / most * (_WIDTH - _LEFT - _RIGHT))
            lines.append(_text(_LEFT - 8, y + 15, str(label), anchor="end"))
            lines.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{_colour(number)}"/>')
            lines.append(_text(_LEFT + width + 6, y + 15, _number(value)))
            y += _BAR + _GAP
        y += 10
    return lines, y + 6


def _lines(series: Sequence[Series], *, is_course: bool) -> tuple[list[str], float]:
    xs = sorted({float(x) for one in series for x, _ in one.points})
    ticks = [xs[0] + (xs[-1] - xs[0]) * part / 4 for part in range(5)] if is_course else xs
    most = _rounded_up(max(y for one in series for _, y in one.points))
    right, bottom = _WIDTH - 170, _TOP + _LINE_HEIGHT

    def place(x: float, y: float) -> tuple[float, float]:
        if is_course:
            across = (x - xs[0]) / ((xs[-1] - xs[0]) or 1.0)
        else:
            across = math.log10(x / xs[0]) / (math.log10(xs[-1] / xs[0]) or 1.0)
        return _LINE_LEFT + across * (right - _LINE_LEFT), bottom - y / most * _LINE_HEIGHT

    lines: list[str] = []
    for part in range(5):
        x, y = place(xs[0], most * part / 4)
        lines.append(f'<line x1="{x}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#dddddd"/>')
        lines.append(_text(x - 8, y + 4, _number(most * part / 4), anchor="end"))
    lines += [_text(place(x, 0)[0], bottom + 20, _number(x), anchor="middle") for x in ticks]
    for number, one in enumerate(series):
        points = [place(float(x), y) for x, y in one.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        width = 1.5 if is_course else 2.5
        lines.append(f'<polyline points="{path}" fill="none" stroke="{_colour(number)}" stroke-width="{width}"/>')
        if not is_course:
            lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_colour(number)}"/>' for x, y in points]
        y = _TOP + 14 + number * 20
        lines.append(f'<rect x="{right + 14}" y="{y - 10}" width="12" height="12" fill="{_colour(number)}"/>')
        lines.append(_text(right + 32, y, one.name))
    return lines, bottom + 36


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "400",
    anchor: str = "start",
    colour: str = "#222222",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"  # noqa: PLR2004 - digits


def _rounded_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)
