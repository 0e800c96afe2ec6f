"""Two small plots without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 44, 70, 36, 30
COLORS = ("#2c7fb8", "#41ab5d", "#fe9929", "#d7301f", "#7a5195", "#525252")
MONTHS = "JFMAMJJASOND"
BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Return one block character per value, from the smallest to the largest."""
    low, high = min(values), max(values)
    span = (high - low) or 1
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in values)


def line_chart(series: Mapping[str, Sequence[float | None]], *, title: str) -> str:
    """Return an SVG document with one line per series of twelve monthly values; None is a gap."""
    values = [value for line in series.values() for value in line if value is not None]
    low, high = 5 * (min(values) // 5), 5 * (max(values) // 5 + 1)

    def across(month: int) -> float:
        return LEFT + month * (WIDTH - LEFT - RIGHT) / (len(MONTHS) - 1)

    def down(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        '     font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for grade in range(int(low), int(high) + 1, 5):
        y = down(grade)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{grade}</text>')
    for month, letter in enumerate(MONTHS):
        place = f'x="{across(month):.1f}" y="{HEIGHT - 10}"'
        parts.append(f'<text {place} text-anchor="middle">{letter}</text>')
    for number, (name, line) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        points = " ".join(
            f"{across(month):.1f},{down(value):.1f}"
            for month, value in enumerate(line)
            if value is not None
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        place = f'x="{WIDTH - RIGHT + 8}" y="{TOP + 14 + 18 * number}"'
        parts.append(f'<text {place} fill="{color}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
