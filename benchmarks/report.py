"""Writes what was measured: a page of tables, and a chart that the README shows."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

from .harness import Result

BASE = "redis.asyncio, by hand"
OURS = "aioredisca"


def page(
    results: Sequence[Result],
    notes: dict[str, str],
    server: str,
    versions: dict[str, str],
    command: str,
    rounds: int,
) -> str:
    """RESULTS.md."""
    lines = [
        "# Results",
        "",
        f"Made by `{command}` on {date.today().isoformat()}. How: [README.md](README.md).",
        "",
        f"{machine()}. Server: {server}, on a core of its own. "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f". {rounds} rounds. {load()}",
        "",
        f"The figures say how many times as fast as **{BASE}** (default settings) each contender is: the "
        "median of the ratios within each round, and in brackets the lowest and the highest. "
        "`-` is not offered.",
        "",
    ]
    names = _names(results)
    base_of = {result.work.title: _base(result) for result in results}
    lines += [
        "| operation | " + " | ".join(names) + " | µs of the base |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for result in results:
        base = base_of[result.work.title]
        cells = [_cell(result, name, base) for name in names]
        lines.append(f"| {result.work.title} | {' | '.join(cells)} | {result.microseconds(base):,.1f} |")
    lines += [
        "",
        "Processor time of the client, in µs per operation, which a busy machine disturbs less:",
        "",
    ]
    lines += ["| operation | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for result in results:
        cells = [f"{_median(result.cpu[name]) * 1e6:,.1f}" if name in result.cpu else "-" for name in names]
        lines.append(f"| {result.work.title} | {' | '.join(cells)} |")
    lines += ["", *(f"- {name}: {note}." for name, note in notes.items() if name in names)]
    lines += [
        f"- {name} fails at {result.work.title}: `{error}`."
        for result in results
        for name, error in result.failed.items()
    ]
    return "\n".join(lines) + "\n"


def _names(results: Sequence[Result]) -> list[str]:
    """Who took part: ours first, then the base."""
    names = dict.fromkeys(name for result in results for name in result.seconds)
    return sorted(names, key=lambda name: (name != OURS, not name.startswith(OURS), name != BASE))


def _base(result: Result) -> str:
    return BASE if BASE in result.seconds else next(iter(result.seconds))


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _cell(result: Result, name: str, base: str) -> str:
    if name not in result.seconds:
        return "fails" if name in result.failed else "-"
    if name == base:
        return "1"
    ratios = result.ratios(name, base)
    return f"**{result.ratio(name, base):.2f}** [{ratios[0]:.2f}..{ratios[-1]:.2f}]"


def machine() -> str:
    """Processor, number of cores and Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    cores = 0
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model, cores = line.partition(":")[2].strip(), cores + 1
    return f"{model}, {cores or 'some'} cores, {platform.system()}, Python {platform.python_version()}"


def load() -> str:
    """How busy the machine was, where it tells."""
    if not hasattr(os, "getloadavg"):
        return ""
    return (
        f"Load of the machine at the end: {os.getloadavg()[1]:.1f}, of which the benchmark itself is about 1."
    )


# -- the chart -------------------------------------------------------------------------------------

COLOURS = ("#c0392b", "#7f8c8d", "#95a5a6", "#2c7fb8", "#41ab5d", "#8856a7")
ROW, BAR, LEFT, WIDTH = 20, 14, 190, 900


def chart(results: Sequence[Result]) -> str:
    """Bars of the ratios, an SVG. Those that work blocking are left to the page."""
    shown = [result for result in results if BASE in result.seconds and OURS in result.seconds]
    names = [name for name in _names(shown) if "blocking" not in name and not name.endswith(".sync")]
    longest = max(result.ratio(name, BASE) for result in shown for name in names if name in result.seconds)
    scale = (WIDTH - LEFT - 60) / longest
    parts, top = list[str](), 46
    for result in shown:
        parts.append(_text(LEFT - 8, top + 12, result.work.title, "end", "bold"))
        for name in names:
            if name in result.seconds:
                parts += _bar(top, result.ratio(name, BASE), scale, COLOURS[names.index(name) % len(COLOURS)])
                top += ROW - 4
        top += 10
    legend, left = list[str](), 12
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        legend.append(f'<rect x="{left}" y="26" width="10" height="10" fill="{colour}"/>')
        legend.append(_text(left + 14, 35, name))
        left += 30 + 6 * len(name)
    title = _text(LEFT, 14, f"Times as fast as {BASE} (longer is better)", "start", "bold")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" '
        f'font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fff"/>{title}{"".join(legend)}{"".join(parts)}</svg>\n'
    )


def _bar(top: int, ratio: float, scale: float, colour: str) -> list[str]:
    width = max(ratio * scale, 1)
    return [
        f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
        _text(LEFT + width + 4, top + 11, f"{ratio:.2f}"),
    ]


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
