"""The airports of the world: loaded in bulk, found, changed and deleted, with every round trip counted.

    python examples/airports.py [URL] [--limit N] [--clean]

URL is any database that ``aioredisca.Database`` takes. The default, ``memory://``, is a store inside this
process and needs no server. All keys start with ``aioredisca-airports:``; what an earlier run left there is
deleted first.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import airportsdata
from rich.box import SIMPLE
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from aioredisca import (
    Database,
    Float,
    Integer,
    Model,
    RediscaError,
    StaleWrite,
    String,
    UniqueViolation,
    conf,
    session,
    sweep,
    sync,
)

NAMESPACE = "aioredisca-airports:"
BATCH = 100
ROWS_SHOWN = 5


# -- the model -------------------------------------------------------------------------------------


class AirportFields:
    """One list of fields for both colours."""

    icao = String(unique=True, required=True, maxlen=4)
    iata = String(maxlen=3)
    name = String(required=True, index="sorted")
    city = String()
    country = String(index=True)
    tz = String(index=True)
    elevation = Integer(index=True)
    lat = Float(minval=-90, maxval=90)
    lon = Float(minval=-180, maxval=180)


BY_COUNTRY = ("country", "elevation")


@conf(prefix="airport", index=[BY_COUNTRY])
class Airport(AirportFields, Model):
    """For asyncio."""


@conf(prefix="airport", index=[BY_COUNTRY])
class BlockingAirport(AirportFields, sync.Model):
    """The same records, for blocking code."""


@conf(prefix="closure", ttl=timedelta(hours=1))
class Closure(Model):
    """An airport is closed for an hour, unless it is told otherwise."""

    icao = String(unique=True, required=True)
    reason = String()


Shown = Sequence[AirportFields] | str


# -- the tour: what is printed above each result is the body of its function ------------------------


async def find_by_unique_code() -> Shown:
    """By a unique value"""
    return await Airport.icao.find("EFHK")


async def find_all_of_a_country() -> Shown:
    """All of a country, by an exact index"""
    return await (Airport.country == "FI")


async def page_through_elevations() -> Shown:
    """A range in its order, page by page"""
    first = await Airport.elevation.range(10_000, 12_000, start=0, num=3)
    second = await Airport.elevation.range(10_000, 12_000, start=3, num=2)
    return [*first, *second]


async def choose_at_random() -> Shown:
    """A random choice"""
    return await Airport.tz.choice("Europe/Helsinki", count=2) or []


async def join_conditions() -> Shown:
    """Conditions joined, answered in one round trip"""
    high, helsinki = Airport.elevation >= 600, Airport.name.startswith("Helsinki")
    return await ((Airport.country == "FI") & (high | helsinki))


async def find_the_highest_of_a_country() -> Shown:
    """The highest of a country, by an index over both fields"""
    finnish = Airport.country == "FI"
    return await finnish.order_by(Airport.elevation.desc()).limit(4)


async def order_by_two_columns() -> Shown:
    """An order of two columns, one of them without an index"""
    in_zone = Airport.tz == "Europe/Helsinki"
    return await in_zone.order_by(Airport.city.desc(), Airport.name).limit(4)


async def turn_pages_by_cursor() -> Shown:
    """Pages by a cursor, which stays good while records come and go"""
    query = (Airport.country == "FI").order_by(Airport.name)
    page = await query.page(size=3)
    page = await query.page(size=3, after=page.next)
    return page.items


async def add_up() -> Shown:
    """Figures by time zone"""
    finnish = Airport.country == "FI"
    zones = await finnish.aggregate(Airport.elevation, by=Airport.tz)
    return "\n".join(f"{zone}: {of.count}, highest {of.max}" for zone, of in zones.items())


async def explain() -> Shown:
    """How a query is answered"""
    finnish_and_high = (Airport.country == "FI") & (Airport.elevation >= 600)
    return str(await finnish_and_high.explain())


async def change_by_query() -> Shown:
    """A change of all that match, exact about which"""
    unknown = (Airport.country == "FI") & (Airport.elevation < 10)
    raised = await unknown.incr(Airport.elevation, 1)
    return f"{raised} airports in Finland lie a foot higher now"


async def update() -> Shown:
    """An update: the record and its index, one atomic call"""
    airport = await (Airport.icao == "EFHK").one()
    airport.elevation = 15_000
    await airport.save()
    return await (Airport.elevation >= 15_000)


async def meet_a_unique_conflict() -> Shown:
    """A unique value that is taken"""
    try:
        await Airport.new(icao="EFHK", name="Another one").save()
    except UniqueViolation as error:
        return f"UniqueViolation on {error.field}, held by {error.holder}"
    return "saved"


async def meet_a_stale_write() -> Shown:
    """A write based on what is no longer stored"""
    mine = await (Airport.icao == "EFTU").one()
    theirs = await Airport.get(mine.id)
    theirs.elevation = 160
    await theirs.save()
    mine.elevation = 170
    try:
        await mine.save(if_unchanged=True)
    except StaleWrite as error:
        await mine.reload()
        await mine.save(if_unchanged=True)
        return f"StaleWrite on {', '.join(error.fields)}; saved after a reload"
    return "saved"


async def delete() -> Shown:
    """A delete: the record, its index entries and its claims"""
    airport = await (Airport.icao == "EFTU").one()
    await airport.delete()
    return await Airport.icao.find("EFTU")


async def close_for_a_while() -> Shown:
    """A record that ends by itself"""
    closure, _ = await Closure.get_or_create(icao="EFHK", defaults={"reason": "snow"})
    closed, left = await Closure.all().count(), await closure.ttl()
    await closure.expire(timedelta(milliseconds=1))
    await asyncio.sleep(0.05)
    return f"closed: {closed}, for {left}; then: {await Closure.all().count()}"


async def share_one_object_in_a_session() -> Shown:
    """A session: one object per record, all changes saved together"""
    async with session(autosave=True):
        one = await (Airport.icao == "EFHK").one()
        same = await Airport.get(one.id)  # known already: no round trip
        one.city, same.elevation = "Vantaa", 179
    stored = await Airport.get(one.id)
    return f"one is same: {one is same}; stored city: {stored.city}"


def do_the_same_in_blocking_code() -> Shown:
    """The same in blocking code"""
    with sync.session(autosave=True):
        airport = (BlockingAirport.icao == "EFHK").one()
        airport.elevation = 180
    return BlockingAirport.elevation.range(180, 180, num=2)


TOUR: tuple[Callable[[], Awaitable[Shown]], ...] = (
    find_by_unique_code,
    find_all_of_a_country,
    page_through_elevations,
    choose_at_random,
    join_conditions,
    find_the_highest_of_a_country,
    order_by_two_columns,
    turn_pages_by_cursor,
    add_up,
    explain,
    change_by_query,
    update,
    meet_a_unique_conflict,
    meet_a_stale_write,
    delete,
    close_for_a_while,
    share_one_object_in_a_session,
)


# -- the real data ---------------------------------------------------------------------------------


def read_airports(limit: int | None) -> list[Airport]:
    """New, unsaved records of up to *limit* airports, those that the tour shows first."""
    rows = sorted(airportsdata.load("ICAO").values(), key=_shown_first)
    return [
        Airport.new(
            icao=row["icao"],
            iata=row["iata"] or None,
            name=row["name"],
            city=row["city"] or None,
            country=row["country"],
            tz=row["tz"],
            elevation=round(row["elevation"]),
            lat=row["lat"],
            lon=row["lon"],
        )
        for row in rows[:limit]
    ]


def _shown_first(row: airportsdata.Airport) -> tuple[bool, bool, str]:
    shown = row["country"] == "FI" or 10_000 <= row["elevation"] <= 12_000
    return row["icao"] not in ("EFHK", "EFTU"), not shown, row["icao"][::-1]


# -- showing it ------------------------------------------------------------------------------------


@dataclass
class Guide:
    """Prints the tour to *console* and keeps the round trips of each step."""

    console: Console
    figures: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    def note(self, title: str) -> str:
        """Close a step: how many round trips it took, in words."""
        count = conf.db.round_trips - self.total
        self.figures.append((title, count))
        return f"{count:,} round trip{'' if count == 1 else 's'}"

    @property
    def total(self) -> int:
        """The round trips of all closed steps."""
        return sum(count for _, count in self.figures)

    def show(self, number: int, step: Callable[[], object], shown: Shown) -> None:
        """Print the code of a step, what it found, and its round trips."""
        title = inspect.getdoc(step) or step.__name__
        trips = self.note(title)
        code = Syntax(_body(step), "python", theme="ansi_dark", background_color="default", word_wrap=True)
        result = Text(shown) if isinstance(shown, str) else _table(shown)
        frame = Panel(
            Group(code, "", result),
            title=Text(f"{number}. {title}", "bold"),
            title_align="left",
            subtitle=Text(trips, "cyan"),
            subtitle_align="right",
            border_style="dim",
        )
        self.console.print(frame)

    def sum_up(self) -> None:
        """Print the round trips of all steps."""
        table = Table(box=SIMPLE, show_footer=True)
        table.add_column("step", "all")
        table.add_column("round trips", f"{self.total:,}", justify="right", style="cyan")
        for title, count in self.figures:
            table.add_row(title, f"{count:,}")
        self.console.print(table)


def _body(step: Callable[[], object]) -> str:
    """The source of a function below its docstring."""
    _, _, body = inspect.getsource(step).partition('"""\n')
    return textwrap.dedent(body).rstrip()


def _table(airports: Sequence[AirportFields]) -> Table | Text:
    if not airports:
        return Text("nothing found", "italic")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("icao", "name", "city", "country"):
        table.add_column(name, no_wrap=True)
    table.add_column("feet", justify="right", no_wrap=True)
    for airport in airports[:ROWS_SHOWN]:
        feet = "" if airport.elevation is None else f"{airport.elevation:,}"
        table.add_row(airport.icao, airport.name, airport.city, airport.country, feet)
    if len(airports) > ROWS_SHOWN:
        table.add_row("", f"and {len(airports) - ROWS_SHOWN:,} more", style="dim")
    return table


# -- running it ------------------------------------------------------------------------------------


async def get_ready() -> list[str]:
    """Send one call of each kind, for what a process asks once; the ids that an earlier run left.

    Before its first read and write of a model a process asks for the state of the indexes and for its
    rights, a script that the server does not know yet is sent in full, and what an old server refuses is
    done in another way from then on.
    """
    nobody = Airport("nobody")
    nobody.icao, nobody.name = "----", "Nobody's"
    await nobody.save()
    await Airport.all().first()
    await (Airport.country != "FI").explain()
    await Airport.country.choice("FI")
    await nobody.delete()
    await close_for_a_while()
    return await Airport.all().ids()


async def load(guide: Guide, limit: int | None) -> None:
    """Delete what an earlier run left, then save all airports, each batch one atomic call."""
    left = await get_ready()
    guide.note("Get ready, once per process")
    if left:
        await Airport.delete_many(left)
        guide.note(f"Delete {len(left):,} airports of an earlier run")
    airports = read_airports(limit)
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=guide.console) as bar:
        task = bar.add_task("Saving airports", total=len(airports))
        for first in range(0, len(airports), BATCH):
            batch = airports[first : first + BATCH]
            await Airport.save_many(batch)
            bar.advance(task, len(batch))
    trips = guide.note(f"Save {len(airports):,} airports, {BATCH} a call")
    guide.console.print(Text(f"{len(airports):,} airports saved in {trips}, {BATCH} a call", "cyan"))


def clean_up(guide: Guide) -> None:
    """Delete all airports, and then what the store remembers of the model."""
    BlockingAirport.delete_many(BlockingAirport.all().ids())
    guide.note("Delete all airports")
    sync.run(sweep(Closure))
    guide.note("Take away what is left of closures")
    with conf.db.sync_client as client:  # a plain redis-py client, for raw commands
        client.delete(f"{NAMESPACE}airport/meta", f"{NAMESPACE}closure/meta")


async def tour(guide: Guide, limit: int | None) -> None:
    """The asyncio part."""
    await load(guide, limit)
    for number, step in enumerate(TOUR, 1):
        guide.show(number, step, await step())


def main() -> int:
    """Run all of it; the exit code."""
    parser = argparse.ArgumentParser(description="The airports of the world in Redis, by aioredisca.")
    parser.add_argument("url", nargs="?", default="memory://", help="the database (default: %(default)s)")
    parser.add_argument("--limit", type=_at_least_ten, metavar="N", help="load only N airports (10 or more)")
    parser.add_argument("--clean", action="store_true", help="delete the airports at the end")
    options = parser.parse_args()
    console = Console(highlight=False)
    guide = Guide(console)
    try:
        conf.db = Database(options.url, namespace=NAMESPACE)
        console.print(Text(f"{conf.db!r}", "dim"))
        asyncio.run(tour(guide, options.limit))
        guide.show(len(TOUR) + 1, do_the_same_in_blocking_code, do_the_same_in_blocking_code())
        if options.clean:
            clean_up(guide)
        conf.db.close()
    except RediscaError as error:
        console.print(Text(f"{type(error).__name__}: {error}", "red"))
        return 1
    guide.sum_up()
    return 0


def _at_least_ten(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 10:
        raise argparse.ArgumentTypeError("the tour needs 10 airports or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
