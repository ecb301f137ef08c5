"""Writes what was measured: a page of tables, and a chart that the README shows."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

from . import goals
from .facts import EMPTY, Facts
from .goals import BASE, OURS, SCRIPT
from .harness import Result
from .stage import Stage


@dataclass
class Run:
    """What was measured, and how."""

    stages: list[Stage]
    command: str
    rounds: int
    facts: Facts = field(default_factory=Facts)


def page(run: Run) -> str:
    """RESULTS.md."""
    first, *others = run.stages
    lines = [
        "# Results",
        "",
        f"Made by `{run.command}` on {date.today().isoformat()}. How: [README.md](README.md).",
        "",
        f"{machine()}. Server: {first.server}, on a core of its own. {_versions(run.stages)}. "
        f"{run.rounds} rounds. {load()}",
        "",
    ]
    if first.results:
        lines += [
            f"The figures say how many times as fast as **{BASE}** (default settings) each contender is: the "
            "median of the ratios within each round, and in brackets the lowest and the highest. Where it "
            "does not take part, the one with 1 is the base. `-` is not offered.",
            "",
            *_stage(first),
        ]
    for stage in others:
        if stage.results:
            lines += [f"## On {stage.server}", "", *_stage(stage)]
    if rows := goals.table(run.stages, run.facts):
        lines += ["## Goals", "", "The medians of this run beside the figures that are to be reached.", ""]
        lines += [*rows, ""]
    lines += _facts(run.facts)
    return "\n".join(lines).rstrip() + "\n"


def _versions(stages: Sequence[Stage]) -> str:
    """Of all packages; one that is there in several versions is told of for each that has another."""
    found = dict[str, dict[str, list[str]]]()
    for contender in {c.name: c for stage in stages for c in stage.contenders}.values():
        for package, version in contender.versions.items():
            found.setdefault(package, {}).setdefault(version, []).append(contender.name)
    texts = list[str]()
    for package, versions in found.items():
        usual = max(versions, key=lambda version: len(versions[version]))
        texts.append(f"{package} {usual}")
        texts += [f"{package} {v} for {' and '.join(who)}" for v, who in versions.items() if v != usual]
    return ", ".join(texts)


def _stage(stage: Stage) -> Iterator[str]:
    """The tables of one server."""
    results = stage.results
    names = _names(results)
    yield "| operation | " + " | ".join(names) + " | µs of the base |"
    yield "|---|" + "---|" * (len(names) + 1)
    for result in results:
        if not result.seconds:
            continue
        base = base_of(result)
        cells = [_cell(result, name, base) for name in names]
        yield f"| {result.work.title} | {' | '.join(cells)} | {result.microseconds(base):,.1f} |"
    yield from (
        "",
        "Processor time in µs per operation, which a busy machine disturbs less: the client's / the server's "
        "(`INFO cpu`).",
        "",
    )
    yield "| operation | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for result in results:
        cells = [_processor(result, name) if name in result.cpu else "-" for name in names]
        yield f"| {result.work.title} | {' | '.join(cells)} |"
    yield ""
    yield from (f"- {c.name}: {c.note}." for c in stage.contenders if c.note and c.name in names)
    yield from (f"- {name} is absent: {_line(reason)}." for name, reason in stage.absent.items())
    for result in results:
        for name, error in result.failed.items():
            yield f"- {name} fails at {result.work.title}: `{_line(error)}`."
    yield ""


def _line(text: str) -> str:
    """One line of a text that may be long."""
    return " ".join(text.split())[:200]


# -- facts -----------------------------------------------------------------------------------------


def _facts(facts: Facts) -> Iterator[str]:
    if any(facts.bytes.values()):
        yield from _bytes(facts)
    if facts.trips:
        yield from _trips(facts)
    if facts.imports:
        yield from _imports(facts)
    if facts.hydrate:
        yield from _hydrate(facts)


def _bytes(facts: Facts) -> Iterator[str]:
    yield from ("## Bytes per record", "")
    yield f"Unique, exact and range index; {facts.objects:,} records with ids of each contender's own making:"
    yield ""
    for server, found in facts.bytes.items():
        if found:
            yield f"- {server}: " + ", ".join(f"{name} **{each:,.0f}**" for name, each in found.items()) + "."
    yield ""


def _trips(facts: Facts) -> Iterator[str]:
    yield from (
        "## Round trips",
        "",
        "Counted by a proxy; in brackets the commands sent, where these are more.",
        "",
    )
    titles = list(dict.fromkeys(title for counts in facts.trips.values() for title in counts))
    yield "| | " + " | ".join(titles) + " |"
    yield "|---|" + "---|" * len(titles)
    for name, counts in facts.trips.items():
        cells = (_trip(counts[title]) if title in counts else "-" for title in titles)
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _trip(count: tuple[int, int]) -> str:
    trips, commands = count
    return f"{trips:,} ({commands:,})" if commands > trips else f"{trips:,}"


def _imports(facts: Facts) -> Iterator[str]:
    yield from ("## Import", "")
    yield "New Pythons in turns; milliseconds beyond those of an empty one, and the ratio to `redis.asyncio`:"
    yield ""
    empty = facts.imports[EMPTY]
    for code, times in facts.imports.items():
        if code != EMPTY:
            beyond = statistics.median(t - e for t, e in zip(times, empty, strict=True))
            yield f"- `{code}`: {beyond:.0f} ms, **{facts.import_ratio(code):.2f}**"
    yield ""


def _hydrate(facts: Facts) -> Iterator[str]:
    yield from ("## From reply to object", "")
    yield "1,000 records of six fields, parsing included, µs each, and how many times as fast as pydantic:"
    yield ""
    for way, text in (("lazy", "fields unread"), ("eager", "all fields read")):
        each = statistics.median(facts.hydrate[way])
        yield f"- aioredisca, {text}: {each:.2f}, **{facts.hydrate_ratio(way):.2f}**"
    yield f"- pydantic, `model_validate`: {statistics.median(facts.hydrate['pydantic']):.2f}"
    yield ""


# -- names and cells -------------------------------------------------------------------------------


def _names(results: Sequence[Result]) -> list[str]:
    """Who took part: ours first, then the base."""
    names = dict.fromkeys(name for result in results for name in result.seconds)
    return sorted(names, key=lambda name: (name != OURS, not name.startswith(OURS), name != BASE))


def base_of(result: Result) -> str:
    """Whom the others are compared with."""
    names = (BASE, SCRIPT, *result.seconds)
    return next((name for name in names if name in result.seconds), "")


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _processor(result: Result, name: str) -> str:
    return " / ".join(f"{_median(times[name]) * 1e6:,.1f}" for times in (result.cpu, result.server))


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
    ratios = [result.ratio(name, BASE) for result in shown for name in names if name in result.seconds]
    longest = max(ratios, default=1.0)
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
