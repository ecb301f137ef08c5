"""``aioredisca check`` and ``repair``: what is wrong with what a store keeps of models, and what mends it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from aioredisca.cli.app import AsJson, Url, app, console, emit, failure, models_of, printable, shown, warn
from aioredisca.drivers.run import run
from aioredisca.errors import UsageError
from aioredisca.maintenance.checking.faults import KINDS, Checked, Repaired, Surveyed, Tally, checked_kinds
from aioredisca.maintenance.checking.repairing import repair
from aioredisca.maintenance.checking.survey import check

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...", help="model classes, as package.module:Class; those of the project by default"
    ),
]
Limit = Annotated[int, typer.Option(min=0, help="how many examples of each kind to show")]
Rate = Annotated[float | None, typer.Option(help="records and entries a second, at most")]


@app.command("check", epilog="Example: aioredisca check app.models:User app.models:Order --rate 20000")
def check_command(
    models: Models = None, url: Url = "", as_json: AsJson = False, limit: Limit = 10, rate: Rate = None
) -> None:
    """Compare the records of models with all that the store keeps of them. Writes nothing.

    Readers and writers may go on. The exit status is 0 if nothing is wrong, 2 if something is, 1 on an error.
    """
    reports = list[Checked]()
    for kind in models_of(models or []):
        with shown(f"checking {kind.__name__}", url, kind) as progress:
            reports.append(run(check(kind, limit=limit, rate=rate, progress=progress)))
        if not as_json:
            _tell(reports[-1])
    if as_json:
        emit([report.as_json() for report in reports])
    if not all(report.healthy for report in reports):
        raise typer.Exit(2)


@app.command("repair", epilog="Example: aioredisca repair app.models:User --kind stray-claim --apply")
def repair_command(
    models: Models = None,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="mend it; without, nothing is written and it is told what would be"),
    ] = False,
    kind: Annotated[
        list[str] | None, typer.Option(help="mend only this kind of fault, as check calls it; repeatable")
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
    limit: Limit = 10,
    rate: Rate = None,
) -> None:
    """Mend what check finds: a dry run, unless --apply is given.

    Each fault is looked at once more as it is mended, so readers and writers may go on.
    The exit status is 0 if nothing is wrong any more, 2 if something is, 1 on an error.
    """
    try:
        kinds = checked_kinds(kind) if kind else None
    except UsageError as error:
        raise failure(str(error)) from None
    reports = list[Repaired]()
    for model in models_of(models or []):
        with shown(f"repairing {model.__name__}", url, model) as progress:
            job = repair(model, dry_run=not apply, kinds=kinds, limit=limit, rate=rate, progress=progress)
            reports.append(run(job))
        if not as_json:
            _tell_repair(reports[-1])
    if as_json:
        emit([report.as_json() for report in reports])
    if any(report.left or (report.mended and not apply) for report in reports):
        raise typer.Exit(2)


def _count(number: int, one: str, many: str = "") -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def _tell(report: Checked) -> None:
    faults = f"{_count(report.found.total, 'fault')}:" if report.found else "no fault."
    _head(report, faults)
    _list(report.found)
    _rest(report)


def _tell_repair(report: Repaired) -> None:
    done = "to be mended" if report.dry_run else "mended"
    mended, left = report.mended.total, report.left.total
    _head(report, f"{_count(mended, 'fault')} {done}, {left:,} left{':' if mended or left else '.'}")
    for title, tally in ((done, report.mended), ("left", report.left)):
        if tally:
            console.print(f" [bold]{title}[/bold]", highlight=False)
            _list(tally)
    if report.dry_run and mended:
        console.print("Nothing was written: --apply does.", highlight=False)
    _rest(report)


def _head(report: Surveyed, rest: str) -> None:
    seen = f"{_count(report.records, 'record')}, {_count(report.entries, 'entry', 'entries')}"
    console.print(f"{report.model}: {seen}; {rest}", highlight=False)


def _list(tally: Tally) -> None:
    for kind, count in tally.counts.items():
        console.print(f"  [red]{kind}[/red] {count:,}: {escape(KINDS[kind].text)}", highlight=False)
        for finding in tally.examples:
            if finding.kind == kind:
                console.print(f"    {escape(printable(str(finding)))}", highlight=False)


def _rest(report: Surveyed) -> None:
    if report.unbuilt:
        warn("not compared", f"indexes that are not built: {', '.join(report.unbuilt)}; aioredisca reindex")
    if report.unsettled:
        warn("not settled", f"{report.unsettled:,} changed each time they were looked at: run it again")
    if report.waiting:
        warn("waiting", f"{_count(report.waiting, 'record')} over, not swept yet: no fault")
    for title, count, some in (
        ("foreign", report.foreign, report.foreign_keys),
        ("nested", report.nested, report.nested_keys),
    ):
        if count:
            more = ", ..." if count > len(some) else ""
            names = f": {', '.join(map(repr, some))}{more}" if some else ""
            warn(title, f"{_count(count, 'key')} under the prefix, left alone{names}")
