"""Processes of the application: writers and readers of any version, and what befalls the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .kinds import IDS, put
from .world import (
    ABSENT,
    ACCEPTED,
    ANNOUNCED,
    ENDED,
    LATELY,
    LONG_AGO,
    READY,
    RETIRING,
    STAMPED,
    UNKNOWN,
    Meta,
    Scenario,
    Violation,
    World,
)

Steps = Iterator[tuple[str, World]]

REFUSED = "refused"
"""The permit of a version that another process ended by declaring, as the scheme before this one did."""


def written(scenario: Scenario, world: World, version: int, id: int, content: int) -> World | None:
    """The world after a write script of *version*, or None where a unique value is taken."""
    before = world.records[id]
    mine = scenario.versions[version]
    for entry in mine:
        if scenario.kinds[entry].taken(world.indexes[entry], world.records, id, content, before):
            return None
    indexes = tuple(
        scenario.kinds[entry].change(index, id, before, content) if entry in mine else index
        for entry, index in enumerate(world.indexes)
    )
    meta, wrote = world.meta, world.wrote
    if wrote:
        wrote = put(wrote, version, LATELY)
    if meta.permits[version] == STAMPED:
        meta = meta._replace(seen=put(meta.seen, version, LATELY))
    records = put(world.records, id, content)
    return world._replace(meta=meta, records=records, indexes=indexes, wrote=wrote)


class Writer(NamedTuple):
    """Writes anything, ``left`` times, once process ``waits`` is over."""

    version: int
    left: int = 2
    waits: int | None = None
    at: str = "write"
    word: int = 0

    @property
    def over(self) -> bool:
        return not self.left

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if not self.left or (self.waits is not None and not world.processes[self.waits].over):
            return
        if self.at == "declare":
            yield self._declare(at, world, scenario)
            return
        permit = world.meta.permits[self.version]
        if permit == UNKNOWN:
            yield "look", world.after(at, self._replace(at="declare", word=world.meta.ver))
        elif permit == REFUSED:
            raise Violation("I4 a write was refused, though no operator ended that version")
        elif permit == ENDED:
            yield "SchemaMismatch", world.after(at, self._done())
        else:
            yield from self._write(at, world, scenario)

    def _done(self) -> Writer:
        return self._replace(left=self.left - 1, at="write", word=0)

    def _write(self, at: int, world: World, scenario: Scenario) -> Steps:
        contents = (
            scenario.writes[self.version] if scenario.writes else range(len(scenario.kinds[0].demands[0]))
        )
        for id in IDS:
            for content in contents:
                if content == world.records[id]:
                    continue
                after = written(scenario, world, self.version, id, content)
                if after is None:
                    yield "UniqueViolation", world.after(at, self._done())
                else:
                    yield f"write v{self.version} {id}={content}", after.after(at, self._done())

    def _declare(self, at: int, world: World, scenario: Scenario) -> tuple[str, World]:
        meta, rules = world.meta, scenario.rules
        if meta.ver != self.word:
            return "retry", world.after(at, self._replace(at="write", word=0))
        if not scenario.keeps_all(self.version, meta.states) and not rules.retires_by_declaring:
            if not rules.late_is_refused:
                raise Violation("I4 a version that lacks a ready index was refused, without an operator")
            return "SchemaMismatch", world.after(at, self._done())
        if scenario.ends_differ(self.version, meta):
            return "SchemaMismatch: ends differ", world.after(at, self._done())
        declared = declare(scenario, world, self.version)
        return "declare", declared.after(at, self._replace(at="write", word=0))


def declare(scenario: Scenario, world: World, version: int) -> World:
    """The world after the script that lets *version* write."""
    meta, mine = world.meta, scenario.versions[version]
    if scenario.rules.retires_by_declaring:
        states = scenario.announced(version, meta.states)
    else:
        states = tuple(
            ANNOUNCED if entry in mine and state in (ABSENT, RETIRING) else state
            for entry, state in enumerate(meta.states)
        )
    permits, seen = scenario.stamped(version, meta)
    alone = not any(permit for other, permit in enumerate(permits) if other != version)
    if alone and not any(world.records):  # nobody and nothing is there: built at once
        states = tuple(
            READY if before == ABSENT and entry in mine else state
            for entry, (before, state) in enumerate(zip(meta.states, states, strict=True))
        )
    if scenario.rules.today:
        permits = tuple(
            permit if other == version or not permit else REFUSED for other, permit in enumerate(permits)
        )
    ver, drawn = scenario.draw(world)
    meta = meta._replace(ver=ver, permits=permits, states=states, seen=seen)
    return world._replace(meta=meta, drawn=drawn)


class Reader(NamedTuple):
    """Asks an index, ``left`` times: the data, then the word, on one connection."""

    entries: tuple[int, ...] = (0,)
    left: int = 2
    at: str = "begin"
    word: object = None
    good: bool = True

    @property
    def over(self) -> bool:
        return not self.left

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if not self.left:
            return
        rules, states = scenario.rules, world.meta.states
        word: object = world.meta.ver
        if rules.word_is == "state":
            word = tuple(states[entry] for entry in self.entries)
        again = self._replace(at="begin", word=None, good=True)
        if self.at == "begin":
            if self.word is None and any(states[entry] != READY for entry in self.entries):
                yield "NotIndexed", world.after(at, again._replace(left=self.left - 1))
            else:
                yield (
                    "go",
                    world.after(at, self._replace(at="first", word=word if self.word is None else self.word)),
                )
        elif self.at == "first" and rules.word == "before":
            yield (
                ("word", world.after(at, self._replace(at="last")))
                if word == self.word
                else ("again", world.after(at, again))
            )
        elif self.at == "first" and rules.word != "in script":
            good = self._good(world, scenario)
            yield f"data {'right' if good else 'wrong'}", world.after(at, self._replace(at="last", good=good))
        elif word != self.word and rules.word in ("after", "in script"):
            yield "again", world.after(at, again)
        else:
            if not (
                self.good if self.at == "last" and rules.word != "before" else self._good(world, scenario)
            ):
                raise Violation("I1 wrong answer")
            yield "answer", world.after(at, self._replace(left=self.left - 1, at="begin"))

    def _good(self, world: World, scenario: Scenario) -> bool:
        return all(
            scenario.kinds[entry].answer(world.indexes[entry]) == scenario.kinds[entry].truth(world.records)
            for entry in self.entries
        )

    def disconnected(self) -> Reader:
        """A pipeline whose connection breaks is begun again."""
        return self._replace(at="begin", word=None, good=True) if self.at == "last" else self


class Finder(NamedTuple):
    """Writes what an index tells it to, in one script: all that it finds are deleted (a cascade), or a record
    is created if it finds none (get_or_create)."""

    version: int
    does: str = "cascade"
    left: int = 1
    at: str = "begin"
    word: int = 0

    @property
    def over(self) -> bool:
        return not self.left

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if not self.left:
            return
        done = self._replace(left=self.left - 1, at="begin", word=0)
        ready = world.meta.states[0] == READY
        rule = scenario.rules.lookups
        if self.at == "begin" and rule != "by state":
            if not ready:
                yield "NotIndexed", world.after(at, done)
            else:
                yield "look", world.after(at, self._replace(at="script", word=world.meta.ver))
        elif world.meta.permits[self.version] not in (ACCEPTED, STAMPED):
            yield "SchemaMismatch", world.after(at, done)
        elif rule == "by word" and world.meta.ver != self.word:
            yield "again", world.after(at, self._replace(at="begin", word=0))
        elif rule == "by state" and not ready:
            yield "NotIndexed", world.after(at, done)
        elif self.does == "cascade":
            yield "cascade", self._cascade(world, scenario).after(at, done)
        else:
            yield "get_or_create", self._get_or_create(world, scenario).after(at, done)

    def _found(self, world: World, scenario: Scenario) -> list[int]:
        kind = scenario.kinds[0]
        hits = kind.answer(world.indexes[0])
        return [id for id in IDS if kind.demands[id][world.records[id]] & hits]

    def _cascade(self, world: World, scenario: Scenario) -> World:
        for id in self._found(world, scenario):
            world = written(scenario, world, self.version, id, 0) or world
        if scenario.kinds[0].truth(world.records):
            raise Violation("I6 a delete left a record behind that refers to what was deleted")
        return world

    def _get_or_create(self, world: World, scenario: Scenario) -> World:
        if self._found(world, scenario):
            return world
        if scenario.kinds[0].truth(world.records):
            raise Violation("I6 a record is made although there is one")
        free = next((id for id in IDS if not world.records[id]), None)
        return world if free is None else written(scenario, world, self.version, free, 1) or world


class Writer1(NamedTuple):
    """A process of layout 1, which knows of nothing but the signature."""

    left: int = 1

    @property
    def over(self) -> bool:
        return not self.left

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if not self.left:
            return
        done = self._replace(left=self.left - 1)
        if world.meta.moved:
            yield "SchemaMismatch", world.after(at, done)
            return
        for id in IDS:
            for content in range(len(scenario.kinds[0].demands[0])):
                before = world.records[id]
                if content == before:
                    continue
                indexes = tuple(
                    scenario.kinds[entry].change(index, id, before, content)
                    if entry in scenario.layout1
                    else index
                    for entry, index in enumerate(world.indexes)
                )
                records = put(world.records, id, content)
                yield (
                    f"write layout 1 {id}={content}",
                    world.after(at, done, records=records, indexes=indexes),
                )


class Reader1(NamedTuple):
    """A process of layout 1: what it was told once, it believes for life."""

    entry: int = 0
    left: int = 2

    @property
    def over(self) -> bool:
        return not self.left

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if not self.left:
            return
        kind = scenario.kinds[self.entry]
        if kind.answer(world.indexes[self.entry]) != kind.truth(world.records):
            raise Violation("I1 wrong answer")
        yield "answer to layout 1", world.after(at, self._replace(left=self.left - 1))


class Failover(NamedTuple):
    """A replica that lags takes over: the store goes back to what it was, and every connection breaks."""

    kept: tuple[Meta, tuple[int, ...], tuple[tuple[int, ...], ...], int] | None = None
    over: bool = False

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if self.over:
            return
        if self.kept is None:
            kept = (world.meta, world.records, world.indexes, world.lease)
            yield "the replica stops", world.after(at, self._replace(kept=kept))
            return
        meta, records, indexes, lease = self.kept
        processes = tuple(one.disconnected() if isinstance(one, Reader) else one for one in world.processes)
        back = world._replace(meta=meta, records=records, indexes=indexes, lease=lease, processes=processes)
        yield "failover", back.after(at, Failover(None, True))


class Clock(NamedTuple):
    """Time goes by: ten minutes each time, in which a lease lapses, too."""

    left: int = 1

    @property
    def over(self) -> bool:
        return not self.left

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if self.left:
            meta = world.meta
            aged = tuple(LONG_AGO if moment == LATELY else moment for moment in meta.seen)
            wrote = tuple(LONG_AGO if moment == LATELY else moment for moment in world.wrote)
            later = world._replace(meta=meta._replace(seen=aged), wrote=wrote, lease=-1, holder=-1)
            yield "ten minutes", later.after(at, self._replace(left=self.left - 1))
