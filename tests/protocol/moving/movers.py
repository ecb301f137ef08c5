"""Who writes, who moves records, who gives a move up: one step is one script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .store import (
    ALL,
    BEGUN,
    CLOSED,
    COPYING,
    IDS,
    MARKS,
    MOVED,
    MOVING,
    NEW,
    OPEN,
    OPENED,
    RESTING,
    Rules,
    World,
    holder,
    marked,
    numbered,
    put,
    written,
)

Step = tuple[str, World]


@dataclass(frozen=True)
class Writer:
    """Makes these writes, one after the other; each is acknowledged or refused."""

    writes: tuple[tuple[int, str | None], ...]

    def steps(self, at: int, world: World, scenario: Any) -> Iterator[Step]:
        if self.writes:
            (id, value), *rest = self.writes
            changes = written(world, scenario.rules, id, value)
            label = f"{id} = {value!r}" if changes is not None else "refused"
            yield label, world.after(at, Writer(tuple(rest)), **(changes or {}))


@dataclass(frozen=True)
class Mover:
    """Moves the records. ``does`` is what it does next, with the record ``id`` of which it has ``read`` the value
    and ``seen`` so many marks; ``name`` it has
    once it began, ``before`` it another one was at it, and ``anew`` tells that it goes on where that was."""

    does: str = "begin"
    name: int = 0
    before: int = 0
    id: int = 0
    read: str | None = None
    seen: int = 0
    anew: bool = False
    blocked: tuple[int, ...] = ()
    last: bool = False
    by: int = 0

    def to(self, does: str, **changes: Any) -> Mover:
        return replace(self, does=does, **changes)

    def steps(self, at: int, world: World, scenario: Any) -> Iterator[Step]:
        if self.does != "over":
            yield from getattr(self, f"_{self.does}")(at, world, scenario.rules)

    def _stops(self, at: int, world: World, why: str) -> Iterator[Step]:
        yield why, world.after(at, Mover("over"))

    def _is_mine(self, world: World, rules: Rules) -> bool:
        return world.whole[1] == self.name or not rules.asks_mover

    # -- it begins, or goes on ---------------------------------------------------------------------

    def _begin(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        phase, last, cursor, by = world.whole
        if phase == MOVED:
            yield from self._stops(at, world, "moved already")
        else:
            name = world.moves + 1
            whole = (COPYING if phase == RESTING else phase, name, cursor, by)
            after = self.to("take", name=name, before=last)
            yield "begins", world.after(at, after, whole=whole, moves=name)

    def _take(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        if world.mover > self.name:
            yield from self._stops(at, world, "another moves them")
            return
        permit = MARKS if world.permit == OPEN else world.permit
        yield "takes the place", world.after(at, self.to("look"), mover=self.name, permit=permit)

    def _look(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        _, _, cursor, by = world.whole
        if cursor == ALL:
            yield "all is copied", world.after(at, self.to("bar", by=by))
        elif cursor == NEW:
            yield "it is new", world.after(at, self.to("prepare", id=0, anew=False))
        else:
            yield "it goes on", world.after(at, self.to("compare", id=0, anew=True))

    def _past(self, does: str, then: str) -> Mover:
        """The same with the next record, or what comes then."""
        return self.to(then, id=0) if self.id == IDS[-1] else self.to(does, id=self.id + 1)

    def _compare(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        if world.places[self.id] == self.before:
            yield f"{self.id} is as it was", world.after(at, self._past("compare", "prepare"))
        else:
            yield f"{self.id} was another's", world.after(at, self.to("reset", id=0))

    def _reset(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._at(at, world, rules, NEW, self.to("prepare", id=0, anew=False))

    def _at(self, at: int, world: World, rules: Rules, cursor: int, after: Mover) -> Iterator[Step]:
        phase, mover, _, by = world.whole
        if not self._is_mine(world, rules):
            yield from self._stops(at, world, "another moves them")
        else:
            yield f"is at {cursor}", world.after(at, after, whole=(phase, mover, cursor, by))

    def _prepare(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        """Keeps others from filling a place."""
        filled = world.places[self.id]
        if filled == OPENED or (self.anew and filled not in (self.before, self.name)):
            yield from self._stops(at, world, "another fills it")
        else:
            after = self._past("prepare", "where" if self.anew else "purge")
            keeps = filled and not rules.prepares
            places = world.places if keeps else numbered(world.places, self.id, self.name)
            yield f"prepares {self.id}", world.after(at, after, places=places)

    def _purge(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        """What was copied before goes, where it is new."""
        if world.places[self.id] != self.name:
            yield from self._stops(at, world, "another fills it")
        else:
            copies = put(world.copies, self.id, None)
            yield f"purges {self.id}", world.after(at, self._past("purge", "start"), copies=copies)

    def _start(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._at(at, world, rules, BEGUN, self.to("where"))

    def _where(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        phase, _, cursor, _ = world.whole
        if cursor >= BEGUN + len(IDS):
            does = "bar" if phase == MOVING else "again"
            yield "all was copied once", world.after(at, self.to(does))
        else:
            id = max(cursor - BEGUN, 0)
            yield "copies", world.after(at, self.to("clear" if self.anew else "copy", id=id))

    # -- all are copied once -----------------------------------------------------------------------

    def _may_fill(self, world: World, rules: Rules) -> bool:
        may = world.places[self.id]
        return may == self.name or (may > 0 and not rules.prepares)

    def _clear(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._cleared(at, world, rules, "copy")

    def _cleared(self, at: int, world: World, rules: Rules, then: str) -> Iterator[Step]:
        if not self._may_fill(world, rules):
            yield from self._stops(at, world, "may not fill")
        else:
            copies = put(world.copies, self.id, None) if rules.clears else world.copies
            yield f"clears {self.id}", world.after(at, self.to(then), copies=copies)

    def _copy(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield f"reads {self.id}", world.after(at, self.to("fill", read=world.source[self.id]))

    def _fill(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._filled(at, world, rules, "mark", "go_on")

    def _filled(self, at: int, world: World, rules: Rules, blocked: str, then: str) -> Iterator[Step]:
        """Writes what was read."""
        if self.read is None:
            yield "nothing there", world.after(at, self.to(then))
        elif not self._may_fill(world, rules):
            yield from self._stops(at, world, "may not fill")
        elif world.copies[self.id] is not None and rules.clears:
            yield from self._stops(at, world, "somebody has filled it")
        elif (other := holder(world.copies, self.id, self.read)) is not None:
            yield "is in the way", world.after(at, self.to(blocked, blocked=(self.id, other)))
        else:
            copies = put(world.copies, self.id, self.read)
            yield f"fills {self.id}", world.after(at, self.to(then), copies=copies)

    def _marked(self, at: int, world: World, rules: Rules, then: str) -> Iterator[Step]:
        if world.mover != self.name and rules.asks_mover:
            yield from self._stops(at, world, "another moves them")
        else:
            marks = marked(world.marks, *self.blocked)
            yield "marks both", world.after(at, self.to(then, blocked=()), marks=marks)

    def _mark(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._marked(at, world, rules, "go_on")

    def _go_on(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        last = self.id == IDS[-1]
        after = self.to("again") if last else self.to("clear" if self.anew else "copy", id=self.id + 1)
        yield from self._at(at, world, rules, BEGUN + self.id + 1, after)

    # -- what is marked is copied again ------------------------------------------------------------

    def _again(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield "enough", world.after(at, self.to("bar"))
        yield from self._one(at, world, "reread")

    def _one(self, at: int, world: World, does: str) -> Iterator[Step]:
        for id in IDS:
            if seen := world.marks[id]:
                yield f"{id} waits", world.after(at, self.to(does, id=id, seen=seen))

    def _reread(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._cleared(at, world, rules, "copy_again")

    def _copy_again(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield f"reads {self.id}", world.after(at, self.to("refill", read=world.source[self.id]))

    def _refill(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._filled(at, world, rules, "remark", "unmark")

    def _remark(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        yield from self._marked(at, world, rules, "rest" if self.last else "again")

    def _unmark(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        same = world.marks[self.id] == self.seen or not rules.unmarking_compares
        goes = same and (world.mover == self.name or not rules.asks_mover)
        marks = numbered(world.marks, self.id, 0) if goes else world.marks
        then = self.to("rest" if self.last else "again")
        yield "unmarks" if goes else "stays", world.after(at, then, marks=marks)

    # -- the last moments --------------------------------------------------------------------------

    def _bar(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        phase, mover, cursor, by = world.whole
        if not self._is_mine(world, rules) or phase not in (COPYING, MOVING):
            yield from self._stops(at, world, "another moves them")
        else:
            yield "bars", world.after(at, self.to("close"), whole=(MOVING, mover, cursor, by))

    def _close(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        if world.mover != self.name and rules.asks_mover:
            yield from self._stops(at, world, "another moves them")
        else:
            permit = CLOSED if rules.closes else world.permit
            yield (
                "closes",
                world.after(at, self.to("open" if self.by else "rest", id=0, last=True), permit=permit),
            )

    def _rest(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        if any(world.marks):
            yield from self._one(at, world, "reread")
        else:
            yield "nothing waits", world.after(at, self.to("all"))

    def _all(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        phase, mover, _, _ = world.whole
        if not self._is_mine(world, rules):
            yield from self._stops(at, world, "another moves them")
        else:
            after = self.to("open", by=self.name, id=0)
            yield "all is copied", world.after(at, after, whole=(phase, mover, ALL, self.name))

    def _open(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        if world.places[self.id] not in (self.by, OPENED) and rules.opens_its_own:
            yield from self._stops(at, world, "another fills it")
            return
        places = numbered(world.places, self.id, OPENED)
        after = self._past("open", "flip")
        yield f"opens {self.id}", world.after(at, after, places=places)

    def _flip(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        phase, mover, cursor, by = world.whole
        if not self._is_mine(world, rules) or phase not in (COPYING, MOVING):
            yield from self._stops(at, world, "another moves them")
        else:
            yield "they have moved", world.after(at, Mover("over"), whole=(MOVED, mover, cursor, by))


@dataclass(frozen=True)
class Undoer:
    """Gives the move up that it finds."""

    does: str = "look"
    id: int = 0
    name: int = 0

    def steps(self, at: int, world: World, scenario: Any) -> Iterator[Step]:
        if self.does != "over":
            yield from getattr(self, f"_{self.does}")(at, world, scenario.rules)

    def _to(self, does: str, id: int = 0) -> Undoer:
        return Undoer(does, id, self.name)

    def _past(self, does: str, then: str) -> Undoer:
        return self._to(then) if self.id == IDS[-1] else self._to(does, self.id + 1)

    def _look(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        phase, _, cursor, by = world.whole
        if phase in (COPYING, MOVING) and cursor != ALL:
            name = world.moves + 1
            after = Undoer("take", 0, name)
            yield "gives up", world.after(at, after, whole=(phase, name, cursor, by), moves=name)

    def _take(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        if world.mover > self.name:
            yield "late", world.after(at, Undoer("over"))
            return
        permit = MARKS if world.permit == OPEN else world.permit
        yield "takes the place", world.after(at, self._to("judge"), mover=self.name, permit=permit)

    def _judge(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        late = world.whole[2] == ALL
        yield "late" if late else "in time", world.after(at, self._to("over" if late else "prepare"))

    def _prepare(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        filled = world.places[self.id] > 0
        places = numbered(world.places, self.id, self.name) if filled else world.places
        yield f"takes {self.id}", world.after(at, self._past("prepare", "rest"), places=places)

    def _rest(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        """The meta of the class says so first."""
        if world.whole[1] != self.name and rules.asks_mover:
            yield "late", world.after(at, Undoer("over"))
        else:
            yield "gave up", world.after(at, self._to("free"), whole=(RESTING, self.name, 0, 0))

    def _free(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        """Then permits, marks and mover of the place that records stay in."""
        if world.mover != self.name and rules.asks_mover:
            yield "late", world.after(at, self._to("purge"))
            return
        marks = (0,) * len(IDS)
        yield "frees", world.after(at, self._to("purge"), permit=OPEN, mover=0, marks=marks)

    def _purge(self, at: int, world: World, rules: Rules) -> Iterator[Step]:
        """Takes away what was copied, unless others fill it by now."""
        after = self._past("purge", "over")
        if world.places[self.id] == self.name:
            copies = put(world.copies, self.id, None)
            places = numbered(world.places, self.id, 0)
            yield f"purges {self.id}", world.after(at, after, copies=copies, places=places)
        else:
            yield "late", world.after(at, after)
